"""The second model of the tests stands by itself: its schema, rows, activity, SELECTs and warehouse fit together."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.support.selects import present, present_seed
from tidemark.model_reader import load_model
from tidemark.verification.laws import checked, laws
from tidemark.verification.star_warehouse import open_snapshot
from tidemark.warehouse.schema import init

HERE = Path(__file__).parent / "clinic"
MODEL = load_model(str(HERE))
HISTORY = ["valid_from", "is_deleted", "batch_id", "valid_to"]


def clinic_sql(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def batches() -> list[str]:
    return clinic_sql("activity.sql").split("-- batch:")[1:]


@pytest.fixture
def clinic(new_database: Callable[..., str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(new_database()) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(clinic_sql("schema.sql"))
        connection.execute(clinic_sql("rows.sql"))
        yield connection


@pytest.fixture
def duck(clinic: psycopg.Connection, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    for batch in batches():
        clinic.execute("--" + batch)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'Asia/Kolkata'")
        for table in MODEL.sources.values():
            present(clinic, connection, f"{table.schema}.{table.name}", tmp_path)
        for seed in MODEL.seeds.values():
            present_seed(connection, seed)
        connection.execute("create table calendar as select date '2024-11-03' as date_id")
        yield connection


def test_the_models_keys_are_the_sources_keys(clinic: psycopg.Connection) -> None:
    for table in MODEL.sources.values():
        key = clinic.execute(
            "select array_agg(attname::text order by array_position(conkey, attnum)) from pg_constraint "
            "inner join pg_attribute on attrelid = conrelid and attnum = any(conkey) "
            "where contype = 'p' and conrelid = %s::regclass",
            (f"{table.schema}.{table.name}",),
        ).fetchone()
        assert key == (list(table.key),)


def test_each_part_of_the_activity_changes_something(clinic: psycopg.Connection) -> None:
    def state() -> list[list[tuple[object, ...]]]:
        return [
            clinic.execute(f"select t::text from {table.schema}.{table.name} as t order by 1").fetchall()
            for table in MODEL.sources.values()
        ]

    states = [state()]
    for batch in batches():
        clinic.execute("--" + batch)
        states.append(state())

    assert len(states) == 5
    assert all(before != after for before, after in pairwise(states))


def test_the_selects_yield_the_warehouses_columns(
    duck: duckdb.DuckDBPyConnection, new_database: Callable[..., str]
) -> None:
    url = new_database()
    init(url, MODEL)
    with psycopg.connect(url) as warehouse:
        for star in MODEL.stars.values():
            yielded = [column[0] for column in duck.execute(star.sql).description]
            expected = [*star.key, *yielded, *HISTORY] if star.kind == "fact" else yielded
            columns = warehouse.execute(f"select * from {star.name}").description or ()
            assert [column.name for column in columns] == expected


def test_the_laws_are_kept_where_there_is_nothing(new_database: Callable[..., str]) -> None:
    url = new_database()
    init(url, MODEL)
    with open_snapshot(url) as warehouse:
        found = [checked(law, warehouse) for law in laws(MODEL, warehouse)]

    assert [proof.table for proof in found][-1] == "checks/doses_are_positive"
    assert [proof for proof in found if not proof.is_proven or proof.note] == []


def test_the_facts_hold_what_the_activity_left(duck: duckdb.DuckDBPyConnection) -> None:
    treatments = MODEL.stars["fact_treatment"].sql
    moved = duck.execute(f"select * from ({treatments}) where patient_no = 9000000041 and line_no = 1001")
    moved_row = moved.fetchone()
    assert moved_row is not None
    assert moved_row[:3] == (9000000041, dt.date(2024, 11, 2), 1001)
    assert moved_row[6:9] == (Decimal("99999999.9999"), None, None)

    referrals = MODEL.stars["fact_referral"].sql
    days = duck.execute(
        f"select count(*) from ({referrals}) where referred_on <> cast(referred_at at time zone 'UTC' as date)"
    )
    assert days.fetchone() == (0,)


def test_the_dimensions_hold_what_the_activity_left(duck: duckdb.DuckDBPyConnection) -> None:
    wards = duck.execute(MODEL.stars["dim_ward"].sql).fetchall()
    titles = duck.execute(f"select distinct title from ({MODEL.stars['dim_clinician'].sql})").fetchall()

    assert ("A&E", "Emergency Department", "North", 24) in wards
    assert {"ICU-2", "Ä-1", "null", "\\N", "7", "007"} <= {ward[0] for ward in wards}
    assert ("Consultant, Associate",) in titles
    assert duck.execute(MODEL.stars["dim_day"].sql).fetchall() == [(dt.date(2024, 11, 3), 2024, True)]
