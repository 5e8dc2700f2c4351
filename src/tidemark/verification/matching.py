"""Matching: how two sets of rows are compared in DuckDB, in memory that does not grow with them.

Both sides are counted and summed bucket by bucket first; only rows of buckets that differ are compared in full, as
multisets, so a row that is there twice is found too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemark.capture.poll import split_lines
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import from_csv, names, quoted, text
from tidemark.verification.result import MOST_DIFFERENCES, Difference, Side

if TYPE_CHECKING:
    from pathlib import Path

BUCKETS = 1024
PART_BYTES = 64 << 20
FOUND = "found"


@dataclass(frozen=True)
class Match:
    """Two compared sides; where they differ, the table `found` says how.

    Its columns: `k` the key, `l` and `r` the row on either side (null where there is none), `n` and `m` how often it is
    there, `kind`, and `verdict`, which begins as `real`.
    """

    left: Side
    right: Side
    differs: bool


def compare(engine: Engine, left: str, right: str, columns: Sequence[str], key: Sequence[str]) -> Match:
    """Compare two FROM items by the same columns, of the same types on both sides."""
    bucket = f"(hash({names(key)}) & {BUCKETS - 1})"
    mine, theirs = _sums(engine, left, columns, bucket), _sums(engine, right, columns, bucket)
    differing = sorted(each for each in mine.keys() | theirs.keys() if mine.get(each) != theirs.get(each))
    if differing:
        wanted = f"{bucket} in ({', '.join(map(str, differing))})"
        engine.execute(f"create or replace temp table {FOUND} as {_differences(left, right, columns, key, wanted)}")
    return Match(_side(mine), _side(theirs), bool(differing))


def judge(engine: Engine, verdict: str, where: str) -> int:
    """Give a verdict to those of the differences that are still held to be real, and return how many these are."""
    return int(
        str(engine.value(f"update {FOUND} set verdict = {text(verdict)} where verdict = 'real' and ({where})") or 0)
    )


def verdicts(engine: Engine) -> dict[str, int]:
    """Count the differences by verdict."""
    return dict(engine.execute(f"select verdict, count(*) from {FOUND} group by 1").fetchall())


def differences(engine: Engine) -> tuple[Difference, ...]:
    """Give the first differences that are real, in the order of their keys."""
    rows = engine.execute(
        f"select kind, k, l, r from {FOUND} where verdict = 'real' order by k limit {MOST_DIFFERENCES}"
    ).fetchall()
    return tuple(Difference(kind, _texts(key), _values(left, right)) for kind, key, left, right in rows)


def stage(engine: Engine, select: str) -> str:
    """Write the rows of a SELECT into a scratch file, and give a FROM item over it."""
    path = engine.new_file(".parquet")
    engine.execute(f"copy ({select}) to {text(str(path))} (format parquet)")
    return _from_files([path])


def stage_lines(engine: Engine, lines: Iterable[bytes], types: Mapping[str, str], fields: str = "*") -> str:
    """Write lines of CSV into scratch files, and give a FROM item over them; `fields` are what to take of them."""
    files: list[Path] = []
    for csv, longest, _ in split_lines(engine, lines, PART_BYTES, 0):
        path = engine.new_file(".parquet")
        engine.execute(
            f"copy (select {fields} from {from_csv([csv], types, longest)}) to {text(str(path))} (format parquet)"
        )
        csv.unlink()
        files.append(path)
    if not files:
        return stage(engine, f"select {fields} from {from_csv([], types)}")
    return _from_files(files)


def _from_files(paths: "Sequence[Path]") -> str:
    # In brackets: DuckDB 2.0 cannot join two bare table functions by SEMI JOIN.
    return f"(select * from read_parquet([{', '.join(text(str(path)) for path in paths)}]))"


def _sums(engine: Engine, rows: str, columns: Sequence[str], bucket: str) -> dict[int, tuple[int, int]]:
    found = engine.execute(
        f"select {bucket} as bucket, count(*), sum(hash(hash({names(columns)}))) from {rows} group by 1"
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in found}


def _side(sums: Mapping[int, tuple[int, int]]) -> Side:
    return Side(sum(rows for rows, _ in sums.values()), f"{sum(hashes for _, hashes in sums.values()) % 2**64:016x}")


def _differences(left: str, right: str, columns: Sequence[str], key: Sequence[str], wanted: str) -> str:
    fields = names(columns)

    def counted(rows: str) -> str:
        return f"select {fields}, count(*) as _times from {rows} where {wanted} group by {fields}"

    def packed(rows: str) -> str:
        return f"select {_struct(key)} as k, {_struct(columns)} as row, _times from {rows}"

    return (
        f"with l as ({counted(left)}), r as ({counted(right)}),"
        f" lo as ({packed('(select * from l except select * from r)')}),"
        f" ro as ({packed('(select * from r except select * from l)')})"
        f" select coalesce(lo.k, ro.k) as k, lo.row as l, ro.row as r, lo._times as n, ro._times as m,"
        f" case when ro.row is null then 'missing' when lo.row is null then 'surplus'"
        f" when lo.row is not distinct from ro.row then 'repeated' else 'differs' end as kind, 'real' as verdict"
        f" from lo full join ro on lo.k is not distinct from ro.k"
    )


def _struct(columns: Sequence[str]) -> str:
    return "struct_pack(" + ", ".join(f"{quoted(name)} := {quoted(name)}" for name in columns) + ")"


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
