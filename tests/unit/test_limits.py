"""What a column of the star can hold, as the warehouse's own statements say."""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.lake.sqltext import Select
from tidemark.model import Model, StarTable
from tidemark.model_reader import load_model
from tidemark.star.limits import Limit, known_limits_of, limits_of
from tidemark.star.star_sql import fitting, judged

WAREHOUSE = """
-- numeric (a comment that would not do)
create table dim_thing (
    thing_id integer not null,
    amount numeric not null, /* varchar(3) */
    wide decimal ( 50 , 10 ) default 0,
    price numeric(10, 2),
    code varchar(3),
    "a name" character varying(5),
    seen timestamp(3),
    at_time time(0),
    known uuid,
    content json,
    constraint dim_thing_pkey primary key (thing_id)
);

create table dim_other (other_id integer not null, tags text[] default array['a'] collate "C");

create type mood as enum ('ok', 'it''s sad');
create domain "price" as numeric(6, 2) check (value > 0);
create table dim_typed (typed_id integer not null, mood mood not null, cost price,
    embedded vector(3) not null, host inet, flag char);

create view nothing as select 1 as one;
"""
# Column, the DuckDB type that a SELECT yields, a value as SQL, and whether the star takes it.
VALUES = [
    ("INTEGER", "INTEGER", "1", True),
    ("INTEGER", "BIGINT", "2147483648", False),
    ("INTEGER", "DOUBLE", "1.5", False),
    ("INTEGER", "DOUBLE", "'NaN'::double", False),
    ("INTEGER", "VARCHAR", "'12'", True),
    ("INTEGER", "VARCHAR", "'12.5'", False),
    ("INTEGER", "VARCHAR", "'twelve'", False),
    ("SMALLINT", "INTEGER", "40000", False),
    ("DECIMAL(10,2)", "DECIMAL(38,18)", "99999999.99", True),
    ("DECIMAL(10,2)", "DECIMAL(38,18)", "1.0000", True),
    ("DECIMAL(10,2)", "DECIMAL(38,18)", "1.005", False),
    ("DECIMAL(10,2)", "DECIMAL(38,18)", "-100000000", False),
    ("DECIMAL(10,2)", "DOUBLE", "'Infinity'::double", False),
    ("DECIMAL(30,2)", "VARCHAR", "'1234567890123456789012345678.90'", True),
    ("DECIMAL(10,2)", "VARCHAR", "'1.0000'", True),
    ("DECIMAL(10,2)", "VARCHAR", "'1.0000000000000000000000001'", False),
    ("DECIMAL(38,30)", "VARCHAR", "'1.0000000000000000000000001'", True),
    ("BIGINT", "VARCHAR", "'5.0000000000000000000000001'", False),
    ("BIGINT", "VARCHAR", "'5.000'", True),
    *(("NUMERIC", "VARCHAR", f"'{each}'", True) for each in ("1" * 100, "-0.10", "NaN", "-Infinity", "1e400")),
    *(("NUMERIC", "VARCHAR", f"'{each}'", False) for each in ("", "a", "1,5", "--1", "1 000", "0x10")),
    ("NUMERIC", "DECIMAL(38,2)", "1.50", True),
    ("NUMERIC", "DOUBLE", "'NaN'::double", False),
    ("DATE", "VARCHAR", "'2024-02-29'", True),
    ("DATE", "VARCHAR", "'2023-02-29'", False),
    ("DATE", "VARCHAR", "'next week'", False),
    ("DATE", "VARCHAR", "'epoch'", False),
    ("DATE", "VARCHAR", "'today'", False),
    ("DATE", "VARCHAR", "'infinity'", False),
    ("DATE", "VARCHAR", "''", False),
    ("DATE", "VARCHAR", "'2024-02-29 10:00'", False),
    ("DATE", "VARCHAR", "'10000-01-01'", False),
    ("DATE", "VARCHAR", "'0044-03-15 BC'", False),
    *(("DATE", "VARCHAR", f"'{each}'", False) for each in ("24-01-05", "1-2-3", "2024-1-5", "2024-01-32", "20240105")),
    *(
        ("DATE", "VARCHAR", f"'{each}'", False)
        for each in ("2024/01/05", "2024 01 05", "2024-01-05 ", "\uff12024-01-05")
    ),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05'", True),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05 10:00:00.123456'", True),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05T10:00'", True),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05T10:61'", False),
    ("TIMESTAMP", "VARCHAR", "'24-01-05 10:00'", False),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05 10:00:00.1234567'", False),
    ("TIMESTAMP", "VARCHAR", "'2024-01-05 10:00:00+02'", False),
    ("TIMESTAMP", "VARCHAR", "'epoch'", False),
    ("DATE", "DATE", "'infinity'::date", False),
    ("DATE", "DATE", "'9999-12-31'::date", True),
    ("DATE", "DATE", "'10000-01-01'::date", False),
    ("TIMESTAMP", "TIMESTAMP", "'-infinity'::timestamp", False),
    ("TIMESTAMP", "TIMESTAMP", "'0001-01-01'::timestamp", True),
    ("TIME", "VARCHAR", "'23:59:59.999999'", True),
    ("TIME", "VARCHAR", "'.000000'", False),
    ("TIME", "VARCHAR", "'1:2:3'", False),
    ("TIME", "VARCHAR", "'10:00:00+02'", False),
    ("TIME", "VARCHAR", "'2024-01-05 10:00'", False),
    ("UUID", "VARCHAR", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", True),
    ("UUID", "VARCHAR", "'a0eebc99'", False),
    ("JSON", "VARCHAR", "'{\"a\": 1}'", True),
    ("JSON", "VARCHAR", "'{'", False),
    ("BOOLEAN", "VARCHAR", "'maybe'", False),
    ("VARCHAR", "VARCHAR", "''", True),
    ("VARCHAR", "INTEGER", "5", True),
]


@pytest.fixture(scope="module")
def limits(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Limit]]:
    folder = tmp_path_factory.mktemp("model")
    (folder / "warehouse.sql").write_text(WAREHOUSE, "utf-8")
    stars = {
        name: StarTable(name, "dimension", (), (), "") for name in ("dim_thing", "dim_other", "dim_typed", "dim_gone")
    }
    return known_limits_of(Model("small", folder, ZoneInfo("UTC"), {}, stars))


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def taken(duck: duckdb.DuckDBPyConnection, limit: Limit, found: str, value: str) -> tuple[list[object], str | None]:
    """Give what the star takes of a column with one value, and why not if it does not."""
    select, types, known = f"select cast({value} as {found}) as v", {"v": found}, {"v": limit}
    rows = judged(Select(select), types, known, {})
    reason = duck.execute(f"select _tidemark_wrong from ({rows})").fetchone()
    kept = duck.execute(fitting(rows.rows, types, known, [])).fetchall()
    assert reason is not None
    return [row[0] for row in kept], reason[0]


def test_types_are_read_as_postgres_reads_them(limits: Mapping[str, Mapping[str, Limit]]) -> None:
    assert limits["dim_thing"] == {
        "thing_id": Limit("INTEGER", is_required=True),
        "amount": Limit("NUMERIC", is_required=True),
        "wide": Limit("NUMERIC", is_required=False, has_default=True, digits=(50, 10)),
        "price": Limit("DECIMAL(10,2)", is_required=False),
        "code": Limit("VARCHAR", is_required=False, longest=3),
        "a name": Limit("VARCHAR", is_required=False, longest=5),
        "seen": Limit("TIMESTAMP", is_required=False, is_rounded=True),
        "at_time": Limit("TIME", is_required=False, is_rounded=True),
        "known": Limit("UUID", is_required=False),
        "content": Limit("JSON", is_required=False),
    }


def test_types_of_the_file_are_known_and_others_are_text(limits: Mapping[str, Mapping[str, Limit]]) -> None:
    assert limits["dim_typed"] == {
        "typed_id": Limit("INTEGER", is_required=True),
        "mood": Limit("ENUM('ok', 'it''s sad')", is_required=True),
        "cost": Limit("DECIMAL(6,2)", is_required=False),
        "embedded": Limit("VARCHAR", is_required=True, other_type="vector"),
        "host": Limit("VARCHAR", is_required=False, other_type="inet"),
        "flag": Limit("VARCHAR", is_required=False, longest=1, other_type="character"),
    }


def test_a_value_that_an_enum_lacks_does_not_fit(
    duck: duckdb.DuckDBPyConnection, limits: Mapping[str, Mapping[str, Limit]]
) -> None:
    mood = limits["dim_typed"]["mood"]
    assert mood.lake_type == "VARCHAR"
    assert taken(duck, mood, "VARCHAR", "'it''s sad'") == (["it's sad"], None)
    assert taken(duck, mood, "VARCHAR", "'SAD'")[1] == "v is 'SAD', which is no ENUM('ok', 'it''s sad')"


def test_a_float_that_is_refused_is_shown_as_what_it_is_and_with_its_cast(duck: duckdb.DuckDBPyConnection) -> None:
    reasons = {
        (found, value): taken(duck, Limit("DECIMAL(12,2)", is_required=False), found, value)[1]
        for found, value in (("FLOAT", "1261.4"), ("DOUBLE", "0.1 + 0.2::double"), ("DOUBLE", "'NaN'"))
    }
    cast = ", which is no DECIMAL(12,2): a float; if rounding is meant, write cast(… as decimal(12,2)) in the SELECT"
    assert list(reasons.values()) == [
        f"v is '1261.4000244140625'{cast}",
        f"v is '0.30000000000000004'{cast}",
        "v is 'nan', which is no DECIMAL(12,2)",
    ]


def test_what_duckdb_cannot_run_has_no_limits(limits: Mapping[str, Mapping[str, Limit]]) -> None:
    assert limits["dim_other"] == limits["dim_gone"] == {}


def test_every_table_of_a_model_that_ships_has_limits() -> None:
    model = load_model("totesys")

    assert [name for name, found in limits_of(model).items() if not found] == []


@pytest.mark.parametrize(("kind", "found", "value", "fits"), VALUES)
def test_a_value_is_taken_or_has_a_reason(
    duck: duckdb.DuckDBPyConnection,
    kind: str,
    found: str,
    value: str,
    fits: bool,  # noqa: FBT001 -- a case of the test
) -> None:
    kept, reason = taken(duck, Limit(kind, is_required=True), found, value)

    assert (len(kept), reason is None) == (int(fits), fits)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("2024-01-05 10:00:00+02", True),
        ("2024-01-05T10:00:00.5Z", True),
        ("2024-01-05 10:00-02:30", True),
        ("2024-01-05 10:00 Europe/Paris", False),
        ("2024/01/05 10:00Z", False),
    ],
)
def test_a_moment_with_a_zone_is_taken_in_iso_form(
    duck: duckdb.DuckDBPyConnection,
    value: str,
    fits: bool,  # noqa: FBT001 -- a case of the test
) -> None:
    limit = Limit("TIMESTAMP WITH TIME ZONE", is_required=True)
    rows = judged(Select(f"select '{value}' as v"), {"v": "VARCHAR"}, {"v": limit}, {})
    assert duck.execute(f"select _tidemark_wrong is null from ({rows})").fetchall() == [(fits,)]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("1" * 40 + ".0123456789000", True),
        ("-000" + "1" * 40, True),
        ("1" * 41, False),
        ("0.01234567891", False),
        ("NaN", True),
        ("Infinity", False),
        ("1e5", False),
    ],
)
def test_a_numeric_with_many_digits_takes_what_postgres_neither_refuses_nor_rounds(
    duck: duckdb.DuckDBPyConnection,
    value: str,
    fits: bool,  # noqa: FBT001 -- a case of the test
) -> None:
    limit = Limit("NUMERIC", is_required=True, digits=(50, 10))

    assert taken(duck, limit, "VARCHAR", f"'{value}'")[0] == ([value] if fits else [])


def test_a_null_is_taken_where_the_star_may_have_one(duck: duckdb.DuckDBPyConnection) -> None:
    assert taken(duck, Limit("DATE", is_required=False), "VARCHAR", "null") == ([None], None)
    assert taken(duck, Limit("DATE", is_required=True), "VARCHAR", "null") == (
        [],
        "v is null, and the star has none there",
    )


def test_a_text_longer_than_its_column_is_refused(duck: duckdb.DuckDBPyConnection) -> None:
    limit = Limit("VARCHAR", is_required=True, longest=3)

    assert taken(duck, limit, "VARCHAR", "'äöü'") == (["äöü"], None)
    assert taken(duck, limit, "VARCHAR", "'four'") == ([], "v is 'four', which is no VARCHAR(3)")


@given(cents=st.integers(-(10**14), 10**14), decimals=st.integers(0, 6))
def test_money_is_taken_digit_for_digit_or_not_at_all(
    duck: duckdb.DuckDBPyConnection, cents: int, decimals: int
) -> None:
    value = f"{cents}e-{decimals}"
    kept, reason = taken(duck, Limit("DECIMAL(10,2)", is_required=True), "DECIMAL(38,18)", f"'{value}'")
    exact = cents * 10 ** (6 - decimals)

    fits = exact % 10**4 == 0 and abs(exact) < 10**14
    assert (reason is None) == fits
    assert [int(each * 10**6) for each in kept] == ([exact] if fits else [])  # type: ignore[operator]
