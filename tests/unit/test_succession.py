"""The next batch of the log: manifest, then latest, then the pointer."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemark.errors import OvertakenError
from tidemark.faults import watched
from tidemark.log.changelog import ChangeLog, Manifest, TableEntry
from tidemark.log.pointer import Pointer, open_pointer
from tidemark.log.succession import next_manifest, succeed
from tidemark.objects import open_objects

NOON = datetime(2024, 11, 11, 12, tzinfo=UTC)
PIPELINE = "4003c6d3-911d-41e8-8940-ba9bcfb10311"
ENTRY = TableEntry((), first_ordinal=11, rows=5, hash_sum="9", inserted=3, updated=2, deleted=1)
HEAD = Manifest(3, "a", PIPELINE, {"database": "shop"}, "1:1:", NOON, NOON, {"item": ENTRY}, replay={"fact_item": [7]})


def test_the_next_batch_changes_nothing_until_it_is_told() -> None:
    following = next_manifest(HEAD, "b")

    assert (following.batch, following.run_id, following.changes, following.replay) == (4, "b", 0, {})
    assert following.tables["item"].first_ordinal == ENTRY.first_ordinal + ENTRY.changes
    assert replace(following, batch=3, run_id="a", tables=HEAD.tables, replay=HEAD.replay) == HEAD


def test_latest_and_pointer_come_behind_the_manifest(tmp_path: Path) -> None:
    log, pointers = ChangeLog(open_objects(str(tmp_path / "log"))), open_pointer(str(tmp_path / "pointer.json"))
    passed: list[str] = []

    with watched(passed.append):
        succeed(
            log,
            pointers,
            HEAD,
            lambda: passed.append("latest"),
            lambda: Pointer(PIPELINE, HEAD.batch, HEAD.watermark, NOON, polls=2),
        )

    assert passed == ["before-manifest", "after-manifest", "latest", "before-pointer", "after-pointer"]
    assert pointers.read() == Pointer(PIPELINE, 3, NOON, NOON, polls=2)


@pytest.mark.parametrize(("stood_at", "stands_at"), [(2, 3), (1, 1), (3, 3)])
def test_a_pointer_goes_on_only_from_the_batch_before(tmp_path: Path, stood_at: int, stands_at: int) -> None:
    log, pointers = ChangeLog(open_objects(str(tmp_path / "log"))), open_pointer(str(tmp_path / "pointer.json"))
    pointers.write(Pointer(PIPELINE, stood_at, None, NOON, polls=5))

    succeed(log, pointers, HEAD)

    assert pointers.read() == Pointer(PIPELINE, stands_at, NOON if stands_at != stood_at else None, NOON, polls=5)


def test_a_pointer_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    pointers = open_pointer(str(tmp_path / "pointer.json"))

    succeed(ChangeLog(open_objects(str(tmp_path / "log"))), pointers, HEAD)

    assert pointers.read() is None


def test_who_comes_second_changes_neither_latest_nor_pointer(tmp_path: Path) -> None:
    log, pointers = ChangeLog(open_objects(str(tmp_path / "log"))), open_pointer(str(tmp_path / "pointer.json"))
    log.commit(HEAD)
    pointers.write(Pointer(PIPELINE, 2, None, NOON))
    touched: list[str] = []

    with pytest.raises(OvertakenError):
        succeed(log, pointers, replace(HEAD, run_id="b"), lambda: touched.append("latest"))

    assert touched == []
    assert pointers.read() == Pointer(PIPELINE, 2, None, NOON)
