"""Where the batches of a log are cut into groups."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidemark.log.changelog import LogObject, Manifest, TableEntry
from tidemark.log.columns import Column
from tidemark.log.group import MOST_BATCHES, MOST_BYTES, ApartError, cut

COLUMNS = (Column("id", "integer"),)
SMALL = LogObject("changes/t/1.jsonl", 1, 100, "")
LARGE = replace(SMALL, bytes=MOST_BYTES // 2)


def manifest(batch: int, *objects: LogObject, columns: tuple[Column, ...] = COLUMNS) -> Manifest:
    entry = TableEntry(columns, batch, batch, "0", objects or (SMALL,), inserted=1)
    return Manifest(batch, "run", "pipeline", {}, "", datetime(2024, 11, 1, tzinfo=UTC), None, {"t": entry})


def numbers(manifests: list[Manifest]) -> list[list[int]]:
    return [[each.batch for each in run] for run in cut(manifests)]


def test_the_baseline_and_a_batch_that_needs_care_are_alone() -> None:
    wider = (*COLUMNS, Column("name", "text"))
    found = [
        *(manifest(batch) for batch in (1, 2, 3)),
        replace(manifest(4), replay={"fact_t": [7]}),
        *(manifest(batch) for batch in (5, 6)),
        manifest(7, columns=wider),
        *(manifest(batch, columns=wider) for batch in (8, 9)),
        manifest(10, SMALL, SMALL, columns=wider),
        manifest(11, columns=wider),
    ]

    assert numbers(found) == [[1], [2, 3], [4], [5, 6], [7], [8, 9], [10], [11]]


def test_a_group_is_no_larger_than_what_is_read_at_once() -> None:
    assert numbers([manifest(1), *(manifest(batch, LARGE) for batch in range(2, 6))]) == [[1], [2, 3], [4, 5]]
    assert [len(run) for run in cut(map(manifest, range(1, 2 * MOST_BATCHES)))] == [1, MOST_BATCHES, MOST_BATCHES - 2]


@given(st.integers(2, 30), st.data())
def test_a_group_is_parted_at_a_batch_with_nothing_lost(length: int, data: st.DataObject) -> None:
    run = [manifest(batch) for batch in range(5, 5 + length)]
    batch = data.draw(st.integers(5, 4 + length))

    parts = ApartError(batch).parts(run)

    assert [each for part in parts for each in part] == run
    assert [each.batch for each in next(part for part in parts if part[0].batch == batch)] == [batch]
