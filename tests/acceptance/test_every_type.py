"""Every type of PostgreSQL in a mirror: each value arrives as it is, whatever happens to its table."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from tests.support import every_type
from tests.support.mirror import differing_columns, doctor_says, found_wrong, known, mirror_rig, types_in_warehouse
from tests.support.pipeline import Rig, as_text
from tests.support.postgres import Postgres
from tests.support.type_table import array_rows, key_facts, type_rows
from tests.support.written_docs import require_written, table
from tidemark.mirror import Scope

FOLDER = Path(every_type.__file__).parent
SCOPE = Scope(schemas=("public", "key"))
# The tables that a mirror cannot have, with a word of the reason.
LEFT_OUT = {"public.keyless": "no key", "public.keyless_child": "no key", "public.shown": "is a view"}
# The types that have no order, so that PostgreSQL can make no unique index over them.
WITHOUT_ORDER = {
    *("json", "jsonpath", "xml", "xid", "pg_snapshot", "place (a composite)", "trip (a composite of composites)"),
    *("point", "line", "lseg", "box", "path", "polygon", "circle"),
}
# The types of which two texts are equal for PostgreSQL, by whether a mirror says so too (decision 0018).
ONE_KEY = {"numeric", "real", "double precision", "bpchar"}
TWO_KEYS = {"interval", "jsonb", "numrange", "pair (a composite of numbers)"}
LIKE_OTHERS = {"integer", "text", '"char"', "bytea", "timetz", "regclass", "mood (an enum)", "integer[]"}


@dataclass(frozen=True)
class Mirrored:
    """The pipeline after a second run, and what was seen after the first."""

    rig: Rig
    # The same rows in a warehouse that has the types of the source's users.
    prepared: Rig
    differed: list[str]


@pytest.fixture(scope="module")
def mirrored(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrored]:
    """Mirror the database, change it, and mirror it again; tests share what came of it and only look."""
    statements = {name: (FOLDER / f"{name}.sql").read_text("utf-8") for name in ("types", "tables", "changes")}
    with mirror_rig(postgres, str(tmp_path_factory.mktemp("types")), SCOPE) as (rig, new_database):
        prepared = replace(rig, warehouse_url=new_database())
        with psycopg.connect(prepared.warehouse_url) as connection:
            connection.execute(statements["types"].encode())
        rig.change(statements["types"], statements["tables"])
        rig.run()
        differed = differing_columns(rig)
        rig.change(statements["changes"])
        rig.run()
        prepared.load()
        yield Mirrored(rig, prepared, differed)


def test_each_value_of_each_type_is_in_the_warehouse_as_the_source_writes_it(mirrored: Mirrored) -> None:
    assert mirrored.differed == []
    assert differing_columns(mirrored.rig) == []


@pytest.mark.parametrize("has_every_key", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_what_is_mirrored_of_each_type_is_proved_to_the_bottom(mirrored: Mirrored, *, has_every_key: bool) -> None:
    mirrored_names = set(known(mirrored.rig).tables)
    keys = {name for name in mirrored_names if name.startswith("key.")}
    # Of the keys that are told apart by their text a few stand for all.
    some = {f"key.{name}" for name in ONE_KEY | TWO_KEYS | LIKE_OTHERS}
    assert some <= keys

    left_out = set() if has_every_key else keys - some
    assert found_wrong(mirrored.rig, deep=True, only=mirrored_names - left_out) == []


def test_a_warehouse_with_the_types_of_the_users_takes_each_value_too(mirrored: Mirrored) -> None:
    prepared = mirrored.prepared
    plain = types_in_warehouse(mirrored.rig, "public", "every_type")
    types = types_in_warehouse(prepared, "public", "every_type")

    assert differing_columns(prepared) == []
    assert {name: kind for name, kind in types.items() if plain[name] != kind} == {
        "mood (an enum)": "mood",
        "Größe (an enum of another schema)": '"Own ""types"""."Größe"',
        "place (a composite)": "place",
        "trip (a composite of composites)": "trip",
        "tags (a domain over an array)": "tag[]",
        "pair (a composite of numbers)": "pair",
        "floats (a range)": "floats",
        "vector(3) (of an extension)": "vector(3)",
    }
    assert types_in_warehouse(prepared, "key", "mood (an enum)")["k"] == "mood"


def test_doctor_names_the_columns_that_are_text_for_want_of_their_type(mirrored: Mirrored) -> None:
    lacking = "public.every_type.mood (an enum) is text in the warehouse, which has no type mood"

    assert lacking in doctor_says(mirrored.rig)
    # The name of an object means nothing in another database: no type is missing there.
    assert not any("regclass" in each for each in doctor_says(mirrored.rig))
    assert not any("mood" in each for each in doctor_says(mirrored.prepared))


def test_a_key_of_each_type_keeps_one_history_where_its_values_are_told_apart(mirrored: Mirrored) -> None:
    facts = key_facts(mirrored.rig)

    assert {name for name, each in facts.items() if each.refusal} == WITHOUT_ORDER
    # Each lost a key for good. Where equal values are two keys, one of them is another key since then.
    for name, each in facts.items():
        two_keys = bool(each.equal_texts) and not each.is_one_key
        assert each.refusal or each.ended == 1 + two_keys, (name, each)
    assert {name for name, each in facts.items() if each.is_one_key} == ONE_KEY
    assert {name for name, each in facts.items() if each.equal_texts} == ONE_KEY | TWO_KEYS


def test_a_mirror_names_what_it_leaves_out_and_reads_a_parent_without_its_children(mirrored: Mirrored) -> None:
    rig = mirrored.rig
    left_out = rig.newest().left_out

    assert {name for name, word in LEFT_OUT.items() if word in left_out[name]} == set(LEFT_OUT) == set(left_out)
    assert rig.warehouse("select id, name, since is null from parent order by id") == [
        (1, "changed", False),
        (2, "of the parent", False),
    ]
    assert rig.warehouse("select id, more from child order by id") == [(3, None), (4, "more")]


def test_partitions_come_and_go_with_their_rows(mirrored: Mirrored) -> None:
    rig = mirrored.rig
    parts = "select region, id, is_deleted from partitioned_history where valid_to is null and {} order by region, id"

    assert rig.warehouse(parts.format("region in ('south', 'east', 'west')")) == [
        ("east", 7, False),
        *(("south", n, True) for n in (1, 2, 3)),
        ("west", 1, False),
        ("west", 2, True),
        ("west", 3, False),
    ]
    # Once it is no partition any more, it is a table of its own.
    assert rig.warehouse("select id from south order by id") == [(1,), (2,), (3,)]
    assert same_rows(rig, "select region, id, amount, note from partitioned")


def test_columns_that_come_go_and_change_are_followed_and_nothing_is_lost(mirrored: Mirrored) -> None:
    rig = mirrored.rig
    types = types_in_warehouse(rig, "public", "columns_37_history")
    others = types_in_warehouse(rig, "public", "columns_300_history")

    assert [types[name] for name in ("added", "computed", "c34")] == ["integer", "text", "timestamp with time zone"]
    # In numeric(80,2) the text of earlier versions would get a decimal point.
    assert [types[name] for name in ("digits_76", "c4")] == ["numeric", "text"]
    # It holds texts of before that are no numbers.
    assert others["c151"] == "text"
    assert rig.warehouse("select c150, c151, c152 from columns_300_history where c1 = 2 order by valid_from") == [
        (None, None, None),
        ("under another name", "151", None),
    ]
    assert rig.warehouse("select added, valid_to is null from columns_37_history where id = 1 order by 2") == [
        (None, False),
        (5, True),
    ]
    assert {
        "public.columns_37.c34 is gone",
        "public.columns_37.digits_76 was numeric(76,0) and is numeric(80,2)",
        "public.columns_300.c151 was text and is integer",
        "public.south is new: taken along",
    } <= set(rig.newest().drift)


def test_the_type_table_of_the_docs_is_what_the_mirror_did(mirrored: Mirrored, pytestconfig: pytest.Config) -> None:
    facts = key_facts(mirrored.rig)
    headings = ("type", "a text of it", "log", "latest", "mirror", "a star's SELECT", "warehouse", "as a key")
    lines = table(headings, type_rows(mirrored.rig, mirrored.prepared, facts))

    require_written(pytestconfig, "types.md", "types", lines)
    arrays = table(("type", "a text of it", "warehouse"), array_rows(mirrored.rig))
    require_written(pytestconfig, "types.md", "arrays", arrays)


def same_rows(rig: Rig, query: str) -> bool:
    """Say whether source and warehouse answer a query with the same texts."""
    return as_text(rig.source_url, query) == as_text(rig.warehouse_url, query)
