"""Where the batches of a log are cut into groups."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidemark.log.changelog import LogObject, Manifest, TableEntry
from tidemark.log.columns import Column
from tidemark.log.group import FEWEST_TRIED, MOST_BATCHES, MOST_BYTES, ApartError, cut, take

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


@given(st.integers(1, 60), st.sets(st.integers(5, 65)))
def test_each_batch_is_taken_once_and_in_order(length: int, apart: set[int]) -> None:
    run = [manifest(batch) for batch in range(5, 5 + length)]
    taken: list[Manifest] = []
    tried: list[int] = []

    def together(part: Sequence[Manifest]) -> None:
        tried.append(len(part))
        found = [each.batch for each in part if each.batch in apart]
        if found:
            raise ApartError(min(found))
        taken.extend(part)

    take(run, together, taken.append)

    assert taken == run
    # Nothing is tried again and again, however many have to be taken alone.
    assert sum(tried) <= length + (2 * FEWEST_TRIED + 2) * len(run)


def test_batches_that_fit_are_taken_at_once() -> None:
    taken: list[int] = []

    take([manifest(batch) for batch in range(5, 500)], lambda part: taken.append(len(part)), lambda _: taken.append(1))

    assert taken == [495]
