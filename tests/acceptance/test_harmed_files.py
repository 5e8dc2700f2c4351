"""A file that was cut short, altered or deleted is not read as if it were whole; once it is restored, runs go on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.library import after_two_batches, is_whole
from tests.support.pipeline import Rig
from tests.support.s3 import S3
from tidemark.errors import DataError, StateError
from tidemark.log.changelog import manifest_key
from tidemark.objects import Objects


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline with two batches, and changes in the source that no run has seen."""
    return kept_rig("library after two batches", after_two_batches)


def file_of(objects: Objects, prefix: str, *, last: bool = True, suffix: str = "") -> Path:
    """Return the first or the last file whose key begins and ends so."""
    found = [each.key for each in objects.list(prefix) if each.key.endswith(suffix)]
    path = objects.local_path(found[-1 if last else 0])
    assert path is not None
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    """Change digits in the middle, so that the file keeps its length."""
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 16] = bytes(each ^ 1 for each in body[middle : middle + 16])
    path.write_bytes(body)


def delete(path: Path) -> None:
    path.unlink()


# What is cut short and what is altered have another checksum alike.
HARMS = (alter, delete, pytest.param(truncate, marks=pytest.mark.exhaustive))


@contextmanager
def harmed(path: Path, harm: Callable[[Path], None]) -> Iterator[None]:
    """Harm a file for the length of the block."""
    kept = path.with_name(f"{path.name}.kept")
    shutil.copy2(path, kept)
    # Not in place: the store may have linked the file under a second name.
    path.unlink()
    shutil.copy2(kept, path)
    harm(path)
    yield
    kept.replace(path)


@pytest.mark.parametrize("harm", HARMS)
def test_an_object_of_the_log_is_checked_before_it_is_transformed(rig: Rig, harm: Callable[[Path], None]) -> None:
    rig.ingest()
    path = file_of(rig.ingestion, "changes/loan/")
    with harmed(path, harm), pytest.raises(StateError, match="restore changes/loan/") as caught:
        rig.transform()
    assert caught.value.key == f"changes/loan/{path.name}"
    rig.run()
    assert is_whole(rig)


def test_an_object_on_s3_is_checked_before_it_is_transformed(s3: S3, library: Callable[..., Rig]) -> None:
    rig = library(f"s3://{s3.create_bucket()}")
    rig.ingest()
    (key,) = [each.key for each in rig.ingestion.list("baseline/loan/")]
    # As long as latest has the file of the same rows, the object is not read.
    (file,) = [each.key for each in rig.ingestion.list("latest/loan/") if each.key.endswith(".parquet")]
    rows = rig.ingestion.get(file)
    rig.ingestion.delete([file])
    body = rig.ingestion.get(key)
    rig.ingestion.delete([key])
    rig.ingestion.put_new(key, body.replace(b"0.17", b"0.71"))
    with pytest.raises(StateError, match="restore baseline/loan/"):
        rig.transform()
    rig.ingestion.delete([key])
    with pytest.raises(StateError, match="is not there"):
        rig.transform()
    rig.ingestion.put_new(key, body)
    rig.ingestion.put_new(file, rows)
    rig.run()
    assert is_whole(rig)


@pytest.mark.parametrize("harm", HARMS)
def test_an_object_of_the_log_is_checked_before_latest_is_made_of_it(
    rig: Rig, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    shutil.rmtree(tmp_path / "lake" / "ingestion" / "latest")
    with (
        harmed(file_of(rig.ingestion, "baseline/loan/"), harm),
        pytest.raises(StateError, match="restore baseline/loan/"),
    ):
        rig.ingest()
    assert rig.newest().batch == 2
    rig.run()
    assert is_whole(rig)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("harm", [truncate, delete])
@pytest.mark.parametrize("store", ["ingestion", "processed"])
def test_a_manifest_that_cannot_be_read_stops_the_stage_that_needs_it(
    rig: Rig, store: str, batch: int, harm: Callable[[Path], None]
) -> None:
    objects: Objects = getattr(rig, store)
    path = objects.local_path(manifest_key(batch))
    assert path is not None
    with harmed(path, harm):
        try:
            rig.run()
        except StateError as exc:
            assert "older versions" in exc.advice or "TIDEMARK_" in exc.advice  # noqa: PT017 -- it may not be needed
        else:
            # An old one is not read again, and the star's newest, if it is gone, is made from the log again.
            assert batch == 1 or (store, harm) == ("processed", delete)
    rig.run()
    assert is_whole(rig)


@pytest.mark.parametrize("harm", [truncate, alter, delete])
@pytest.mark.parametrize("table", ["fact/loan/", pytest.param("dimension/shelf/", marks=pytest.mark.exhaustive)])
def test_a_data_file_of_the_star_that_is_harmed_stops_the_load(
    rig: Rig, table: str, harm: Callable[[Path], None]
) -> None:
    rig.ingest()
    rig.transform()
    with (
        harmed(file_of(rig.processed, f"{table}0000000003", suffix=".parquet"), harm),
        pytest.raises((StateError, DataError), match="tidemark rebuild"),
    ):
        rig.load()
    assert rig.ledger() == [1, 2]
    rig.run()
    assert is_whole(rig)


# What was altered so that it can still be read is for `tidemark verify` to find.
@pytest.mark.parametrize("harm", [truncate, delete])
def test_a_data_file_of_latest_that_is_harmed_stops_the_poll(rig: Rig, harm: Callable[[Path], None]) -> None:
    with (
        harmed(file_of(rig.ingestion, "latest/loan/0000000002", suffix=".parquet"), harm),
        pytest.raises(StateError, match="tidemark rebuild latest"),
    ):
        rig.ingest()
    assert rig.newest().batch == 2
    rig.run()
    assert is_whole(rig)


@pytest.mark.parametrize("entry", [0, 1, 2])
@pytest.mark.parametrize(
    "table", ["fact/loan", pytest.param("dimension/shelf", marks=pytest.mark.exhaustive), "latest/loan"]
)
def test_a_missing_entry_of_a_delta_log_is_made_good_or_refused(
    rig: Rig, tmp_path: Path, table: str, entry: int
) -> None:
    store = rig.ingestion if table.startswith("latest") else rig.processed
    path = store.local_path(f"{table}/_delta_log/{entry:020d}.json")
    assert path is not None
    assert path.exists()
    newest = store.local_path(f"{table}/_delta_log/{entry + 1:020d}.json")
    is_newest = newest is not None and not newest.exists()
    kept = tmp_path / "kept"
    path.rename(kept)
    try:
        rig.run()
    except StateError as exc:
        assert "tidemark rebuild" in exc.advice  # noqa: PT017 -- what was lost last can be made good
        kept.rename(path)
        rig.run()
    else:
        assert is_newest
        assert table == "latest/loan"
    assert is_whole(rig)
