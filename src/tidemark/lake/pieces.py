"""Pieces: which files a change writes, so that the next small change to the same rows finds little to write again.

A file is cut where a change touches little of it, and the files that a change touches almost everywhere are joined. So
a table has small files where small changes come, and large ones where none or only large ones come.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

# A merge rewrites each file that it touches, so a table that is merged into has no larger files for long.
MERGED_BYTES = 16 << 20
# In a smaller file the footer, which is about 2 KB, weighs more than the rows that need not be written.
PIECE_BYTES = 16 << 10
# Each poll reads every file of latest, and on S3 each of them is a request: no table is cut into more files than this.
FEW_FILES = 256
# Nor is a piece smaller than this share of its table: to write a file costs as much as some 300 KB of rows in it.
SHARE = 128
# How many pieces a file is cut into at once, and how many files a change writes one by one.
PIECES = 16
# A file that is so many times larger than all that are to be joined with it waits until there is more to join.
MUCH_LARGER = 4


@dataclass(frozen=True)
class DataFile:
    """A data file of a Delta table.

    `last_batch` is the highest batch of its rows, `highest_key` the highest value of a key that is one integer. Both
    are None where they are not recorded.
    """

    path: str
    size_bytes: int
    rows: int
    last_batch: int | None = None
    highest_key: int | None = None


@dataclass(frozen=True)
class Rewrite:
    """Files whose rows are to move into new files, in the order of the key, and how many these are to be."""

    files: Sequence[DataFile]
    pieces: int


def wanted_bytes(files: Collection[DataFile]) -> int:
    """Give the size that the small files of a table should have: it grows with the table, so their number does not."""
    total = sum(file.size_bytes for file in files)
    return min(max(total // FEW_FILES, PIECE_BYTES), MERGED_BYTES)


def small_files(files: Collection[DataFile]) -> int:
    """Count the files that are no large ones."""
    return sum(file.size_bytes < MERGED_BYTES // 2 for file in files)


def pieces_of(file: DataFile, changed: Collection[int], small: int, table_bytes: int) -> int:
    """Choose how many pieces a file is cut into when it is rewritten; 1 for none.

    Args:
        file: the file.
        changed: the places in it, counted from 0, of the rows that change; empty if they are not known.
        small: how many small files the table has. The more there are, the larger are new pieces: with changes
            everywhere, both the number of files and their size grow with the square root of the table's size.
        table_bytes: the size of all files of the table.
    """
    least_bytes = max(PIECE_BYTES * max(1, small // PIECES), table_bytes // SHARE)
    pieces = max(1, min(PIECES, file.size_bytes // least_bytes, FEW_FILES - small + 1))
    touched = {place * pieces // file.rows for place in changed}
    # If the next change is like this one, it would have to write almost all of the pieces again.
    is_worth_it = 0 < len(touched) <= pieces * 3 // 4
    return pieces if is_worth_it else 1


def groups_to_merge(touched: Sequence[DataFile], all_files: int) -> list[list[DataFile]]:
    """Choose which of the files that a change touches are written as one: each alone, unless they are most of many."""
    ordered = sorted(touched, key=lambda file: (file.highest_key or 0, file.path))
    if len(touched) <= PIECES or 2 * len(touched) <= all_files:
        return [[file] for file in ordered]
    groups: list[list[DataFile]] = [[]]
    for file in ordered:
        if groups[-1] and sum(each.size_bytes for each in groups[-1]) + file.size_bytes > MERGED_BYTES:
            groups.append([])
        groups[-1].append(file)
    return groups


def file_for_inserts(files: Sequence[DataFile], touched: Collection[str], inserted_rows: int) -> DataFile | None:
    """Choose the file that takes in new rows; None if they become a file of their own.

    It is one that is rewritten anyway, or one that is not much larger than the new rows. Keys mostly ascend, so the
    rows go to those with the highest keys.
    """
    inserted_bytes = inserted_rows * sum(file.size_bytes for file in files) // max(1, sum(file.rows for file in files))
    small_bytes = max(2 * PIECE_BYTES, inserted_bytes)
    by_key = [file for file in files if file.highest_key is not None]
    candidates = [max(by_key, key=lambda file: file.highest_key or 0)] if by_key else files
    small = [
        file
        for file in candidates
        if file.size_bytes < MERGED_BYTES // 2 and (file.path in touched or file.size_bytes < small_bytes)
    ]
    return min(small, key=lambda file: (file.path not in touched, file.size_bytes, file.path)) if small else None


def files_to_rewrite(
    files: Sequence[DataFile], target_bytes: int, last_batch: int | None, *, largest_bytes: int = 0
) -> list[Rewrite]:
    """Choose the files to rewrite: the small ones together, and each that is too large alone.

    Args:
        files: the table's files.
        target_bytes: the size that small files are joined to; 0 if none are.
        last_batch: the last batch whose rows may move; None if all may.
        largest_bytes: a file of more than twice this size is cut into files of this size; 0 if no file is.
    """
    free = [
        file for file in files if last_batch is None or (file.last_batch is not None and file.last_batch <= last_batch)
    ]
    small = sorted((file for file in free if file.size_bytes < target_bytes / 2), key=lambda file: file.size_bytes)
    # Else each compaction would write a file of all earlier rows anew for the few that came since the last one.
    while small and small[-1].size_bytes > MUCH_LARGER * sum(file.size_bytes for file in small[:-1]):
        small.pop()
    joined = [Rewrite(small, _parts(small, target_bytes))] if len(small) > 1 else []
    large = [file for file in free if largest_bytes and file.size_bytes > 2 * largest_bytes and file.rows > 1]
    return [*joined, *(Rewrite([file], _parts([file], largest_bytes)) for file in large)]


def _parts(files: Sequence[DataFile], target_bytes: int) -> int:
    return max(1, round(sum(file.size_bytes for file in files) / target_bytes))
