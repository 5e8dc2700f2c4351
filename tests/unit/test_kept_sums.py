"""The sums of latest as an object: what is written is read again, and anything else counts as none."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.capture.kept_sums import KeptSums, TableSums
from tidemark.capture.sweep import Bucketing, Sum, Sums
from tidemark.log.changelog import TableEntry
from tidemark.log.sums import drop_sums, read_sums, replace_sums
from tidemark.objects import Objects, open_objects

BY_KEY = Bucketing(by_key=True, shift=10)
KEPT = KeptSums("a pipeline", {"loan": TableSums("rows:18:1", Sums(BY_KEY, {-3: Sum(7, -(1 << 70))}))})


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return open_objects(str(tmp_path))


def entry(hashed_by: str) -> TableEntry:
    return TableEntry((), 1, 7, "0", hashed_by=hashed_by)


@given(
    buckets=st.dictionaries(st.integers(-(1 << 63), 1 << 63), st.builds(Sum, st.integers(1), st.integers())),
    name=st.text(),
    cursor=st.none() | st.text(),
)
def test_sums_are_read_as_they_were_written(buckets: dict[int | None, Sum], name: str, cursor: str | None) -> None:
    kept = KeptSums("a pipeline", {name: TableSums("rows:18:1", Sums(BY_KEY, buckets), cursor)})

    assert KeptSums.decode(kept.encode(), "a pipeline") == kept


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"[]",
        b"null",
        b"{}",
        KEPT.encode()[:-20],
        KEPT.encode().replace(b'"format":1', b'"format":2'),
        KEPT.encode().replace(b"a pipeline", b"an other 1"),
        json.dumps({"format": 1, "pipeline_id": "a pipeline", "tables": {"loan": {}}}).encode(),
    ],
)
def test_what_cannot_be_understood_counts_as_none(body: bytes | None) -> None:
    assert KeptSums.decode(body, "a pipeline") == KeptSums("a pipeline")


def test_sums_count_only_for_the_same_way_of_hashing_and_the_same_kind_of_buckets() -> None:
    assert KEPT.of("loan", entry("rows:18:1"), by_key=True) == KEPT.tables["loan"]
    assert KEPT.of("loan", entry("keys:18:1"), by_key=True) is None
    assert KEPT.of("loan", entry("rows:18:1"), by_key=False) is None
    assert KEPT.of("shelf", entry("rows:18:1"), by_key=True) is None


def test_new_sums_take_the_place_of_those_before(objects: Objects) -> None:
    first = replace_sums(objects, 1, b"one", None)
    second = replace_sums(objects, 2, b"two", first)

    assert first is not None
    assert second is not None
    assert (read_sums(objects, first), read_sums(objects, second)) == (None, b"two")
    assert [each.key for each in objects.list()] == [second]
    # A poll that was killed before it moved the pointer is done again.
    assert replace_sums(objects, 2, b"two", second) == second
    assert read_sums(objects, second) == b"two"
    drop_sums(objects)
    assert list(objects.list()) == []


def test_altered_sums_count_as_none_and_can_be_written_again(objects: Objects, tmp_path: Path) -> None:
    key = replace_sums(objects, 1, b"one", None)
    assert key is not None
    (tmp_path / key).write_bytes(b"two")

    assert read_sums(objects, key) is None
    assert replace_sums(objects, 1, b"one", key) == key
    assert read_sums(objects, key) == b"one"


def test_a_pointer_cannot_name_another_object_as_sums(objects: Objects) -> None:
    objects.put_new("batches/0000000001.json", b"{}")

    assert read_sums(objects, "batches/0000000001.json") is None
    assert objects.exists("batches/0000000001.json")


def test_sums_of_an_older_tidemark_have_no_digest_of_the_cursor() -> None:
    assert KeptSums.decode(KEPT.encode().replace(b'"cursor":null,', b""), "a pipeline") == KEPT
