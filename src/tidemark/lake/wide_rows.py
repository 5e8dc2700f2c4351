"""Wide rows in pieces: a table of many columns is written a few columns at a time, and the pieces are put side by side.

A step of a statement holds 2,048 rows in memory, and a text takes 16 bytes of that beside its characters. So each step
over 1,600 columns of text takes more than 50 MB on each thread, however few rows there are, and such memory cannot be
spilled.
"""

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path

from tidemark.lake.engine import ROW_GROUP_ROWS, Engine
from tidemark.lake.sqltext import Rows, Select, names, scratch_parquet, select

# Rows of more columns are wide, and are taken so many columns at a time.
PIECE_COLUMNS = 400
# The fewest rows that DuckDB writes as a group: it holds one group in memory.
FEWEST_ROWS = 2048


def is_wide(columns: Sized) -> bool:
    """Say whether rows of these columns have to be taken in pieces."""
    return len(columns) > PIECE_COLUMNS


def cut_columns(columns: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list of columns into pieces."""
    return (columns[first : first + PIECE_COLUMNS] for first in range(0, len(columns), PIECE_COLUMNS))


def write_kept_file(engine: Engine, rows: Select, columns: Sequence[str], path: Path) -> None:
    """Write a file that is kept; see `in_pieces`."""
    with in_pieces(engine, rows, columns) as narrow:
        engine.write_small_parquet(narrow, path, FEWEST_ROWS if is_wide(columns) else ROW_GROUP_ROWS)


def write_scratch_file(
    engine: Engine, rows: Select, columns: Sequence[str], path: Path, row_group_rows: int = ROW_GROUP_ROWS
) -> None:
    """Write a scratch file; see `in_pieces`."""
    with in_pieces(engine, rows, columns) as narrow:
        engine.write_parquet(narrow, path, FEWEST_ROWS if is_wide(columns) else row_group_rows)


@contextmanager
def in_pieces(engine: Engine, rows: Select, columns: Sequence[str]) -> Iterator[Select]:
    """Give a SELECT of the same rows and columns which needs little memory, however many columns there are.

    Args:
        engine: keeps the pieces until the block ends.
        rows: yields the rows. Where there are many columns it runs once for each piece. So it must yield the rows in
            the same order each time: that of a file or that of a key.
        columns: all columns that it yields.
    """
    if not is_wide(columns):
        yield rows
        return
    pieces: list[Path] = []
    for piece in cut_columns(columns):
        pieces.append(engine.new_file(".parquet"))
        narrow = select("files", "fields", fields=names(piece), rows=rows.rows)
        engine.write_parquet(narrow, pieces[-1], FEWEST_ROWS)
    side_by_side = Rows(" positional join ".join(scratch_parquet([piece]) for piece in pieces))
    yield select("files", "fields", fields=names(columns), rows=side_by_side)
    for file in pieces:
        file.unlink()
