"""`tidemark verify`: its exit codes, and what it prints."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pipeline import Rig
from tests.support.proof import EDGES
from tests.support.tampering import alter_database, rewrite
from tidemark.cli import run


@pytest.fixture
def small(small_totesys: Callable[..., Rig]) -> Rig:
    """A small pipeline after two batches, which a test may change."""
    return small_totesys(2)


def arguments(rig: Rig, lake: Path) -> list[str]:
    return [
        "verify",
        *("--source-url", rig.source_url, "--warehouse-url", rig.warehouse_url),
        *("--ingestion", str(lake / "ingestion"), "--processed", str(lake / "processed")),
        *("--pointer", str(lake / "pointer.json")),
    ]


def test_a_place_that_is_away_is_said_not_to_be_compared(
    small: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = arguments(small, tmp_path / "lake")
    called[called.index("--warehouse-url") + 1] = "postgresql://nobody@127.0.0.1:1/none"

    assert run(called) == 3

    shown = capsys.readouterr().out
    assert "star = warehouse: not compared" in shown
    assert "no difference in what was compared; not compared: star = warehouse; laws of the warehouse (" in shown


def test_the_command_ends_with_0_where_all_is_equal_and_with_5_where_not(
    small: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = arguments(small, tmp_path / "lake")
    assert run(called) == 0
    shown = capsys.readouterr().out
    assert "no difference" in shown
    assert "laws of the warehouse, batch 2: tables and ledger kept, objects of the model kept, references kept" in shown

    rewrite(small.processed, "dimension/design", "design_id = 2", design_name="'other'")
    assert run(called) == 5
    shown = capsys.readouterr().out
    assert "design_id 2: differs: design_name" in shown
    assert "what to do: tidemark rebuild star" in shown

    alter_database(small.warehouse_url, "update dim_date set quarter = 9 where date_id = '2024-02-29'")
    assert run(called) == 5
    shown = capsys.readouterr().out
    assert "checks/calendar_days_are_right broken" in shown
    assert "checks/calendar_days_are_right: 1 rows break it" in shown
    assert "date_id 2024-02-29" in shown

    assert run([*called, "--json"]) == 5
    document = json.loads(capsys.readouterr().out)
    assert (document["is_proven"], document["batches"]["warehouse"]) == (False, 2)
    assert [edge["name"] for edge in document["edges"]] == EDGES
    assert dt.timedelta(seconds=document["seconds"]) > dt.timedelta(0)
