from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.capture.sweep import ROWS_PER_BUCKET, Bucketing, Sum, Sums, bucketing_for, differing, ranges
from tidemark.lake.sqltext import quoted

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
KEYS = st.integers(SMALLEST, LARGEST)
NEAR = st.integers(-3000, 3000)
SUMS: st.SearchStrategy[dict[int | None, Sum]] = st.dictionaries(
    st.integers(-5, 5), st.builds(Sum, st.integers(1, 9), st.integers(SMALLEST, LARGEST))
)


@pytest.fixture(scope="module")
def duckdb_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@st.composite
def bucketings(draw: st.DrawFn) -> tuple[Bucketing, list[int]]:
    """A bucketing by key, and keys within the range that it was made for."""
    keys = draw(st.lists(draw(st.sampled_from([KEYS, NEAR, st.integers(-(1 << 62), 1 << 62)])), min_size=1))
    rows = draw(st.integers(0, 10_000_000))
    return bucketing_for((min(keys), max(keys)), rows, by_key=True), keys


@given(made=bucketings())
def test_a_key_lies_within_its_bucket_and_in_no_other(made: tuple[Bucketing, list[int]]) -> None:
    bucketing, keys = made
    for key in keys:
        bucket = key >> bucketing.shift
        low, high = bucketing.range_of(bucket)

        assert low <= key <= high
        assert bucketing.range_of(bucket - 1)[1] == low - 1
        assert bucketing.range_of(bucket + 1)[0] == high + 1


@given(made=bucketings())
def test_ranges_of_buckets_that_hold_keys_are_bigints(made: tuple[Bucketing, list[int]]) -> None:
    bucketing, keys = made
    for key in keys:
        low, high = bucketing.range_of(key >> bucketing.shift)

        assert SMALLEST <= low <= high <= LARGEST


@given(made=bucketings())
def test_duckdb_finds_the_same_bucket_as_python(
    duckdb_connection: duckdb.DuckDBPyConnection, made: tuple[Bucketing, list[int]]
) -> None:
    bucketing, keys = made
    buckets = f"select {bucketing.expression(quoted('k'))} from (select unnest(?::bigint[]) as k)"

    found = duckdb_connection.execute(buckets, [keys]).fetchall()

    assert [row[0] for row in found] == [key >> bucketing.shift for key in keys]


@given(low=NEAR, rows=st.integers(0, 50_000_000))
def test_dense_keys_fall_into_buckets_of_about_a_thousand(low: int, rows: int) -> None:
    bucketing = bucketing_for((low, low + rows), rows, by_key=True)

    assert ROWS_PER_BUCKET / 2 <= 1 << bucketing.shift <= 4 * ROWS_PER_BUCKET or rows < 2 * ROWS_PER_BUCKET


@given(rows=st.integers(0, 1 << 40), hashes=st.lists(KEYS))
def test_buckets_by_hash_are_as_many_as_rows_ask_for(rows: int, hashes: list[int]) -> None:
    bucketing = bucketing_for(None, rows, by_key=False)

    assert (bucketing.mask + 1) & bucketing.mask == 0
    assert rows // ROWS_PER_BUCKET < bucketing.mask + 1 <= 2 * max(1, rows // ROWS_PER_BUCKET)
    assert all(0 <= each & bucketing.mask <= bucketing.mask for each in hashes)


@pytest.mark.parametrize("by_key", [True, False])
def test_a_table_without_rows_has_a_bucketing(*, by_key: bool) -> None:
    assert bucketing_for(None, 0, by_key=by_key).by_key == by_key


@pytest.mark.parametrize("key", ["_hash", "row_hash"])
def test_a_bucket_by_key_is_the_same_whatever_column_holds_the_hash(key: str) -> None:
    bucketing = Bucketing(by_key=True, shift=3)

    assert bucketing.expression(quoted(key), "_tidemark_hash_before") == bucketing.expression(quoted(key))


@given(one=SUMS, other=SUMS)
def test_a_bucket_differs_unless_both_have_the_same_of_it(
    one: dict[int | None, Sum], other: dict[int | None, Sum]
) -> None:
    found = differing(one, other)

    assert found == sorted(set(found))
    assert found == differing(other, one)
    assert all((one.get(bucket) == other.get(bucket)) == (bucket not in found) for bucket in range(-6, 7))
    assert differing(one, one) == []


@given(buckets=st.sets(st.integers(-50, 50)), shift=st.integers(0, 57))
def test_ranges_cover_the_buckets_and_nothing_else(buckets: set[int], shift: int) -> None:
    bucketing = Bucketing(by_key=True, shift=shift)

    found = ranges(buckets, bucketing)

    assert {bucket for low, high in found for bucket in range(low >> shift, (high >> shift) + 1)} == buckets
    assert sum(high - low + 1 for low, high in found) == len(buckets) << shift
    # Neighbours are joined.
    assert all(high + 1 < low for (_, high), (low, _) in pairwise(found))


def sums_of(rows: list[tuple[int, int]], bucketing: Bucketing) -> Sums:
    """Add up rows, each a key with its hash."""
    sums = Sums(bucketing, {})
    for key, hashed in rows:
        bucket = key >> bucketing.shift if bucketing.by_key else hashed & bucketing.mask
        sums = sums.plus({bucket: Sum(1, hashed)})
    return sums


BUCKETINGS = st.one_of(
    st.builds(Bucketing, by_key=st.just(value=True), shift=st.integers(0, 62)),
    st.integers(0, 62).map(lambda bits: Bucketing(by_key=False, mask=(1 << bits) - 1)),
)


@given(rows=st.lists(st.tuples(KEYS | NEAR, KEYS)), bucketing=BUCKETINGS, times=st.integers(1, 1 << 20))
def test_finer_buckets_add_up_to_the_coarser_ones(
    rows: list[tuple[int, int]], bucketing: Bucketing, times: int
) -> None:
    finer = bucketing.finer(times)

    assert sums_of(rows, finer).within(bucketing) == sums_of(rows, bucketing)


@given(rows=st.lists(st.tuples(NEAR, KEYS)), more=st.lists(st.tuples(NEAR, KEYS)), bucketing=BUCKETINGS)
def test_sums_plus_changes_are_the_sums_of_the_changed_rows(
    rows: list[tuple[int, int]], more: list[tuple[int, int]], bucketing: Bucketing
) -> None:
    gone = {bucket: Sum(-each.rows, -each.hashes) for bucket, each in sums_of(rows, bucketing).buckets.items()}

    assert sums_of(rows, bucketing).plus(sums_of(more, bucketing).buckets) == sums_of([*rows, *more], bucketing)
    assert sums_of([*rows, *more], bucketing).plus(gone) == sums_of(more, bucketing)


@pytest.mark.parametrize(("rows", "shift"), [(1024, 20), (4095, 20), (4096, 18), (1 << 24, 6), (1 << 40, 0)])
def test_crowded_buckets_are_cut_so_that_they_hold_one_to_two_thousand_rows(rows: int, shift: int) -> None:
    found = Sums(Bucketing(by_key=True, shift=20), {1: Sum(rows, 5), 2: Sum(rows, 6)}).wanted_bucketing()

    assert found == Bucketing(by_key=True, shift=shift)


@given(rows=st.lists(st.tuples(KEYS, KEYS)), shift=st.integers(0, 63))
def test_the_total_does_not_depend_on_the_buckets(rows: list[tuple[int, int]], shift: int) -> None:
    sums: dict[int | None, Sum] = defaultdict(lambda: Sum(0, 0))
    for key, hashed in rows:
        before = sums[key >> shift]
        sums[key >> shift] = Sum(before.rows + 1, before.hashes + hashed)

    assert Sums(Bucketing(by_key=True, shift=shift), dict(sums)).total == Sum(
        len(rows), sum(hashed for _, hashed in rows)
    )
