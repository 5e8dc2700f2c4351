"""A source that moves to another server or database, on purpose or by mistake."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.drift import build_shop, shop
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tidemark.capture.source_identity import Move, NewSource
from tidemark.cli import run
from tidemark.errors import StateError
from tidemark.objects import open_objects


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> Rig:
    """A pipeline after one run, whose source is swept in every thousandth poll only."""
    shop(sweep="sweep_every = 1000\n").write(tmp_path / "shop")
    made = new_rig(postgres.template("shop", build_shop), model=str(tmp_path / "shop"))
    made.run()
    return made


@pytest.fixture
def moved(rig: Rig, new_database: Callable[..., str], postgres: Postgres) -> Rig:
    """The pipeline, pointed at another database with the same tables and two rows that differ."""
    made = replace(rig, source_url=new_database(postgres.template("shop", build_shop)))
    # As of long ago, which no cursor reads.
    made.change("update purchase set amount = 6.66 where purchase_id = 1", "delete from purchase where purchase_id = 2")
    return made


def new_source(rig: Rig) -> NewSource:
    return NewSource(rig.source_url, rig.ingestion, rig.pointer, clock)


def databases(rig: Rig) -> list[str]:
    return [manifest.source["database"] for manifest in rig.manifests()]


def test_another_database_is_refused_until_the_move_is_recorded(moved: Rig) -> None:
    with pytest.raises(StateError, match="init --new-source"):
        moved.ingest()

    move = new_source(moved).run()

    assert move.batch == 2
    assert databases(moved) == [move.before[1] if move.before else "", move.now[1]]
    reports = moved.run()
    assert [report.batches for report in reports] == [(3,), (2, 3), (2, 3)]


def test_the_poll_after_a_move_compares_every_row(moved: Rig) -> None:
    new_source(moved).run()

    moved.run()

    entry = moved.newest().tables["purchase"]
    assert (entry.inserted, entry.updated, entry.deleted) == (0, 1, 1)
    assert entry.swept
    assert moved.newest().watermark is not None
    current = "select purchase_id, amount from fact_purchase where valid_to is null and not is_deleted order by 1"
    assert moved.warehouse(current) == moved.source("select purchase_id, amount from purchase order by 1")
    assert moved.ingest().batches == ()


def test_a_move_is_recorded_once(moved: Rig) -> None:
    assert new_source(moved).run(dry_run=True).batch is None
    assert moved.newest().batch == 1
    new_source(moved).run()

    again = new_source(moved).run()

    assert (again.is_one, again.batch, moved.newest().batch) == (False, None, 2)


def test_before_the_first_batch_there_is_nothing_to_record(rig: Rig, tmp_path: Path) -> None:
    fresh = replace(rig, ingestion=open_objects(str(tmp_path / "other")))

    assert new_source(fresh).run() == Move(None, new_source(rig).run().now)


def test_a_lost_pointer_is_made_again_without_a_watermark(moved: Rig, tmp_path: Path) -> None:
    (tmp_path / "lake" / "pointer.json").unlink()

    new_source(moved).run()
    moved.run()

    assert moved.newest().tables["purchase"].changes == 2


def test_the_command_leaves_the_warehouse_alone(
    moved: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = tmp_path / "lake"
    (tmp_path / "tidemark.toml").write_text(
        f'source_url = "{moved.source_url}"\ningestion = "{lake}/ingestion"\npointer = "{lake}/pointer.json"\n'
    )
    monkeypatch.chdir(tmp_path)

    assert run(["init", "--new-source", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert run(["init", "--new-source"]) == 0

    assert (planned["batch"], planned["dry_run"]) == (None, True)
    assert planned["before"] != planned["now"]
    assert capsys.readouterr().out.startswith("batch 2 records the move from ")
    assert run(["init", "--new-source"]) == 0
    assert "nothing had to be done" in capsys.readouterr().out
