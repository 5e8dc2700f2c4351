"""The merge: applying inserts, updates and deletes to a Delta table by rewriting only the files that they touch.

Each file is rewritten alone and in the order of its key, so memory does not grow with the table.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tidemark.lake.engine import Engine
from tidemark.lake.files import write_file
from tidemark.lake.sqltext import names, quoted, text
from tidemark.lake.table import Change, LakeTable

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
    change: str,
    *,
    batch: int,
    now_milliseconds: int,
    statistics: Sequence[str] = (),
) -> Change:
    """Write the files in which changes are applied, without committing them.

    Args:
        engine: has the table `change`.
        lake: the Delta table to change.
        key: the columns by which rows are the same.
        change: a DuckDB table with columns of `lake` (one that it lacks becomes null) and `_op`: `insert`, `delete`, or
            anything else for a row that takes the place of the one with its key.
        batch: the batch's number.
        now_milliseconds: the time of the files, Unix milliseconds.
        statistics: see `write_file`.
    """
    keys = names(key)
    known = engine.describe(f"select * from {change}")
    new = _columns_of(lake, known)
    # Files in other types than the table is to have are all rewritten.
    touched = _touched_files(engine, lake, keys, change) if lake.stored is None else set(lake.files)
    has_inserts = _count(engine, change, "= 'insert'") > 0
    host = _file_for_inserts(lake, touched) if has_inserts else None
    removed = sorted(touched | ({host} if host else set()))
    added: list[AddAction | None] = []

    def write(select: str) -> None:
        added.append(
            write_file(engine, lake, select, batch=batch, now_milliseconds=now_milliseconds, statistics=statistics),
        )

    replaced = _replaced if _count(engine, change, "<> 'insert'") <= FEW_ROWS else _exchanged
    for file in removed:
        rows = replaced(lake, file, key, change, known)
        if file == host:
            inserted = f"select {new} from {change} where _op = 'insert'"
            rows = f"select * from (select * from ({rows}) union all {inserted}) order by {keys}"
        write(rows)
    if has_inserts and host is None:
        write(f"select {new} from {change} where _op = 'insert' order by {keys}")
    return Change(tuple(action for action in added if action), tuple(removed))


def _replaced(lake: LakeTable, file: str, key: Sequence[str], change: str, known: Collection[str]) -> str:
    """Write the SELECT of a file's rows with those that changed in their places, so that nothing need be sorted.

    The join holds the changed rows in memory.
    """
    on = " and ".join(f"o.{quoted(name)} = c.{quoted(name)}" for name in key)
    fields = ", ".join(
        f"o.{quoted(name)}"
        if name in key
        else f"case when c._op is null then o.{quoted(name)} else {value} end as {quoted(name)}"
        for name, value in ((name, f"c.{quoted(name)}" if name in known else "null") for name in lake.columns)
    )
    return (
        f"select {fields} from {lake.rows([file])} as o"
        f" left join (select * from {change} where _op <> 'insert') as c on {on} where c._op is distinct from 'delete'"
    )


def _exchanged(lake: LakeTable, file: str, key: Sequence[str], change: str, known: Collection[str]) -> str:
    """Write the same SELECT for any number of changed rows: the joins hold keys alone, and the sort spills."""
    keys, old = names(key), lake.rows([file])
    new = _columns_of(lake, known)
    taken = f"select {new} from {change} semi join {old} using ({keys}) where _op not in ('insert', 'delete')"
    gone = f"(select {keys} from {change} where _op <> 'insert')"
    kept = f"select {names(lake.columns)} from {old} as o anti join {gone} using ({keys})"
    return f"select * from ({kept} union all {taken}) order by {keys}"


def _columns_of(lake: LakeTable, known: Collection[str]) -> str:
    """List the table's columns as changed rows give them: null where they have none."""
    return ", ".join(quoted(name) if name in known else f"null as {quoted(name)}" for name in lake.columns)


def _count(engine: Engine, change: str, operation: str) -> int:
    return int(str(engine.value(f"select count(*) from {change} where _op {operation}")))


def _touched_files(engine: Engine, lake: LakeTable, keys: str, change: str) -> set[str]:
    uris = {lake.uri(file): file for file in lake.files}
    if not uris:
        return set()
    listed = ", ".join(text(uri) for uri in uris)
    found = engine.execute(
        f"select distinct _file from read_parquet([{listed}], filename = '_file', union_by_name = true)"
        f" semi join (select {keys} from {change} where _op <> 'insert') using ({keys})",
    ).fetchall()
    return {uris[row[0]] for row in found}


def _file_for_inserts(lake: LakeTable, touched: set[str]) -> str | None:
    actions = lake.delta.get_add_actions(flatten=True)
    sizes = dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
    small = {path: size for path, size in sizes.items() if size < SMALL_FILE_BYTES}
    candidates = {path: size for path, size in small.items() if path in touched} or small
    return min(candidates, key=lambda path: (candidates[path], path)) if candidates else None
