"""Changes that a poll on `last_updated` alone never sees, and values that differ where they look the same."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.small_source import SmallSource

STAMPED = """
create table item (
    item_id integer primary key,
    name text,
    price numeric,
    last_updated timestamp(3) default clock_timestamp()
);
insert into item (item_id, name, price) select n, 'item ' || n, n from generate_series(1, 50) as n
"""
STAMPED_MODEL = """
[source.item]
key = ["item_id"]
updated = "last_updated"
"""
# But for one row, with which the watermark lies far above all the others.
STAMPED_LONG_AGO = STAMPED.replace("clock_timestamp()", "'2020-01-01'") + (
    "; insert into item values (100, 'now', 1, clock_timestamp())"
)
PLAIN = """
create table plain (plain_id integer primary key, name text);
insert into plain select n, 'plain ' || n from generate_series(1, 50) as n
"""
PLAIN_MODEL = """
[source.plain]
key = ["plain_id"]
"""

NewSource = Callable[..., SmallSource]


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[str]:
    """One database for all tests of this file, each of which starts with an empty schema."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def new_source(database: str, tmp_path: Path) -> NewSource:
    """Make a source out of statements and a model, poll its baseline, and return it."""

    def create(statements: str, model: str) -> SmallSource:
        source = SmallSource(tmp_path, database, model)
        source.execute("drop schema public cascade; create schema public", statements)
        source.ingest()
        return source

    return create


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("insert into item values (101, 'old', 1, now() - interval '2 years')", [("insert", 101)]),
        ("insert into item values (101, 'never', 1, null)", [("insert", 101)]),
        ("insert into item values (101, 'far', 1, now() + interval '2 years')", [("insert", 101)]),
        ("insert into item values (101, 'end', 1, 'infinity')", [("insert", 101)]),
        ("insert into item values (101, 'start', 1, '-infinity')", [("insert", 101)]),
        ("insert into item values (101, 'Caesar', 1, '0044-03-15 BC')", [("insert", 101)]),
        ("update item set name = 'other' where item_id = 7", [("update", 7)]),
        ("update item set last_updated = null where item_id = 7", [("update", 7)]),
        ("update item set name = null where item_id = 7", [("update", 7)]),
        ("update item set last_updated = '2001-01-01' where item_id = 7", [("update", 7)]),
        ("update item set item_id = 77 where item_id = 7", [("delete", 7), ("insert", 77)]),
        # Two rows swap their keys; a unique index is checked row by row, so by way of a third.
        (
            """update item set item_id = -item_id where item_id in (28, 30);
            update item set item_id = 58 + item_id where item_id < 0""",
            [("update", 28), ("update", 30)],
        ),
        (
            "update item set name = case item_id when 28 then 'item 30' else 'item 28' end where item_id in (28, 30)",
            [("update", 28), ("update", 30)],
        ),
        (
            "update item set price = 58 - price where item_id in (28, 30)",
            [("update", 28), ("update", 30)],
        ),
        ("update item set price = -price where item_id = 7", [("update", 7)]),
        ("delete from item where item_id = 7", [("delete", 7)]),
        ("update item set name = name, price = price + 0", []),
        ("delete from item where item_id = 7; insert into item values (7, 'again', 0, now())", [("update", 7)]),
        ("insert into item values (101, 'brief', 1); delete from item where item_id = 101", []),
        ("update item set price = 7.0 where item_id = 7", [("update", 7)]),
        ("update item set price = 'NaN' where item_id = 7", [("update", 7)]),
    ],
)
def test_a_change_that_the_cursor_does_not_see_is_found_at_once(
    new_source: NewSource, change: str, expected: list[tuple[str, int]]
) -> None:
    source = new_source(STAMPED_LONG_AGO, STAMPED_MODEL)

    source.execute(change)
    manifest = source.ingest()

    assert (manifest is not None) == bool(expected)
    if manifest:
        assert [(line["_op"], line["item_id"]) for line in source.changes(2, "item")] == expected
    assert source.latest("item") == source.source("item")
    assert source.ingest() is None


def test_an_update_and_a_delete_between_two_polls_are_a_delete_of_the_last_known_row(new_source: NewSource) -> None:
    source = new_source(STAMPED, STAMPED_MODEL)
    known = source.changes(1, "item")[6]

    source.execute("update item set name = 'seen by nobody', last_updated = now() where item_id = 7")
    source.execute("delete from item where item_id = 7")
    source.ingest()

    assert source.changes(2, "item") == [{**known, "_op": "delete", "_before": known}]
    assert source.latest("item") == source.source("item")


def test_a_table_without_a_column_of_time_is_compared_whole(new_source: NewSource) -> None:
    source = new_source(PLAIN, PLAIN_MODEL)

    source.execute(
        "insert into plain values (101, 'new')",
        "update plain set name = 'changed' where plain_id = 3",
        "delete from plain where plain_id = 4",
    )
    manifest = source.ingest()

    assert manifest is not None
    assert manifest.watermark is None or manifest.highest is None
    assert [(line["_op"], line["plain_id"]) for line in source.changes(2, "plain")] == [
        ("update", 3),
        ("delete", 4),
        ("insert", 101),
    ]
    assert source.latest("plain") == source.source("plain")


def test_a_table_that_is_emptied_and_filled_again_is_right_each_time(new_source: NewSource) -> None:
    source = new_source(STAMPED, STAMPED_MODEL)

    source.execute("delete from item")
    emptied = source.counts("item")
    source.execute("insert into item values (7, 'first', 1)")
    filled = source.counts("item")

    assert (emptied, filled) == ((0, 0, 50), (1, 0, 0))
    assert source.latest("item") == source.source("item")


VALUES = """
create type mood as enum ('calm', 'angry', 'a "quoted", one');
create domain cents as numeric(12, 2) check (value >= 0);
create domain tag as text;
create domain tags as tag[];
create type place as (street text, number integer);
create table held (
    held_id integer primary key,
    as_numeric numeric, as_text text, as_float double precision, as_real real, as_json json, as_jsonb jsonb,
    as_array integer[], as_texts text[], as_enum mood, as_bytes bytea, as_interval interval, as_cents cents, as_tag tag,
    as_tags tags, as_char character(8), as_bpchar bpchar, as_bool boolean, as_date date, as_time time, as_timetz timetz,
    as_stamp timestamp, as_zoned timestamptz, as_uuid uuid, as_inet inet, as_bits bit varying(16), as_money money,
    as_range int4range, as_place place, as_xid xid, as_point point, as_tsvector tsvector, as_name name,
    as_small smallint, as_big bigint, as_oid oid
);
"""


PAIRS = [
    ("as_numeric", "1.0", "1.00"),
    ("as_numeric", "5", "-5"),
    ("as_numeric", "'NaN'", "'Infinity'"),
    ("as_numeric", "'-Infinity'", "'Infinity'"),
    ("as_numeric", "1e-30", "1e-31"),
    ("as_numeric", "0", "null"),
    ("as_numeric", "12345678901234567890.123456789012345678", "12345678901234567890.123456789012345679"),
    ("as_text", "''", "null"),
    ("as_text", "'null'", "null"),
    ("as_text", "'NULL'", "'null'"),
    ("as_text", r"'\N'", r"'\n'"),
    ("as_text", r"'\.'", r"'\\.'"),
    ("as_text", "'a'", "'a '"),
    ("as_text", "'\"'", "'\"\"'"),
    ("as_text", r"E'one\ntwo'", r"E'one\r\ntwo'"),
    ("as_text", r"E'one\ttwo,three;'", r"E'one\x01two,three;'"),
    ("as_text", "'caf\u00e9'", "'cafe\u0301'"),
    ("as_text", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("as_text", "'2024-01-01'", "'2024-01-01 00:00:00'"),
    ("as_text", "'1'", "'01'"),
    ("as_text", "'true'", "'t'"),
    ("as_text", "'\U0001f45c'", "'\U0001f45d'"),
    ("as_text", "repeat('x', 3000000)", "repeat('x', 3000001)"),
    ("as_float", "'-0'", "0"),
    ("as_float", "'NaN'", "'infinity'"),
    ("as_float", "0.1", "0.10000000000000002"),
    ("as_real", "'-0'", "0"),
    ("as_json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("as_json", "'null'", "null"),
    ("as_jsonb", "'{\"a\": 1}'", "'{\"a\": 1.0}'"),
    ("as_jsonb", "'null'", "null"),
    ("as_jsonb", "'[]'", "'{}'"),
    ("as_array", "'{}'", "null"),
    ("as_array", "'{1,2}'", "'{{1,2}}'"),
    ("as_array", "'{1,2}'", "'[0:1]={1,2}'"),
    ("as_texts", "array[null]::text[]", "array['NULL']"),
    ("as_texts", "array['a,b']", "array['a', 'b']"),
    ("as_enum", "'calm'", "'a \"quoted\", one'"),
    ("as_bytes", r"'\x00'", r"'\x'"),
    ("as_bytes", r"'\xdeadbeef'", r"'\xdeadbeff'"),
    ("as_interval", "'1 day'", "'24 hours'"),
    ("as_interval", "'1 month'", "'30 days'"),
    ("as_cents", "1.5", "1.51"),
    ("as_tag", "''", "null"),
    ("as_tags", "array['a']", "array['b']"),
    ("as_char", "'a'", "'b'"),
    ("as_bpchar", "'a'", "'a '"),
    ("as_bool", "false", "null"),
    ("as_date", "'infinity'", "'0044-03-15 BC'"),
    ("as_time", "'24:00'", "'00:00'"),
    ("as_timetz", "'12:00+00'", "'13:00+01'"),
    ("as_stamp", "'2024-01-01 00:00:00.000001'", "'2024-01-01'"),
    ("as_zoned", "'294276-12-31 23:59:59.999999Z'", "'infinity'"),
    ("as_uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    ("as_inet", "'10.0.0.1'", "'10.0.0.1/24'"),
    ("as_bits", "'01'", "'1'"),
    ("as_money", "1", "2"),
    ("as_range", "'empty'", "'[1,2)'"),
    ("as_place", "row('a', 1)", "row('a', null)"),
    ("as_xid", "'1'", "'2'"),
    ("as_point", "'(0,0)'", "'(-0,0)'"),
    ("as_tsvector", "'a b'", "'a'"),
    ("as_name", "'a'", "'b'"),
    ("as_small", "-32768", "32767"),
    ("as_big", "9007199254740993", "9007199254740992"),
    ("as_big", "1", "4294967296"),
    ("as_big", "-1", "4294967295"),
    ("as_big", "-9223372036854775808", "9223372036854775807"),
    ("as_oid", "4294967295", "0"),
]


def test_two_values_with_different_text_are_a_change(new_source: NewSource) -> None:
    source = new_source(VALUES, '[source.held]\nkey = ["held_id"]')
    # Beside each row that changes stands one that does not.
    for number, (column, before, _) in enumerate(PAIRS, start=1):
        source.execute(f"insert into held (held_id, {column}) values ({-number}, {before}), ({number}, {before})")
    source.ingest()
    rows_before = source.source("held")
    assert source.latest("held") == rows_before

    source.execute(
        *(f"update held set {column} = {after} where held_id = {n}" for n, (column, _, after) in enumerate(PAIRS, 1))
    )
    source.ingest()

    lines = {str(line["held_id"]): line for line in source.changes(3, "held")}
    assert [pair for number, pair in enumerate(PAIRS, start=1) if str(number) not in lines] == []
    assert len(lines) == len(PAIRS)
    rows = source.source("held")
    assert source.latest("held") == rows
    # The log holds the same texts, and a text is a text whatever it looks like.
    assert [_as_texts(lines[str(row["held_id"])]) for row in rows if str(row["held_id"]) in lines] == [
        row for row in rows if str(row["held_id"]) in lines
    ]
    assert [
        _as_texts(lines[str(row["held_id"])]["_before"]) for row in rows_before if str(row["held_id"]) in lines
    ] == [row for row in rows_before if str(row["held_id"]) in lines]
    assert source.ingest() is None


def _as_texts(line: object) -> dict[str, str | None]:
    assert isinstance(line, dict)
    flags = {True: "t", False: "f", None: None}
    return {
        name: flags[value] if value is None or isinstance(value, bool) else str(value)
        for name, value in line.items()
        if name not in ("_op", "_before")
    }


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


KEYS_ONLY = STAMPED_MODEL + 'sweep = "keys"\n'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete from item where item_id = 7", (0, 0, 1)),
        ("insert into item values (101, 'old', 1, '2001-01-01')", (1, 0, 0)),
        ("update item set name = 'other', last_updated = '2001-01-01' where item_id = 7", (0, 1, 0)),
        ("update item set name = 'other', last_updated = null where item_id = 7", (0, 1, 0)),
        ("update item set item_id = 77 where item_id = 7", (1, 0, 1)),
        ("update item set name = 'other' where item_id = 7", (0, 0, 0)),
    ],
)
def test_a_sweep_of_keys_finds_all_but_updates_that_leave_the_stamp_alone(
    new_source: NewSource, change: str, expected: tuple[int, int, int]
) -> None:
    source = new_source(STAMPED_LONG_AGO, KEYS_ONLY)

    source.execute(change)

    assert source.counts("item") == expected
    assert (source.latest("item") == source.source("item")) == (expected != (0, 0, 0))


def test_a_row_that_a_sweep_of_keys_has_missed_is_right_once_it_is_stamped(new_source: NewSource) -> None:
    source = new_source(STAMPED, KEYS_ONLY)
    source.execute("update item set name = 'first' where item_id = 7")
    source.ingest()

    source.execute("update item set price = 0, last_updated = clock_timestamp() where item_id = 7")

    assert source.counts("item") == (0, 1, 0)
    assert source.latest("item") == source.source("item")


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


def test_a_change_of_every_row_without_a_stamp_is_found(new_source: NewSource) -> None:
    source = new_source(
        STAMPED + "; insert into item select n, 'x', n from generate_series(51, 20000) as n", STAMPED_MODEL
    )

    source.execute("update item set price = price + 0.5")

    assert source.counts("item") == (0, 20_000, 0)
    assert source.latest("item") == source.source("item")
    assert source.ingest() is None
