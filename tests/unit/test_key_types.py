"""Whether two keys of the source can become one on the way into the warehouse."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.small_source import write_model
from tidemark.errors import ContractError
from tidemark.lake.engine import open_engine
from tidemark.log.columns import Column
from tidemark.star.binding import bind, require_readable
from tidemark.star.limits import limits_of

HISTORY = "valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp"
BOTH = """
[source.t{0}]
key = ["id"]
[star.dim_d{0}]
kind = "dimension"
key = ["id"]
reads = ["t{0}"]
[star.fact_f{0}]
kind = "fact"
key = ["record"]
driving = "t{0}"
source_key = ["id"]
reads = ["t{0}"]
"""
BECOME = "two keys may become one"
DOMAINS = "create domain code as char(4); create domain address as inet; create domain label as text;"
# The source's type, what the SELECT makes of it, the warehouse's type.
APART = [
    *(("text", "id", kind) for kind in ("text", "varchar(9)", "date", "label")),
    *(("uuid", "id", kind) for kind in ("uuid", "text")),
    *((kind, "id", kind) for kind in ("inet", "integer", "numeric(9,2)", "double precision", "boolean")),
    ("uuid", "id::uuid as id", "uuid"),
    ("time(3) without time zone", "id", "time"),
    ("time without time zone", "id", "time(6)"),
    ("character(4)", "id", "char(8)"),
    ("character(4)", "id", "code"),
    ("bpchar", "id", "character(8)"),
    ("public.mood", "id", "mood"),
    ("inet", "id", "address"),
    ("date", "id", "timestamp"),
    ("timestamp(0) without time zone", "id", "timestamp"),
    ("integer", "id", "bigint"),
    ("integer", "id", "double precision"),
    ("smallint", "id", "real"),
    ("real", "id", "double precision"),
    ("double precision", "id", "text"),
    ("numeric", "id", "bigint"),
    # Passed on by all that keeps a value as it is, beside what makes another text of it.
    ("uuid", "coalesce(max(id) over (partition by id), id) as id", "uuid"),
]
JOINED = [
    *(("text", "id", kind) for kind in ("uuid", "time", "integer", "numeric", "boolean", "timestamp", "timestamptz")),
    *(("text", "id", kind) for kind in ("char(4)", "character", "bpchar", "nchar(4)", "code")),
    *(("text", "id", kind) for kind in ("inet", "address", "name", "citext", "public.other")),
    ("character varying(9)", "id", "uuid"),
    ("character(4)", "id", "uuid"),
    ("cidr", "id", "inet"),
    ("uuid", "upper(id) as id", "uuid"),
    ("timestamp without time zone", "id", "timestamp(0)"),
    ("time without time zone", "id", "time(3)"),
    ("bigint", "id", "double precision"),
    ("integer", "id", "real"),
    ("numeric(9,2)", "id", "double precision"),
    ("double precision", "id", "real"),
    ("double precision", "id", "numeric(9,2)"),
]


def tables(at: int, held: str) -> str:
    fact = f"create table fact_f{at} (record bigint primary key, id {held} not null, {HISTORY});"
    return f"create table dim_d{at} (id {held} primary key); {fact}"


def faults(folder: Path, cases: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], list[str]]:
    """Bind a dimension and a fact of each case, and say what is wrong with them."""
    toml, files, columns = "", {"warehouse.sql": DOMAINS}, {}
    for at, (source, made, held) in enumerate(cases):
        toml += BOTH.format(at)
        files["warehouse.sql"] += tables(at, held)
        files[f"dimension/d{at}.sql"] = files[f"fact/f{at}.sql"] = f"select {made} from t{at}"
        columns[f"t{at}"] = [Column("id", source)]
    model = write_model(folder / "model", toml, files)
    with open_engine([]) as engine:
        wrong = bind(engine, model, columns, limits_of(model), columns, columns).mistakes
    return {
        case: [each for each in wrong if re.match(rf"(dim_d|fact_f|dimension/d|fact/f){at}\b", each)]
        for at, case in enumerate(cases)
    }


def test_a_key_whose_values_stay_apart_is_taken(tmp_path: Path) -> None:
    assert {case: wrong for case, wrong in faults(tmp_path, APART).items() if wrong} == {}


def test_a_key_of_which_the_warehouse_makes_one_value_of_two_is_refused_by_name(tmp_path: Path) -> None:
    found = faults(tmp_path, JOINED)

    assert {case for case, wrong in found.items() if len(wrong) != 2 or BECOME not in wrong[0]} == set()


def test_a_refused_key_is_told_with_both_types_and_what_to_write(tmp_path: Path) -> None:
    cases = [("text", "id", "char(4)"), ("bigint", "id", "real"), ("time without time zone", "id", "time(3)")]

    assert [wrong[0] for wrong in faults(tmp_path, cases).values()] == [
        f"dim_d0.id is character, and dimension/d0.sql yields text for it: {BECOME} there; write text in warehouse.sql",
        f"dim_d1.id is real, and dimension/d1.sql yields bigint for it: {BECOME} there; write bigint in warehouse.sql",
        f"dim_d2.id rounds the seconds of a time: {BECOME} there; write no precision in warehouse.sql",
    ]


def test_a_fact_passes_its_key_on_as_the_source_has_it(tmp_path: Path) -> None:
    # A dimension's key is what its SELECT makes it.
    case = ("text", "id::uuid as id", "uuid")

    assert faults(tmp_path, [case])[case] == [
        f"fact/f0.sql yields uuid for id, which is text in the source: {BECOME}; yield it as it is"
    ]


def test_a_key_that_the_source_retypes_later_is_a_change_of_the_contract(tmp_path: Path) -> None:
    made = "select id from t0"
    files = {"warehouse.sql": tables(0, "uuid"), "dimension/d0.sql": made, "fact/f0.sql": made}
    model = write_model(tmp_path / "model", BOTH.format(0), files)

    with open_engine([]) as engine:
        require_readable(engine, model, {"t0": [Column("id", "uuid")]}, ["t0"])
        with pytest.raises(
            ContractError, match=f"dim_d0.id is uuid, and dimension/d0.sql yields text for it: {BECOME}"
        ):
            require_readable(engine, model, {"t0": [Column("id", "text")]}, ["t0"])
