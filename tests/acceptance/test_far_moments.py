"""Times at both ends of what the star can have come to the warehouse as they are, whoever made the lake's tables."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest

from tests.support.older_lake import PLAIN, asked_by, older_tidemark
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model
from tidemark.compact import Compact
from tidemark.rebuild import Rebuild

TOML = """
timezone = "America/New_York"

[source.event]
key = ["event_id"]
updated = "changed"

[star.fact_event]
kind = "fact"
key = ["record_id"]
driving = "event"
source_key = ["event_id"]
reads = ["event"]
[star.fact_event.references]
seen = "dim_moment"

[star.dim_moment]
kind = "dimension"
key = ["seen"]
reads = ["event"]

[star.dim_state]
kind = "dimension"
history = true
key = ["event_id"]
reads = ["event"]
"""
FILES = {
    "fact/event.sql": "select event_id, seen, zoned from event",
    "dimension/moment.sql": "select distinct seen, 'at ' || seen as label from event where seen is not null",
    "dimension/state.sql": "select event_id, seen, zoned from event",
    "warehouse.sql": """
        create table dim_moment (seen timestamp primary key, label text not null);
        create table dim_state (state_record_id bigint primary key, event_id integer not null, seen timestamp,
            zoned timestamptz, valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,
            valid_to timestamp);
        create table fact_event (record_id bigint primary key, event_id integer not null,
            seen timestamp references dim_moment, zoned timestamptz, valid_from timestamp not null,
            is_deleted boolean not null, batch_id bigint not null, valid_to timestamp);
    """,
}
ROWS = """
create table event (event_id integer primary key, seen timestamp, zoned timestamptz,
    changed timestamp not null default '2024-03-10 02:30');
insert into event values
    (1, '0001-01-01', '0001-01-01 00:00+00'), (2, '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00'),
    (3, '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00'), (4, '1900-01-01 00:00:00.000001', null),
    (5, '2024-03-10 02:30', '2024-03-10 02:30+00'), (6, '2024-11-03 01:30:00.5', '2024-11-03 01:30:00.5-04'),
    (7, 'infinity', null), (8, '-infinity', null), (9, '0044-03-15 BC', null), (10, '20000-01-31', null);
"""
TIMES = "select event_id, seen::text, zoned::text from {} order by event_id"


@pytest.fixture
def template(postgres: Postgres) -> str:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(ROWS.encode())

    return postgres.template("far moments", build)


@pytest.mark.parametrize("is_older", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_each_time_arrives_as_it_is(
    new_rig: Callable[..., Rig], template: str, tmp_path: Path, *, is_older: bool
) -> None:
    model = write_model(tmp_path / "events", TOML, FILES)
    with older_tidemark() if is_older else nullcontext():
        rig = new_rig(template, model=str(model.directory))
        rig.run()

    wanted = rig.source(f"{TIMES.format('event').partition(' order')[0]} where event_id < 7 order by event_id")
    assert rig.warehouse(TIMES.format("fact_event_current")) == wanted
    types = "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'fact_event'::regclass and"
    assert rig.warehouse(f"{types} attname in ('seen', 'zoned', 'valid_from') order by attnum") == [
        ("timestamp without time zone",),
        ("timestamp with time zone",),
        ("timestamp without time zone",),
    ]
    assert unproven(verify(rig, deep=True)) == set()

    rig.change(
        "update event set seen = seen - interval '1 microsecond', changed = '2024-03-11' where event_id in (2, 3)",
        "update event set seen = '9999-12-31', changed = '2024-03-11' where event_id = 7",
        "delete from event where event_id in (1, 8)",
    )
    rig.run()
    Compact(rig.model, rig.ingestion, rig.processed, clock, lambda: 2).run()

    assert set(asked_by(rig).values()) == {PLAIN}
    wanted = rig.source(
        f"{TIMES.format('event').partition(' order')[0]} where event_id between 2 and 7 order by event_id"
    )
    for view in ("fact_event_current", "dim_state_current"):
        assert rig.warehouse(TIMES.format(view)) == wanted
    assert unproven(verify(rig, deep=True)) == set()
    report = Rebuild(rig.model, rig.ingestion, rig.processed, clock).star()
    assert report.differences == 0
