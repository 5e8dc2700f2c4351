"""The commands for a mirror: roles with just the rights that it needs, and what doctor says before the first batch."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import clock
from tests.support.postgres import Postgres
from tidemark.doctor.examination import examine
from tidemark.pipeline import Pipeline
from tidemark.settings import Settings
from tidemark.warehouse.roles import role_sql

SHOP = """
create schema crm;
create table public.a (id integer primary key, v integer);
insert into public.a values (1, 5);
create table crm.b (id integer primary key);
"""
LATER = """
create table crm.later (id integer primary key);
insert into crm.later values (1);
alter table public.a alter v type bigint;
"""


@pytest.fixture
def settings(postgres: Postgres, tmp_path: Path) -> Iterator[Settings]:
    source, warehouse = postgres.create(), postgres.create()
    with psycopg.connect(postgres.url(source)) as connection:
        connection.execute(SHOP)
    (tmp_path / "model.toml").write_text('[mirror]\nschemas = ["public", "crm"]\n')
    yield Settings(
        model=str(tmp_path),
        source_url=postgres.url(source),
        warehouse_url=postgres.url(warehouse),
        ingestion=str(tmp_path / "ingestion"),
        processed=str(tmp_path / "processed"),
        pointer=str(tmp_path / "pointer.json"),
    )
    for database in (source, warehouse):
        postgres.drop(database)


def test_the_printed_roles_are_enough_for_a_mirror_and_what_comes_later(settings: Settings) -> None:
    model = Pipeline(settings, clock).model_of_any_batch
    source, warehouse = str(settings.source_url), str(settings.warehouse_url)
    with psycopg.connect(source) as owner, psycopg.connect(warehouse) as other:
        for _ in range(2):
            owner.execute(role_sql(model, "source").encode())
            other.execute(role_sql(model, "warehouse").encode())
    roles = replace(
        settings,
        source_url=source.replace("postgres@", "tidemark_reader@"),
        warehouse_url=warehouse.replace("postgres@", "tidemark_loader@"),
    )
    pipeline = Pipeline(roles, clock)
    # Nobody prepared the warehouse.
    fresh = [each for each in examine(lambda: pipeline) if each.outcome == "failure"]
    for change in ("select 1", LATER):
        with psycopg.connect(source) as owner:
            owner.execute(change)
        pipeline.ingest.run()
        behind = [each for each in examine(lambda: pipeline) if each.outcome != "pass"]
        pipeline.transform.run()
        pipeline.load.run()

    assert (fresh, behind) == ([], [])
    assert [each for each in examine(lambda: pipeline) if each.outcome != "pass"] == []
    with psycopg.connect(warehouse) as owner:
        assert owner.execute("select v, pg_typeof(v)::text from a").fetchall() == [(5, "bigint")]
        assert owner.execute("table crm.later").fetchall() == [(1,)]
        owner.execute("drop owned by tidemark_loader cascade")
    with psycopg.connect(source) as owner:
        owner.execute("drop owned by tidemark_reader cascade")
