"""All but the change log can be lost: latest, the pointer, the star and the warehouse are made from it again, equal."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.library import LIBRARY, after_three_batches, library_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres

BATCHES = 3
LATER = (
    "insert into loan values (400, 9, 3.75, '2024-11-06 09:00')",
    "update shelf set label = 'prints', changed = '2024-11-06 09:01' where shelf_id = 6",
    "delete from loan where loan_id = 23",
)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Where the lake and the pointer of a test's pipeline lie."""
    return tmp_path / "lake"


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline after three batches of inserts, updates and deletes."""
    return kept_rig("library after three batches", after_three_batches)


@pytest.fixture
def with_new_warehouse(rig: Rig, new_rig: Callable[..., Rig], postgres: Postgres) -> Rig:
    """The same pipeline with a warehouse that has tables and no rows."""
    return replace(rig, warehouse_url=new_rig(library_template(postgres), model=str(LIBRARY)).warehouse_url)


def latest_rows(rig: Rig) -> dict[str, list[dict[str, Any]]]:
    return {name: rig.latest(name) for name in rig.model.sources}


def log_of(rig: Rig) -> set[str]:
    return {key for key in rig.objects() if not key.startswith(("ingestion/latest/", "ingestion/sums/"))}


def star_rows(rig: Rig) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rig.star(name) for name in rig.model.stars}


def test_the_batches_hold_inserts_updates_and_deletes(rig: Rig) -> None:
    later = [entry for manifest in rig.manifests()[1:] for entry in manifest.tables.values()]

    assert len(rig.manifests()) == BATCHES
    assert min(sum(counts) for counts in zip(*((e.inserted, e.updated, e.deleted) for e in later), strict=True)) > 0


@pytest.mark.parametrize("lost", ["latest", "latest/loan", "latest/shelf"])
@pytest.mark.parametrize("also", ["pointer.json", "ingestion/sums"])
def test_a_lost_latest_is_restored_and_nothing_taken_for_a_change(rig: Rig, lake: Path, lost: str, also: str) -> None:
    before, objects = latest_rows(rig), log_of(rig)
    shutil.rmtree(lake / "ingestion" / lost)
    (lake / also).unlink() if also.endswith(".json") else shutil.rmtree(lake / also)

    report = rig.ingest()

    assert report.batches == ()
    assert latest_rows(rig) == before
    assert log_of(rig) == objects


@pytest.mark.parametrize("lost", ["latest", "latest/loan", "latest/shelf"])
def test_a_latest_whose_sums_are_known_is_restored_with_the_next_change_of_any_table(
    rig: Rig, lake: Path, lost: str
) -> None:
    before = latest_rows(rig)
    shutil.rmtree(lake / "ingestion" / lost)

    assert rig.ingest().batches == ()
    rig.change("update shelf set label = 'maps', changed = '2024-11-06 09:01' where shelf_id = 6")
    rig.run()
    rig.ingest()

    assert {name: entry.changes for name, entry in rig.newest().tables.items()} == {"loan": 0, "shelf": 1}
    found = latest_rows(rig)
    assert found["loan"] == before["loan"]
    assert [row for row in found["shelf"] if row["shelf_id"] != 6] == [r for r in before["shelf"] if r["shelf_id"] != 6]
    assert rig.broken_laws() == {}


def test_a_restored_latest_has_all_hashes_and_the_next_poll_reads_no_row_again(rig: Rig, lake: Path) -> None:
    shutil.rmtree(lake / "ingestion" / "latest")
    (lake / "pointer.json").unlink()
    rig.ingest()
    objects = rig.objects()

    rig.ingest()

    assert all(row["_hash"] is not None for rows in latest_rows(rig).values() for row in rows)
    assert rig.objects() == objects


def test_changes_after_a_lost_latest_are_found_as_if_nothing_had_been_lost(rig: Rig, lake: Path) -> None:
    shutil.rmtree(lake / "ingestion" / "latest")
    (lake / "pointer.json").unlink()
    rig.change("update loan set shelf_id = 11 where loan_id = 17")

    rig.run()

    (line,) = [line for line in rig.lines("loan") if line["loan_id"] == 17 and line["shelf_id"] == 11]
    entries = rig.newest().tables
    assert {name: entry.changes for name, entry in entries.items() if entry.changes} == {"loan": 1}
    assert (line["_op"], line["_before"]["shelf_id"]) == ("update", 5)
    assert rig.broken_laws() == {}


def test_a_batch_whose_poll_ended_before_latest_is_taken_from_the_log(rig: Rig, lake: Path, tmp_path: Path) -> None:
    for name in ("latest", "pointer.json"):
        copy(lake / ("ingestion" if name == "latest" else "") / name, tmp_path / name)
    rig.change(*LATER)
    rig.ingest()
    expected = latest_rows(rig)
    copy(tmp_path / "latest", lake / "ingestion" / "latest")
    copy(tmp_path / "pointer.json", lake / "pointer.json")

    reports = rig.run()

    assert [report.batches for report in reports] == [(), (BATCHES + 1,), (BATCHES + 1,)]
    assert latest_rows(rig) == expected
    assert rig.broken_laws() == {}


def copy(source: Path, target: Path) -> None:
    """Put a file or a folder in the place of another."""
    if source.is_file():
        shutil.copy(source, target)
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def test_a_lost_pointer_is_made_again(rig: Rig, lake: Path) -> None:
    before = rig.pointer.read()
    (lake / "pointer.json").unlink()

    assert rig.ingest().batches == ()

    after = rig.pointer.read()
    assert before is not None
    assert after is not None
    assert (after.pipeline_id, after.batch, after.watermark) == (before.pipeline_id, before.batch, before.watermark)


def test_a_new_warehouse_is_loaded_from_the_star_with_the_same_keys(rig: Rig, with_new_warehouse: Rig) -> None:
    again = with_new_warehouse

    assert again.load().batches == (1, 2, 3)
    assert again.warehouse_rows() == rig.warehouse_rows()
    assert again.broken_laws() == {}


def test_a_lost_star_is_made_from_the_log_with_the_same_keys(rig: Rig, lake: Path) -> None:
    before, rows = star_rows(rig), rig.warehouse_rows()
    shutil.rmtree(lake / "processed")

    reports = rig.run()

    assert [report.batches for report in reports] == [(), (1, 2, 3), ()]
    assert star_rows(rig) == before
    assert rig.warehouse_rows() == rows


def test_the_log_alone_gives_the_same_warehouse(rig: Rig, lake: Path, with_new_warehouse: Rig) -> None:
    expected, again = rig.warehouse_rows(), with_new_warehouse
    for lost in ("ingestion/latest", "processed"):
        shutil.rmtree(lake / lost)
    (lake / "pointer.json").unlink()

    again.run()

    assert again.warehouse_rows() == expected
    again.change(*LATER)
    assert [report.batches for report in again.run()] == [(4,), (4,), (4,)]
    assert again.broken_laws() == {}
