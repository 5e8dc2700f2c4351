"""Days that the calendar cannot take: set aside, counted, and taken up again by a replay under a mended model."""

from calendar import WEDNESDAY
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig, clock, open_rig
from tests.support.small_source import write_model
from tidemark.rebuild import Rebuild
from tidemark.replay import Replay
from tidemark.star.quarantine_report import list_set_aside
from tidemark.warehouse.schema import init

MODEL = """
[source.visit]
key = ["visit_id"]

[star.dim_day]
kind = "calendar"
key = ["day_id"]

[star.fact_visit]
kind = "fact"
key = ["visit_record_id"]
driving = "visit"
source_key = ["visit_id"]
reads = ["visit"]
references = { day_id = "dim_day" }
"""
FILES = {
    "warehouse.sql": """
        create table dim_day (day_id date primary key, day_name varchar(8));
        create table fact_visit (
            visit_record_id bigint primary key, visit_id integer not null, day_id date, valid_from timestamp not null,
            is_deleted boolean not null, batch_id bigint not null, valid_to timestamp, unique (visit_id, valid_from)
        );
    """,
    "dimension/day.sql": "select date_id as day_id, dayname(date_id) as day_name from calendar",
    "fact/visit.sql": "select visit_id, day_id from visit",
}
WIDE = {**FILES, "warehouse.sql": FILES["warehouse.sql"].replace("varchar(8)", "varchar(9)")}
DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(366)]
WEDNESDAYS = [day for day in DAYS if day.weekday() == WEDNESDAY]


def new_pipeline(new_database: Callable[..., str], folder: Path) -> Rig:
    """Make a pipeline whose calendar cannot hold the name of a Wednesday."""
    model = write_model(folder / "model", MODEL, FILES)
    source, warehouse = new_database(), new_database()
    with psycopg.connect(source) as connection:
        connection.execute("create table visit (visit_id integer primary key, day_id date)")
        connection.execute("insert into visit values (1, '2024-01-01')")
    init(warehouse, model)
    return open_rig(model, source, warehouse, str(folder / "lake"))


def days_aside(rig: Rig) -> list[date]:
    rows = list_set_aside([rig.model.stars["dim_day"]], rig.processed)
    assert {row.reason for row in rows} <= {"day_name is 'Wednesday', which is no VARCHAR(8)"}
    return sorted(date.fromisoformat(str(row.values["day_id"])) for row in rows)


def days_loaded(rig: Rig) -> list[date]:
    return [row[0] for row in rig.warehouse("select day_id from dim_day order by 1")]


def test_a_day_that_the_calendar_cannot_take_is_set_aside_and_counted(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    rig = new_pipeline(new_database, tmp_path)

    rig.ingest()
    report = rig.transform()
    rig.load()

    assert report.set_aside == len(WEDNESDAYS)
    assert days_aside(rig) == WEDNESDAYS
    assert days_loaded(rig) == sorted(set(DAYS) - set(WEDNESDAYS))


def test_a_replay_takes_up_the_days_that_the_mended_model_can_take(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    rig = new_pipeline(new_database, tmp_path)
    rig.run()
    rig = replace(rig, model=write_model(tmp_path / "wide", MODEL, WIDE))
    init(rig.warehouse_url, rig.model)

    Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run("dim_day")
    rig.run()

    assert days_aside(rig) == []
    assert days_loaded(rig) == DAYS


def test_a_rebuild_sets_the_same_days_aside(new_database: Callable[..., str], tmp_path: Path) -> None:
    rig = new_pipeline(new_database, tmp_path)
    rig.run()
    rig.change("insert into visit values (2, '2024-02-02')")
    rig.run()

    report = Rebuild(rig.model, rig.ingestion, rig.processed, clock, dry_run=True).star()

    assert report.differences == 0
    assert days_aside(rig) == WEDNESDAYS
