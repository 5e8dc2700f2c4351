"""A key may be of any type and number of columns, and a name may be any."""

import pytest

from tests.acceptance.conftest import NewSource
from tests.support.pipeline import clock
from tidemark.doctor.source import examine_source
from tidemark.errors import ContractError
from tidemark.pipeline import wire
from tidemark.rebuild import Rebuild
from tidemark.settings import Settings
from tidemark.warehouse.roles import role_sql

ODD_TABLE = """
create table "Odd ""Table" (
    "The Key" integer primary key,
    "it's ""quoted"" here" text,
    "SELECT" text,
    "100% {braces}" text,
    "Ünïcode, comma" text,
    "last Updated" timestamptz default now()
);
insert into "Odd ""Table" values (1, 'a', 'b', 'c', 'd'), (2, 'a', 'b', 'c', 'd'), (3, 'a', 'b', 'c', 'd')
"""
ODD_MODEL = """
[source.'Odd "Table']
key = ["The Key"]
updated = "last Updated"
"""


def test_names_may_hold_quotes_spaces_and_capitals(new_source: NewSource) -> None:
    source = new_source(ODD_TABLE, ODD_MODEL)
    table = 'Odd "Table'

    source.execute(
        """update "Odd ""Table" set "100% {braces}" = 'x' where "The Key" = 1""",
        """update "Odd ""Table" set "it's ""quoted"" here" = 'x', "last Updated" = now() where "The Key" = 2""",
        """delete from "Odd ""Table" where "The Key" = 3""",
        """insert into "Odd ""Table" values (4)""",
    )

    assert source.counts(table) == (1, 2, 1)
    assert source.changes(2, table)[0]["100% {braces}"] == "x"
    assert source.latest(table) == source.source(table)
    assert source.ingest() is None


USED_BY_THE_ENGINE = (
    "row_hash",
    "bucket",
    "rows",
    "change",
    "key",
    "low",
    "wanted",
    "found",
    "staged",
    "line",
    "k0",
    "t",
)


def test_a_table_and_its_key_may_have_names_that_the_engine_uses_too(new_source: NewSource) -> None:
    source = new_source(
        ";".join(
            f'create table "{name}" ("{name}" bigint primary key, name text);'
            f""" insert into "{name}" select n, 'x' from generate_series(1, 3000) as n"""
            for name in USED_BY_THE_ENGINE
        ),
        "".join(f'[source.{name}]\nkey = ["{name}"]\n' for name in USED_BY_THE_ENGINE),
    )

    for name in USED_BY_THE_ENGINE:
        source.execute(
            f'delete from "{name}" where "{name}" = 7; update "{name}" set name = null where "{name}" = 2000'
        )
    manifest = source.ingest()

    assert manifest is not None
    assert {(each.inserted, each.updated, each.deleted) for each in manifest.tables.values()} == {(0, 1, 1)}
    assert [source.latest(name) for name in USED_BY_THE_ENGINE] == [source.source(name) for name in USED_BY_THE_ENGINE]


KEYS = {
    "negative": ("integer", "n - 2000"),
    "small": ("smallint", "n - 2000"),
    "sparse": ("bigint", "(n - 2000) * 2305843009213693"),
    "at_both_ends": (
        "bigint",
        "case n when 1 then -9223372036854775808 when 2 then 9223372036854775807 else n end",
    ),
    "large": ("bigint", "4611686018427387904 - n * 3"),
    "very_negative": ("bigint", "-4611686018427387904 - n * 3"),
    "text": ("text", "'key ' || n"),
    "padded": ("character(12)", "'key ' || n"),
    "uuid": ("uuid", "md5(n::text)::uuid"),
    "decimal": ("numeric", "n / 8.0"),
    "moment": ("timestamptz", "timestamptz '2024-03-31 00:00Z' + n * interval '1 minute'"),
    "day": ("date", "date '2024-01-01' + n"),
    "bytes": ("bytea", "sha256(n::text::bytea)"),
}


def test_a_key_may_be_of_any_type_and_lie_anywhere(new_source: NewSource) -> None:
    source = new_source(
        ";".join(
            f"create table {name} (id {type_} primary key, n integer not null, name text);"
            f" insert into {name} select {key}, n, 'x' from generate_series(1, 4000) as n"
            for name, (type_, key) in KEYS.items()
        ),
        "".join(f'[source.{name}]\nkey = ["id"]\n' for name in KEYS),
    )

    for place, updated in (("n in (1, 2, 77, 4000)", 4), ("n % 2 = 0", 2000)):
        for name in KEYS:
            source.execute(
                f"update {name} set name = name || 'y' where {place}", f"delete from {name} where n = {updated - 1}"
            )
        manifest = source.ingest()

        assert manifest is not None
        counts = {name: (each.inserted, each.updated, each.deleted) for name, each in manifest.tables.items()}
        assert counts == dict.fromkeys(KEYS, (0, updated, 1))
        assert {name: source.latest(name) for name in KEYS} == {name: source.source(name) for name in KEYS}
    assert source.ingest() is None


TYPES = "create type mood as enum ('calm', 'a \"b\", c'); create type pair as (a integer, b text);"
OTHER_KEYS = {
    "doubles": ("double precision", ["'-0'", "'NaN'", "'-Infinity'"]),
    "numbers": ("numeric", ["1.0", "'NaN'", "12345678901234567890123456789.5"]),
    "days": ("date", ["'infinity'", "'0044-03-15 BC'", "'10000-01-01'"]),
    "moments": ("timestamptz", ["'-infinity'", "'0044-03-15 BC'", "'294276-12-31 23:59:59.999999Z'"]),
    "hosts": ("inet", ["'10.0.0.1'", "'10.0.0.1/24'", "'::1'"]),
    "moods": ("mood", ["'calm'", "'a \"b\", c'"]),
    "pairs": ("pair", ["(1, 'a')", "(2, 'a \"q\", (x)')", "(null, '')"]),
    "lists": ("integer[]", ["'{1,2}'", "'{1,NULL}'", "'[0:1]={1,2}'"]),
    "texts": ("text[]", ["array['a,b']", "array['a', 'b']", "array['NULL']"]),
    "spans": ("interval", ["'1 month'", "'31 days'", "'-1 hour'"]),
    "documents": ("jsonb", ["'{\"a\": 1}'", "'null'", "'[]'"]),
    "ranges": ("int4range", ["'[1,2)'", "'empty'", "'(,0)'"]),
    "bits": ("bit varying(8)", ["'0'", "'01'", "''"]),
    "flags": ("boolean", ["true", "false"]),
    "times": ("timetz", ["'24:00+00'", "'12:00+02'", "'13:00+03'"]),
    "amounts": ("money", ["1", "-2", "1234.56"]),
}


def test_a_key_may_be_of_any_other_type_too(new_source: NewSource) -> None:
    source = new_source(
        TYPES
        + "".join(
            f"create table {name} (id {kind} primary key, n serial, note text, at timestamp default '2024-01-01');"
            f" insert into {name} (id) values {', '.join(f'({value})' for value in values)};"
            for name, (kind, values) in OTHER_KEYS.items()
        ),
        "".join(f'[source.{name}]\nkey = ["id"]\nupdated = "at"\n' for name in OTHER_KEYS),
    )
    for name in OTHER_KEYS:
        source.execute(
            f"update {name} set note = 'unseen' where n = 1",
            f"update {name} set note = 'seen', at = '2100-01-01' where n = 2",
            f"delete from {name} where n = 3",
        )
    manifest = source.ingest()

    assert manifest is not None
    counts = {name: (each.updated, each.deleted) for name, each in manifest.tables.items()}
    assert counts == {name: (2, len(values) - 2) for name, (_, values) in OTHER_KEYS.items()}
    assert {name: source.latest(name) for name in OTHER_KEYS} == {name: source.source(name) for name in OTHER_KEYS}
    assert source.ingest() is None


def test_a_key_may_have_several_columns(new_source: NewSource) -> None:
    source = new_source(
        "create table line (order_id integer, code text, position smallint, name text, last_updated timestamp,"
        " primary key (order_id, code, position));"
        " insert into line select n / 10, 'c' || n % 5, n % 10, 'x', '2020-01-01' from generate_series(1, 3000) as n",
        '[source.line]\nkey = ["order_id", "code", "position"]\nupdated = "last_updated"',
    )

    source.execute(
        "update line set name = 'y' where order_id = 7 and code = 'c1'",
        "delete from line where order_id = 8 and code = 'c2'",
        "update line set position = position + 90 where order_id = 9 and code = 'c3'",
        "insert into line values (7, '', 0, 'z', now())",
    )

    assert source.counts("line") == (3, 2, 4)
    assert source.latest("line") == source.source("line")
    assert source.ingest() is None


def test_columns_that_a_unique_index_includes_are_no_part_of_its_key(new_source: NewSource) -> None:
    source = new_source(
        "create table kept (id integer not null, n integer not null); create unique index by on kept (id) include (n)",
        '[source.kept]\nkey = ["id"]',
    )
    source.execute("insert into kept values (1, 1)")
    assert source.ingest() is not None

    source.execute("drop index by", "create unique index on kept (id, n) include (id)")
    with pytest.raises(ContractError, match="no unique index over its key"):
        source.ingest()


def test_names_may_look_like_patterns_and_partitions_of_files(new_source: NewSource) -> None:
    # A path with `n=5` in it would give each row the n 5, and `a*` would read the files of `ab` as well.
    tables = ("n=5", "a*", "ab", "[ab]")
    source = new_source(
        "".join(
            f'create table "{name}" (id integer primary key, n integer);'
            f' insert into "{name}" values ({1 + number % 2}, {number});'
            for number, name in enumerate(tables)
        ),
        "".join(f'[source."{name}"]\nkey = ["id"]\n' for name in tables),
    )
    source.execute("".join(f'update "{name}" set n = n + 100;' for name in tables))
    source.ingest()
    for name in tables:
        assert source.latest(name) == source.source(name)
    assert Rebuild(source.model, source.objects, source.objects, clock, dry_run=True).latest().differences == 0


def test_two_tables_of_one_name_are_told_apart_by_their_schema(new_source: NewSource) -> None:
    source = new_source(
        "drop schema if exists crm, shop cascade; create schema crm; create schema shop;"
        "create table crm.customer (id integer primary key, name text, changed timestamp default '2024-01-01');"
        "create index on crm.customer (changed);"
        "create table shop.customer (code text primary key, name varchar(9) not null);"
        'create table shop."a/b" (id integer primary key);'
        """insert into crm.customer values (1, 'a'), (2, 'b'); insert into shop.customer values ('x', 'y');"""
        'insert into shop."a/b" values (1)',
        '[source.crm_customer]\nschema = "crm"\ntable = "customer"\nkey = ["id"]\nupdated = "changed"\n'
        '[source.customer]\nschema = "shop"\nkey = ["code"]\n'
        '[source.halves]\nschema = "shop"\ntable = "a/b"\nkey = ["id"]\n',
    )
    source.execute("update crm.customer set name = 'c', changed = now() where id = 1; delete from shop.customer")
    manifest = source.ingest()
    assert manifest is not None
    counts = {name: (each.inserted, each.updated, each.deleted) for name, each in manifest.tables.items()}
    assert counts == {"crm_customer": (0, 1, 0), "customer": (0, 0, 1), "halves": (0, 0, 0)}
    assert {name: source.latest(name) for name in counts} == {name: source.source(name) for name in counts}

    source.execute("alter table shop.customer drop constraint customer_pkey; drop table crm.customer")
    settings = Settings(source_url=source.reads_as, model=str(source.model.directory))
    found = [each.found for each in examine_source(wire(settings)) if each.outcome == "failure"]
    assert found == [
        "table crm.customer is not there",
        "table shop.customer has no unique index over code, with all columns not null",
    ]
    with pytest.raises(ContractError, match=r'relation "crm\.customer" does not exist'):
        source.ingest()
    assert 'grant select on "crm"."customer", "shop"."customer", "shop"."a/b" to' in role_sql(source.model, "source")
