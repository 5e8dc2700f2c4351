"""Matching: the comparison of two sets of rows in DuckDB, in memory that does not grow with them.

First both sides are counted and summed bucket by bucket. Then only the rows of the buckets that differ are compared in
full. They are compared as multisets, so a row that is there twice is found too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemark.capture.poll import BEFORE_ROWS, split_lines
from tidemark.errors import DataError
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.sqltext import (
    OWN,
    Condition,
    Expression,
    Fields,
    Rows,
    Select,
    Table,
    from_escaped_lines,
    from_lines,
    listed,
    names,
    number,
    packed,
    quoted,
    scratch_parquet,
    select,
    statement,
    text,
)
from tidemark.lake.wide_rows import write_scratch_file
from tidemark.verification.result import MOST_DIFFERENCES, Difference, Side

if TYPE_CHECKING:
    from pathlib import Path

BUCKETS = 1024
KEY, LEFT, RIGHT = f"{OWN}key", f"{OWN}left", f"{OWN}right"
PART_BYTES = 64 << 20
EVERYTHING = Fields("*")


@dataclass(frozen=True)
class Match:
    """Two compared sides; where they differ, the working table `found` says how.

    Its columns: the key as `KEY`, the row on the left and the one on the right as `LEFT` and `RIGHT` (null where there
    is none), how often each row is there as `n` and `m`, then `kind`, and `verdict`, which is `real` at first. The
    first three have names that no column of a user has: a verdict looks at them from within a subquery over these.
    """

    left: Side
    right: Side
    found: Table | None


def compare(
    engine: Engine, tables: WorkingTables, left: Rows, right: Rows, columns: Sequence[str], key: Sequence[str]
) -> Match:
    """Compare two FROM items by columns of the same names and types; `tables` keeps the differences that are found."""
    bucket = Expression(f"(hash({names(key)}) & {BUCKETS - 1})")
    mine, theirs = _sums(engine, left, columns, bucket), _sums(engine, right, columns, bucket)
    differing = sorted(each for each in mine.keys() | theirs.keys() if mine.get(each) != theirs.get(each))
    found = None
    if differing:
        wanted = Condition(f"{bucket} in ({listed(map(number, differing))})")
        found = tables.of(_differences(left, right, columns, key, wanted))
    return Match(_side(mine), _side(theirs), found)


def judge(engine: Engine, found: Table, verdict: str, where: Condition) -> int:
    """Give a verdict to the differences that are still `real` and match a condition, and return how many these are."""
    judged = statement("verification", "judge", found=found, verdict=text(verdict), where=where)
    return int(str(engine.value(judged) or 0))


def verdicts(engine: Engine, match: Match) -> dict[str, int]:
    """Count the differences by verdict; where the sides are equal there is none."""
    if match.found is None:
        return {}
    return dict(engine.execute(select("verification", "verdicts", found=match.found)).fetchall())


def differences(engine: Engine, match: Match) -> tuple[Difference, ...]:
    """Give the first differences that are real, in the order of their keys."""
    if match.found is None:
        return ()
    first = select("verification", "first_real", found=match.found, most=number(MOST_DIFFERENCES))
    rows = engine.execute(first).fetchall()
    return tuple(Difference(kind, _texts(key), _values(left, right)) for kind, key, left, right in rows)


def stage(engine: Engine, select: Select) -> Rows:
    """Write the rows of a SELECT into a scratch file, and give a FROM item over it."""
    path = engine.new_file(".parquet")
    engine.write_parquet(select, path)
    return _from_files([path])


def stage_lines(engine: Engine, lines: Iterable[bytes], types: Mapping[str, str], fields: Fields = EVERYTHING) -> Rows:
    """Write lines of COPY into scratch files, and give a FROM item over them; `fields` says what to select.

    Raises:
        DataError: the engine does not read each byte of the lines. Ingest reads its lines in the same way.
    """
    files: list[Path] = []
    for copied, longest, _ in split_lines(engine, lines, PART_BYTES, 0):
        path = engine.new_file(".parquet")
        require_whole(engine, copied, types, longest)
        found = select("files", "fields", fields=fields, rows=from_lines([copied], types, longest))
        write_scratch_file(engine, found, list(engine.describe(found)), path)
        copied.unlink()
        files.append(path)
    if not files:
        return stage(engine, select("files", "fields", fields=fields, rows=from_lines([], types)))
    return _from_files(files)


def require_whole(engine: Engine, lines: "Path", columns: Iterable[str], longest: int) -> None:
    """Raise DataError unless the engine reads from a scratch file every byte that follows the line before the rows."""
    escaped = from_escaped_lines([lines], dict.fromkeys(columns, "VARCHAR"), longest)
    # A sum for each column: as one expression, the sum of many columns would nest deeper than the engine allows.
    counted = listed(Expression(f"coalesce(sum(coalesce(strlen({quoted(name)}), 2) + 1), 0)") for name in columns)
    sums = engine.execute(select("verification", "bytes_of_lines", bytes=counted, lines=escaped)).fetchone()
    found = sum(map(int, sums or ()))
    expected = lines.stat().st_size - len(BEFORE_ROWS)
    if found != expected:
        message = (
            f"the source sent {expected} bytes of the columns {list(columns)}, and the engine read {found} of them"
        )
        raise DataError(message, advice="values are lost between the two: report it with the table's definition")


def _from_files(paths: "Sequence[Path]") -> Rows:
    # In brackets: DuckDB 2.0 cannot join two bare table functions by SEMI JOIN.
    return select("files", "all", rows=scratch_parquet(paths)).rows


def _sums(engine: Engine, rows: Rows, columns: Sequence[str], bucket: Expression) -> dict[int, tuple[int, int]]:
    sums = select("verification", "sums", bucket=bucket, fields=names(columns), rows=rows)
    return {row[0]: (row[1], row[2]) for row in engine.execute(sums).fetchall()}


def _side(sums: Mapping[int, tuple[int, int]]) -> Side:
    return Side(sum(rows for rows, _ in sums.values()), f"{sum(hashes for _, hashes in sums.values()) % 2**64:016x}")


def _differences(left: Rows, right: Rows, columns: Sequence[str], key: Sequence[str], wanted: Condition) -> Select:
    return select(
        "verification",
        "differences",
        left=left,
        right=right,
        fields=names(columns),
        key=packed(key),
        row=packed(columns),
        where=wanted,
    )


def _values(
    left: Mapping[str, object] | None, right: Mapping[str, object] | None
) -> dict[str, tuple[str | None, str | None]]:
    if left is None or right is None:
        return {}
    mine, theirs = _texts(left), _texts(right)
    return {name: (value, theirs[name]) for name, value in mine.items() if value != theirs[name]}


def _texts(row: Mapping[str, object]) -> dict[str, str | None]:
    return {name: _text(value) for name, value in row.items()}


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)
