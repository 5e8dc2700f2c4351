"""The real rows on other engines: the star and the warehouse are the same, in slices and at once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.engines import assert_same_star, by_engines
from tests.support.pipeline import Rig, warehouse_template
from tests.support.postgres import Postgres
from tests.support.replay import Replay
from tests.support.spark import VERSIONS, spark_of
from tidemark.lake.spark import started_sail
from tidemark.lake.spark_rows import DUCKDB

NewDatabase = Callable[..., str]


def assert_same_warehouse(rig: Rig, other: Rig, postgres: Postgres, new_database: NewDatabase) -> None:
    loaded = replace(other, warehouse_url=new_database(warehouse_template(postgres, rig.model)))
    loaded.load()
    assert loaded.ledger() == rig.ledger()
    assert loaded.warehouse_rows() == rig.warehouse_rows()


def test_the_real_rows_give_the_same_on_sail_also_in_slices_between_which_the_engine_changes(
    replay: Replay, postgres: Postgres, new_database: NewDatabase, tmp_path: Path
) -> None:
    with started_sail() as (sail, _):
        at_once = by_engines(replay.at_once, tmp_path / "at_once", sail)
        in_slices = by_engines(replay.rig, tmp_path / "in_slices", sail, DUCKDB)

    assert_same_star(replay.at_once, at_once)
    assert_same_star(replay.rig, in_slices)
    assert_same_warehouse(replay.rig, in_slices, postgres, new_database)


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_rows_give_the_same_on_spark_itself(
    replay: Replay, postgres: Postgres, new_database: NewDatabase, tmp_path: Path, version: str
) -> None:
    with spark_of(version, tmp_path) as spark:
        at_once = by_engines(replay.at_once, tmp_path / "at_once", spark)
        in_slices = by_engines(replay.rig, tmp_path / "in_slices", spark)
        in_turn = by_engines(replay.rig, tmp_path / "in_turn", DUCKDB, spark)

    assert_same_star(replay.at_once, at_once)
    assert_same_warehouse(replay.at_once, at_once, postgres, new_database)
    assert_same_star(replay.rig, in_slices)
    assert_same_star(replay.rig, in_turn)
    assert_same_warehouse(replay.rig, in_turn, postgres, new_database)
