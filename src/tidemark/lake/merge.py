"""The merge: apply inserts, updates and deletes to a Delta table by rewriting only the files that they touch.

Each file is rewritten alone and in the order of its key, so memory does not grow with the table.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tidemark.lake.engine import Engine
from tidemark.lake.files import write_file
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Fields,
    Select,
    Table,
    listed,
    named_as,
    named_parquet,
    names,
    quoted,
    same,
    select,
    union_all,
)
from tidemark.lake.table import Change, LakeTable
from tidemark.lake.wide_rows import is_wide

if TYPE_CHECKING:
    from deltalake.transaction import AddAction

# A file smaller than this takes in new rows; a larger one is left alone.
SMALL_FILE_BYTES = 8 << 20
# More changed rows than this are not held in memory at once.
FEW_ROWS = 50_000


def stage_merge(  # noqa: PLR0913 -- five things that no caller has in one
    engine: Engine,
    lake: LakeTable,
    key: Sequence[str],
    change: Table,
    *,
    batch: int,
    now_milliseconds: int,
    statistics: Sequence[str] = (),
) -> Change:
    """Write the files that apply changes to a Delta table, without committing them.

    Args:
        engine: has the working table `change`.
        lake: the Delta table to change.
        key: the columns that identify a row.
        change: a table with columns of `lake` (one that it lacks becomes null) and `_op`: `insert`, `delete`, or
            anything else for a row that takes the place of the one with its key.
        batch: the batch's number.
        now_milliseconds: the time of the files, Unix milliseconds.
        statistics: see `write_file`.
    """
    known = engine.describe(select("files", "all", rows=change))
    inserted = select("merge", "inserted", fields=_columns_of(lake, known), change=change)
    # If the files hold other types than the table is to have, all of them are rewritten.
    touched = _touched_files(engine, lake, key, change) if lake.stored is None else set(lake.files)
    has_inserts = engine.count(change, Condition("_op = 'insert'")) > 0
    host = _file_for_inserts(lake, touched) if has_inserts else None
    removed = sorted(touched | ({host} if host else set()))
    added: list[AddAction | None] = []

    wide = is_wide(list(lake.columns))

    def write(rows: Select) -> None:
        added.append(
            write_file(
                engine,
                lake,
                _ordered(rows, key) if wide else rows,
                batch=batch,
                now_milliseconds=now_milliseconds,
                statistics=statistics,
                is_ordered=wide,
            ),
        )

    replaced = _replaced if engine.count(change, Condition("_op <> 'insert'")) <= FEW_ROWS else _exchanged
    for file in removed:
        rows = replaced(lake, file, key, change, known)
        if file == host:
            rows = _ordered(union_all([select("files", "all", rows=rows.rows), inserted]), key)
        write(rows)
    if has_inserts and host is None:
        write(_ordered(inserted, key))
    return Change(tuple(action for action in added if action), tuple(removed))


def _ordered(rows: Select, key: Sequence[str]) -> Select:
    return select("files", "ordered", rows=rows.rows, keys=names(key))


def _replaced(lake: LakeTable, file: str, key: Sequence[str], change: Table, known: Collection[str]) -> Select:
    """Write the SELECT of a file's rows after the changes, with every row in its place, so nothing has to be sorted.

    The join holds the changed rows in memory.
    """
    values = {name: quoted(name, "c.") if name in known else Expression("null") for name in lake.columns}
    fields = listed(
        quoted(name, "o.")
        if name in key
        else named_as(Expression(f"case when c._op is null then {quoted(name, 'o.')} else {value} end"), name)
        for name, value in values.items()
    )
    return select("merge", "replaced", fields=fields, old=lake.rows([file]), change=change, same=same(key, "o.", "c."))


def _exchanged(lake: LakeTable, file: str, key: Sequence[str], change: Table, known: Collection[str]) -> Select:
    """Write the same SELECT for any number of changed rows: the joins hold only keys, and the sort spills to disk."""
    return select(
        "merge",
        "exchanged",
        columns=names(lake.columns),
        fields=_columns_of(lake, known),
        old=lake.rows([file]),
        change=change,
        keys=names(key),
    )


def _columns_of(lake: LakeTable, known: Collection[str]) -> Fields:
    """List the table's columns for the changed rows; a column that they lack is null."""
    return listed(quoted(name) if name in known else named_as(Expression("null"), name) for name in lake.columns)


def _touched_files(engine: Engine, lake: LakeTable, key: Sequence[str], change: Table) -> set[str]:
    uris = {lake.uri(file): file for file in lake.files}
    if not uris:
        return set()
    touched = select("merge", "touched_files", files=named_parquet(uris), change=change, keys=names(key))
    return {uris[row[0]] for row in engine.execute(touched).fetchall()}


def _file_for_inserts(lake: LakeTable, touched: set[str]) -> str | None:
    actions = lake.delta.get_add_actions(flatten=True)
    sizes = dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
    small = {path: size for path, size in sizes.items() if size < SMALL_FILE_BYTES}
    candidates = {path: size for path, size in small.items() if path in touched} or small
    return min(candidates, key=lambda path: (candidates[path], path)) if candidates else None
