"""Which files a change writes: where a file is cut, which are written as one, and where new rows go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.lake.pieces import (
    FEW_FILES,
    MERGED_BYTES,
    PIECE_BYTES,
    PIECES,
    SHARE,
    DataFile,
    file_for_inserts,
    groups_to_merge,
    pieces_of,
    small_files,
    wanted_bytes,
)

ROWS = 16_000
LARGE = DataFile("large", 1 << 20, ROWS)


def small(number: int, size_bytes: int = PIECE_BYTES) -> DataFile:
    return DataFile(f"{number:04d}", size_bytes, 100, highest_key=100 * number)


@pytest.mark.parametrize("changed", [[0], [ROWS - 1], list(range(100)), [0, 5_000, 10_000, ROWS - 1]])
def test_a_file_is_cut_when_a_change_touches_few_of_its_pieces(changed: list[int]) -> None:
    assert pieces_of(LARGE, changed, 1, LARGE.size_bytes) == PIECES


@pytest.mark.parametrize("changed", [[], list(range(0, ROWS, 1_000)), list(range(ROWS))])
def test_a_file_stays_whole_when_a_change_touches_it_everywhere_or_nobody_knows_where(changed: list[int]) -> None:
    assert pieces_of(LARGE, changed, 1, LARGE.size_bytes) == 1


@given(st.integers(1, 1 << 30), st.integers(0, 1 << 30), st.integers(0, 2 * FEW_FILES), st.data())
def test_pieces_are_not_too_small_and_not_too_many(
    size_bytes: int, others_bytes: int, small: int, data: st.DataObject
) -> None:
    rows = data.draw(st.integers(1, 10**6))
    changed = data.draw(st.lists(st.integers(0, rows - 1), max_size=20))

    pieces = pieces_of(DataFile("f", size_bytes, rows), changed, small, size_bytes + others_bytes)

    assert 1 <= pieces <= PIECES
    assert pieces == 1 or size_bytes / pieces >= max(PIECE_BYTES, (size_bytes + others_bytes) // SHARE)
    assert pieces == 1 or small + pieces - 1 <= FEW_FILES


@pytest.mark.parametrize(("megabytes", "most"), [(1, 60), (4, 100), (16, 200), (400, FEW_FILES)])
def test_changes_everywhere_cut_a_table_into_no_more_files_than_are_worth_it(megabytes: int, most: int) -> None:
    whole = min(megabytes << 20, MERGED_BYTES)
    sizes = [whole] * ((megabytes << 20) // whole)
    for turn in range(400):
        small, table_bytes = small_files(files_of(sizes)), sum(sizes)
        size_bytes = sizes.pop(turn * 7 % len(sizes))
        pieces = pieces_of(DataFile("f", size_bytes, ROWS), [turn % ROWS], small, table_bytes)
        sizes += [size_bytes // pieces] * pieces

    assert PIECES < len(sizes) <= most + megabytes // 16


def files_of(sizes: list[int]) -> list[DataFile]:
    return [DataFile(str(number), size_bytes, ROWS) for number, size_bytes in enumerate(sizes)]


def test_small_files_grow_with_the_table() -> None:
    assert wanted_bytes([small(1)]) == PIECE_BYTES
    assert wanted_bytes([DataFile("f", 1 << 30, ROWS)]) == (1 << 30) // FEW_FILES
    assert wanted_bytes([DataFile("f", 1 << 40, ROWS)]) == MERGED_BYTES


def test_files_are_written_as_one_when_a_change_touches_most_of_many() -> None:
    files = [small(number) for number in range(40)]

    assert groups_to_merge(files[:PIECES], 40) == [[file] for file in files[:PIECES]]
    assert groups_to_merge(files[:20], 40) == [[file] for file in files[:20]]
    assert groups_to_merge(files[:21], 40) == [files[:21]]


@given(st.lists(st.integers(1, 2 * MERGED_BYTES), max_size=60))
def test_files_that_are_written_as_one_keep_their_order_and_are_not_too_large(sizes: list[int]) -> None:
    files = [small(number, size_bytes) for number, size_bytes in enumerate(sizes)]

    groups = groups_to_merge(files, len(files))

    assert [file for group in groups for file in group] == files
    assert all(len(group) == 1 or sum(file.size_bytes for file in group) <= MERGED_BYTES for group in groups)


def test_new_rows_go_to_the_highest_keys_if_that_file_is_small_or_rewritten_anyway() -> None:
    large = DataFile("large", 1 << 20, ROWS, highest_key=ROWS)

    assert file_for_inserts([], {}, 1) is None
    assert file_for_inserts([small(1), small(2)], {}, 1) == small(2)
    assert file_for_inserts([small(1), large], {small(1).path}, 1) is None
    assert file_for_inserts([small(1), large], {large.path}, 1) == large


def test_new_rows_without_an_integer_key_go_to_a_rewritten_file_or_to_the_smallest() -> None:
    first, second, large = DataFile("a", 900, 10), DataFile("b", 800, 10), DataFile("c", MERGED_BYTES, ROWS)

    assert file_for_inserts([first, second, large], {}, 1) == second
    assert file_for_inserts([first, second, large], {"a": [0]}, 1) == first
    assert file_for_inserts([large], {"c": [0]}, 1) is None


def test_many_new_rows_go_to_a_file_that_is_not_larger_than_they_are() -> None:
    file = DataFile("f", 1 << 20, ROWS)

    assert file_for_inserts([file], {}, ROWS // 2) is None
    assert file_for_inserts([file], {}, ROWS + 1) == file
