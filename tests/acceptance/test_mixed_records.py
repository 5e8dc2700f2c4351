"""Records that do not belong together are not mixed: a wrong pointer, a log or a star begun anew, another source."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.library import after_two_batches, is_whole
from tests.support.pipeline import Rig
from tidemark.errors import StateError


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline with two batches, and changes in the source that no run has seen."""
    return kept_rig("library after two batches", after_two_batches)


def test_a_source_url_that_leads_to_another_database_is_refused(rig: Rig, library: Callable[..., Rig]) -> None:
    with pytest.raises(StateError, match="TIDEMARK_SOURCE_URL"):
        replace(rig, source_url=library().source_url).ingest()
    rig.run()
    assert is_whole(rig)


def test_a_lost_pointer_is_made_again(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "lake" / "pointer.json").unlink()
    rig.run()
    assert is_whole(rig)


def test_a_stale_pointer_reads_a_little_more_and_changes_nothing(rig: Rig, tmp_path: Path) -> None:
    pointer = tmp_path / "lake" / "pointer.json"
    stale = pointer.read_bytes()
    rig.run()
    rig.change("update loan set fee = 4.5, changed = '2024-11-06 09:00' where loan_id = 40")
    rig.run()
    pointer.write_bytes(stale)
    assert [report.batches for report in rig.run()] == [(), (), ()]
    assert is_whole(rig)


@pytest.mark.parametrize("wrong", ["ahead", "of another pipeline", "no pointer"])
def test_a_wrong_pointer_is_refused(rig: Rig, library: Callable[..., Rig], tmp_path: Path, wrong: str) -> None:
    pointer = tmp_path / "lake" / "pointer.json"
    right = pointer.read_text()
    if wrong == "ahead":
        pointer.write_text(right.replace('"batch": 2', '"batch": 7'))
    elif wrong == "of another pipeline":
        library(str(tmp_path / "other")).run()
        shutil.copy(tmp_path / "other" / "pointer.json", pointer)
    else:
        pointer.write_text("what is this?")
    with pytest.raises(StateError, match=r"delete|TIDEMARK_POINTER"):
        rig.ingest()
    assert rig.newest().batch == 2

    pointer.write_text(right)
    rig.run()
    assert is_whole(rig)


def test_a_log_that_was_begun_anew_is_not_mixed_with_what_came_of_the_old_one(rig: Rig, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    before = rig.warehouse_rows()
    shutil.rmtree(lake / "ingestion")
    with pytest.raises(StateError, match="TIDEMARK_INGESTION"):
        rig.ingest()

    (lake / "pointer.json").unlink()
    rig.ingest()
    with pytest.raises(StateError, match="TIDEMARK_INGESTION and TIDEMARK_PROCESSED"):
        rig.transform()

    shutil.rmtree(lake / "processed")
    rig.transform()
    with pytest.raises(StateError, match="TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL"):
        rig.load()
    # Also once it has as many batches as the old one had.
    for fee in range(3):
        rig.change(f"update loan set fee = {fee}, changed = '2024-11-07 09:0{fee}' where loan_id = 50")
        rig.ingest()
    rig.transform()
    with pytest.raises(StateError, match="TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL"):
        rig.load()
    assert rig.warehouse_rows() == before


def test_a_star_that_is_gone_is_made_again_from_the_log(rig: Rig, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "lake" / "processed")
    rig.run()
    assert is_whole(rig)
