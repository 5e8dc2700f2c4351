"""Latest: the present state of every source table as of the last batch, each a Delta table with the rows' hashes.

Integers and booleans are kept as such, everything else as Postgres's own text. A hash is null in rows that were restored from
the log, which holds none: the next sweep finds those rows to differ, reads them again and learns their hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltalake.transaction import AddAction

from tidemark.contract import INTEGERS, Column
from tidemark.engine import Engine, names, quoted, text
from tidemark.lake import Change, LakeTable, add_columns, create_table, open_as_of, open_table, write_file
from tidemark.model import SourceTable
from tidemark.objects import Objects

HASH = "_hash"
# A file smaller than this takes in new rows; a larger one is left alone.
SMALL_FILE_BYTES = 8 << 20


@dataclass(frozen=True)
class LatestTable:
    """One table of latest, opened at one version."""

    source: SourceTable
    lake: LakeTable

    @property
    def rows(self) -> str:
        """Give a FROM item over the rows: the source's columns and `_hash`."""
        return self.lake.rows()

    @property
    def batch(self) -> int:
        """Give the last batch that was applied, 0 for none."""
        return self.lake.batch


def path_of(table: SourceTable) -> str:
    """Name a table's folder in the ingestion bucket."""
    return f"latest/{table.name}"


def columns_of(columns: Sequence[Column]) -> dict[str, str]:
    """Give the DuckDB types of a table in latest."""
    return {column.name: column.log_type for column in columns} | {HASH: "BIGINT"}


def open_latest(objects: Objects, table: SourceTable, columns: Sequence[Column]) -> LatestTable:
    """Open a table of latest at its newest version, creating it or adding columns where needed."""
    wanted = columns_of(columns)
    return LatestTable(table, add_columns(create_table(objects, path_of(table), wanted), wanted))


def open_latest_as_of(objects: Objects, table: SourceTable, batch: int) -> LatestTable | None:
    """Open a table of latest as of a batch; None when it did not exist yet."""
    lake = open_as_of(objects, path_of(table), batch)
    return None if lake is None else LatestTable(table, lake)


def latest_batch(objects: Objects, table: SourceTable) -> int:
    """Give the last batch that a table of latest has in it, 0 for none."""
    lake = open_table(objects, path_of(table))
    return 0 if lake is None else lake.batch


def stage_changes(engine: Engine, latest: LatestTable, change: str, *, batch: int, now_milliseconds: int) -> Change:
    """Write the files in which a batch's changes are applied, without committing them.

    Args:
        engine: has the table `change`.
        latest: the table of latest to change.
        change: the name of a DuckDB table with the source's columns, `_hash` and `_op`: `insert`, `update`, `delete`, or
            `rehash` for a row of which only the hash is new.
        batch: the batch's number.
        now_milliseconds: the time of the files, Unix milliseconds.
    """
    lake, key = latest.lake, names(latest.source.key)
    stats = statistics_of(latest.source, lake.columns)
    touched = _touched_files(engine, latest, change)
    has_inserts = bool(engine.value(f"select count(*) from {change} where _op = 'insert'"))
    host = _file_for_inserts(lake, touched) if has_inserts else None
    removed = sorted(touched | ({host} if host else set()))
    added: list[AddAction | None] = []
    fields = names(lake.columns)
    known = engine.describe(f"select * from {change}")
    new = ", ".join(quoted(name) if name in known else f"null as {quoted(name)}" for name in lake.columns)

    def write(select: str) -> None:
        added.append(
            write_file(engine, lake, select, batch=batch, now_milliseconds=now_milliseconds, statistics=stats),
        )

    for file in removed:
        old = lake.rows([file])
        taken = f"select {new} from {change} where _op in ('update', 'rehash') and ({key}) in (select ({key}) from {old})"
        if file == host:
            taken += f" union all select {new} from {change} where _op = 'insert'"
        kept = f"select {fields} from {old} as o anti join (select * from {change} where _op <> 'insert') using ({key})"
        write(f"select * from ({kept} union all {taken}) order by {key}")
    if has_inserts and host is None:
        write(f"select {new} from {change} where _op = 'insert' order by {key}")
    return Change(tuple(action for action in added if action), tuple(removed))


def has_integer_key(table: SourceTable, columns: Sequence[Column]) -> bool:
    """Say whether the table's key is one integer."""
    types = {column.name: column.type for column in columns}
    return len(table.key) == 1 and types.get(table.key[0]) in INTEGERS


def statistics_of(table: SourceTable, columns: Mapping[str, str]) -> list[str]:
    """Name the columns whose bounds a data file of the table carries: an integer key."""
    return [name for name in table.key if len(table.key) == 1 and columns.get(name) == "BIGINT"]


def _touched_files(engine: Engine, latest: LatestTable, change: str) -> set[str]:
    files = latest.lake.files
    if not files:
        return set()
    key = names(latest.source.key)
    uris = {latest.lake.uri(file): file for file in files}
    listed = ", ".join(text(uri) for uri in uris)
    found = engine.execute(
        f"select distinct filename from read_parquet([{listed}], filename = true, union_by_name = true)"
        f" semi join (select {key} from {change} where _op <> 'insert') using ({key})",
    ).fetchall()
    return {uris[row[0]] for row in found}


def _file_for_inserts(lake: LakeTable, touched: set[str]) -> str | None:
    actions = lake.delta.get_add_actions(flatten=True)
    sizes = dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
    small = {path: size for path, size in sizes.items() if size < SMALL_FILE_BYTES}
    candidates = {path: size for path, size in small.items() if path in touched} or small
    return min(candidates, key=lambda path: (candidates[path], path)) if candidates else None
