"""Keys of the warehouse whose equality is not that of their text, and what becomes of a warehouse that has them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.integration.test_doctor import failures
from tests.support.pipeline import Rig, ask, clock
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model
from tidemark.errors import ConfigError, DataError
from tidemark.log.keys import FLOATING
from tidemark.model import Model
from tidemark.postgres.equality import NUMBERS
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.warehouse.schema import init, plan_init

# A type like citext, as an extension brings it: its functions are those of text, its equality is not.
TYPES = """
create type folded;
create function folded_in(cstring) returns folded language internal immutable strict as 'textin';
create function folded_out(folded) returns cstring language internal immutable strict as 'textout';
create type folded (input = folded_in, output = folded_out, like = text);
create cast (folded as text) without function as assignment;
create function folded_cmp(folded, folded) returns integer language sql immutable
    as $$ select bttextcmp(lower($1::text), lower($2::text)) $$;
create function folded_eq(folded, folded) returns boolean language sql immutable
    as $$ select lower($1::text) = lower($2::text) $$;
create operator = (leftarg = folded, rightarg = folded, function = folded_eq);
create operator class folded_ops default for type folded using btree as operator 3 =, function 1 folded_cmp;
create type exact;
create function exact_in(cstring) returns exact language internal immutable strict as 'textin';
create function exact_out(exact) returns cstring language internal immutable strict as 'textout';
create type exact (input = exact_in, output = exact_out, like = text, collatable = true);
create cast (exact as text) without function as implicit;
create domain folded_label as folded;
create domain plain_label as varchar(9);
create type mood as enum ('ok');
create type plain_pair as (a integer, b text);
create type loose_pair as (a integer, b interval);
set allow_system_table_mods = on;
create collation loose (provider = libc, locale = 'C');
-- Only ICU makes such a collation; the catalog is all that is asked.
update pg_collation set collisdeterministic = false where collname = 'loose';
"""
ALIKE = [
    *("integer", "text", 'varchar(3) collate "C"', "char(4)", "numeric", "double precision", "uuid", "date", "inet"),
    *("mood", "mood[]", "integer[]", "daterange", "plain_pair", "plain_label", "exact"),
]
UNLIKE = {
    "interval": "is interval, and equal values of interval may differ in text",
    "jsonb": "is jsonb, and equal values of jsonb may differ in text",
    "numeric[]": "is numeric[], and equal values of numeric may differ in text",
    "numrange": "is numrange, and equal values of numeric may differ in text",
    "loose_pair": "is loose_pair, and equal values of interval may differ in text",
    "folded": "is folded, and equal values of folded may differ in text",
    "folded_label": "is folded_label, and equal values of folded may differ in text",
    "text collate loose": 'has the collation "loose", under which texts that differ may be equal',
}
TABLES = """
create table dim_lengths (span {0} primary key);
create table fact_stay (
    record_id bigint primary key, span {0} not null, length {0} references dim_lengths, valid_from timestamp not null,
    is_deleted boolean not null, batch_id bigint not null, valid_to timestamp
);
"""
STAY = """
[source.stay]
key = ["span"]
[star.dim_lengths]
kind = "dimension"
key = ["span"]
reads = ["stay"]
[star.fact_stay]
kind = "fact"
key = ["record_id"]
driving = "stay"
source_key = ["span"]
reads = ["stay"]
[star.fact_stay.references]
length = "dim_lengths"
"""

# The type in warehouse.sql, and two texts of the source that it takes for one value.
JOINING = {
    "uuid": ("A0000000-0000-0000-0000-000000000000", "a0000000-0000-0000-0000-000000000000"),
    "integer": ("01", "1"),
    "char(4)": ("a", "a "),
}
JOINED = """
[source.t{0}]
key = ["id"]
[star.dim_d{0}]
kind = "dimension"
key = ["id"]
reads = ["t{0}"]
[star.fact_f{0}]
kind = "fact"
key = ["record_id"]
driving = "t{0}"
source_key = ["id"]
reads = ["t{0}"]
[star.fact_f{0}.references]
id = "dim_d{0}"
"""
JOINED_TABLES = """
create table dim_d{0} (id {1} primary key, n integer);
create table fact_f{0} (
    record_id bigint primary key, id {1} not null references dim_d{0}, n integer, valid_from timestamp not null,
    is_deleted boolean not null, batch_id bigint not null, valid_to timestamp
);
"""


def execute(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


def test_numbers_are_compared_as_numbers_in_log_and_catalog_alike() -> None:
    assert {"numeric", *FLOATING} == NUMBERS


def test_a_key_that_calls_two_texts_equal_is_refused_by_name(new_database: Callable[..., str], tmp_path: Path) -> None:
    url, columns = new_database(), {f"k{at:02}": kind for at, kind in enumerate([*ALIKE, *UNLIKE])}
    execute(url, TYPES)
    declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    toml = f'[source.t]\nkey = ["id"]\n[star.dim_t]\nkind = "dimension"\nkey = {list(columns)}\nreads = ["t"]\n'
    tables = f"create table dim_t ({declared}, label interval unique, primary key ({', '.join(columns)}))"
    model = write_model(tmp_path / "model", toml, {"warehouse.sql": tables, "dimension/t.sql": "select * from t"})

    expected = [
        f"dim_t.{name} {UNLIKE[kind]}: such a column cannot be a key of the warehouse"
        for name, kind in columns.items()
        if kind in UNLIKE
    ]
    for prepare in (init, plan_init):
        with pytest.raises(ConfigError) as caught:
            prepare(url, model)
        assert list(caught.value.problems) == expected
    assert ask(url, "select to_regclass('dim_t'), to_regclass('tidemark.batch')") == [(None, None)]


@pytest.mark.parametrize("kind", ["interval", "text collate loose"])
def test_a_key_that_becomes_text_keeps_its_rows_and_what_refers_to_them(
    new_database: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    source, warehouse = new_database(), new_database()
    execute(warehouse, TYPES)
    execute(source, f"{TYPES}; create table stay (span {kind} primary key)")
    selects = {
        "dimension/lengths.sql": "select span from stay",
        "fact/stay.sql": "select span, span as length from stay",
    }
    model = write_model(tmp_path / "model", STAY, {"warehouse.sql": TABLES.format("text"), **selects})
    init(warehouse, model)
    # As an older Tidemark let it be made.
    views = "drop view fact_stay_current; drop function fact_stay_as_of; drop table fact_stay, dim_lengths;"
    execute(warehouse, views + TABLES.format(kind))
    execute(warehouse, "insert into dim_lengths values ('30 days')")
    execute(warehouse, "insert into fact_stay values (1, '30 days', '30 days', '2024-01-01', false, 0)")

    def found(area: str) -> list[str]:
        wrong = failures(source, warehouse, tmp_path, str(tmp_path / "model"))
        return [each.found for each in wrong if each.area == area and "text" in each.found]

    assert found("warehouse") == [
        f"{place}.span {UNLIKE[kind]}: such a column cannot be a key of the warehouse"
        for place in ("dim_lengths", "fact_stay")
    ]
    told = "two texts of the key public.stay.span are two keys here, though the source may call them equal"
    assert found("source") == [f"{told}: it {UNLIKE[kind]}"]

    init(warehouse, model)

    assert plan_init(warehouse, model) == []
    assert found("warehouse") == []
    assert ask(warehouse, "select span, length from fact_stay_current") == [("30 days", "30 days")]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        execute(warehouse, "update fact_stay set length = '1 mon'")


def joining(folder: Path, kinds: Iterable[str]) -> Model:
    toml, files = "", {"warehouse.sql": ""}
    for at, kind in enumerate(kinds):
        toml += JOINED.format(at)
        files["warehouse.sql"] += JOINED_TABLES.format(at, kind)
        files[f"dimension/d{at}.sql"] = files[f"fact/f{at}.sql"] = f"select id, n from t{at}"
    return write_model(folder, toml, files)


def begin_as_an_older_one(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the first batch through, as an older Tidemark did."""
    init(rig.warehouse_url, rig.model)
    with monkeypatch.context() as older:
        older.setattr("tidemark.star.binding.require_fitting", lambda *_: None)
        rig.transform()
    rig.load()


def mend(rig: Rig) -> None:
    """Do what the docs say after the model was mended."""
    init(rig.warehouse_url, rig.model)
    Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    rig.transform()
    rig.load()


def test_a_warehouse_that_has_one_value_for_two_keys_gets_both_back(
    new_rig: Callable[..., Rig],
    new_database: Callable[..., str],
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def build(url: str) -> None:
        for at, (first, _) in enumerate(JOINING.values()):
            execute(
                url, f"create table t{at} (id text primary key, n integer); insert into t{at} values ('{first}', 1)"
            )

    good = joining(tmp_path / "good", ["text"] * len(JOINING))
    rig = new_rig(postgres.template("joined keys", build), model=str(good.directory))
    bad = replace(rig, model=joining(tmp_path / "bad", JOINING))
    with pytest.raises(ConfigError, match=r"dim_d0\.id is uuid, and dimension/d0\.sql yields text for it: two keys"):
        bad.ingest()
    rig.ingest()
    bad = replace(bad, warehouse_url=new_database())
    begin_as_an_older_one(bad, monkeypatch)
    second = [f"insert into t{at} values ('{each}', 2)" for at, (_, each) in enumerate(JOINING.values())]
    bad.change(second[0], second[2], *(f"update t{at} set n = n + 10" for at in range(len(JOINING))))
    with pytest.raises(DataError, match="`tidemark doctor` names a key column"):
        bad.run()
    # The star has a number where the warehouse has one.
    bad.change(second[1], "update t1 set n = n + 10")
    with pytest.raises(DataError, match=r"dim_d1 has several rows for id 1 in .* `tidemark doctor` names a type"):
        bad.run()

    wrong = failures(bad.source_url, bad.warehouse_url, tmp_path / "lake", str(bad.model.directory))
    told = [each.found for each in wrong if each.area == "model"]
    assert [each.partition(" ")[0] for each in told] == [
        f"{kind}{at}.id" for at in range(3) for kind in ("dim_d", "fact_f")
    ]
    assert all("write text in warehouse.sql" in each for each in told)

    mended = replace(bad, model=good)
    mend(mended)

    assert unproven(verify(mended, deep=True)) == set()
    assert [
        mended.warehouse(f"select count(*) from fact_f{at}_current inner join dim_d{at} using (id)") for at in range(3)
    ] == [[(2,)]] * 3
