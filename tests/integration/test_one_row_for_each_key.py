"""A SELECT that gives one key to several rows: transform says so, before anything waits for the load."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.capture.poll import Poll
from tidemark.errors import DataError
from tidemark.model_reader import load_model

TOML = """
[source.part]
key = ["id"]
[source.tool]
key = ["id"]
[star.dim_part]
kind = "dimension"
key = ["id"]
reads = ["part"]
[star.dim_pair]
kind = "dimension"
key = ["id"]
reads = ["part", "tool"]
[star.fact_tool]
kind = "fact"
key = ["record_id"]
driving = "tool"
source_key = ["id"]
reads = ["tool"]
"""
TABLES = """
create table dim_part (id text primary key, n integer);
create table dim_pair (id text primary key, n integer);
create table fact_tool (record_id bigint primary key, id text not null, n integer not null,
    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp);
"""
SELECTS = {
    "dimension/part.sql": "select {} as id, n from part",
    "dimension/pair.sql": "select {} as id, n from part union all select 'tool ' || id, n from tool",
    "fact/tool.sql": "select {} as id, n from tool",
}


def build(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create table part (id text primary key, n integer); create table tool (like part);")
        connection.execute("alter table tool add primary key (id)")


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> Rig:
    write_model(
        tmp_path / "model",
        TOML,
        {"warehouse.sql": TABLES, **{path: each.format("id") for path, each in SELECTS.items()}},
    )
    return new_rig(postgres.template("parts and tools", build), model=str(tmp_path / "model"))


def refuse(rig: Rig, tmp_path: Path, path: str, found: str) -> None:
    """Poll, fail to transform the batch by a SELECT that folds its key, and bring it through with the mended one."""
    rig.ingest()
    (tmp_path / "model" / path).write_text(SELECTS[path].format("lower(id)"))
    with pytest.raises(DataError, match=found) as caught:
        replace(rig, model=load_model(str(tmp_path / "model"))).transform()
    assert caught.value.advice.startswith(f"mend {path}: it gives one ")
    (tmp_path / "model" / path).write_text(SELECTS[path].format("id"))
    rig.transform()
    rig.load()


def test_a_select_that_gives_one_key_to_several_rows_stops_its_batch_until_it_is_mended(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.change("insert into part values ('A', 1), ('a', 2)")
    refuse(rig, tmp_path, "dimension/part.sql", "dim_part has several rows for id a in batch 1")

    rig.change("insert into tool values ('B', -1), ('b', 99999999)")
    refuse(rig, tmp_path, "fact/tool.sql", "fact_tool has several rows for change [12] in changes/")

    rig.change("update part set n = 3 where id = 'a'", "insert into part values ('C', 1), ('c', 2)")
    refuse(rig, tmp_path, "dimension/pair.sql", "dim_pair has several rows for id [ac] in batch 3")

    # Each of the two lines is in an object of its own.
    _, *others = Poll.__init__.__defaults__ or ()
    monkeypatch.setattr(Poll.__init__, "__defaults__", (8, *others))
    rig.change("insert into part values ('Z', 1), ('z', 2)")
    refuse(rig, tmp_path, "dimension/part.sql", "dim_part has several rows for id z in batch 4")

    assert [each.rows for each in rig.newest().tables["part"].objects if each.rows] == [1, 1]
    assert rig.ledger() == [1, 2, 3, 4]
    assert rig.count("fact_tool_current") == 2
