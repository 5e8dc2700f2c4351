"""Latest: the present state of every source table as of the last batch, each a Delta table with the rows' hashes.

Integers and booleans are kept as such, everything else as Postgres's own text. A hash is null in rows that were
restored from the log, because the log holds no hashes. The next sweep finds that those rows differ, reads them again
and learns their hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.merge import stage_merge
from tidemark.lake.sqltext import Condition, Rows, Table, listed, named_as, quoted, select
from tidemark.lake.table import (
    Change,
    LakeTable,
    add_columns,
    create_table,
    first_batch,
    open_as_of,
    open_table,
    with_types,
)
from tidemark.log import keys
from tidemark.log.change import KEY_BEFORE
from tidemark.log.changelog import LATEST, TableEntry
from tidemark.log.columns import INTEGERS, Column
from tidemark.model import SourceTable
from tidemark.objects import Objects

HASH = "_hash"


@dataclass(frozen=True)
class LatestTable:
    """One table of latest, opened at one version."""

    source: SourceTable
    lake: LakeTable

    @property
    def rows(self) -> Rows:
        """Give a FROM item over the rows: the source's columns and `_hash`."""
        return self.lake.rows()

    def rows_with(self, others: Mapping[str, str]) -> Rows:
        """Give the rows with columns that the table is no longer to have; null where no file has them any more."""
        if not others:
            return self.rows
        return replace(
            self.lake, columns={**self.lake.columns, **others}, stored=self.lake.stored or self.lake.columns
        ).rows()

    @property
    def has_shape(self) -> bool:
        """Say whether the data files already have the columns and types that the table is to have."""
        return self.lake.stored is None

    @property
    def batch(self) -> int:
        """Give the last batch that was applied, 0 for none."""
        return self.lake.batch


def path_of(table: SourceTable) -> str:
    """Name a table's folder in the ingestion bucket."""
    return f"{LATEST}/{table.name}"


def columns_of(columns: Sequence[Column]) -> dict[str, str]:
    """Give the DuckDB types of a table in latest."""
    return {column.name: column.log_type for column in columns} | {HASH: "BIGINT"}


def open_latest(objects: Objects, table: SourceTable, columns: Sequence[Column]) -> LatestTable:
    """Open a table of latest at its newest version, creating it or adding columns where needed.

    It has the types in which the log keeps the columns now, and no columns that are gone. The next change rewrites its
    files like this.
    """
    wanted = columns_of(columns)
    lake = add_columns(create_table(objects, path_of(table), wanted), wanted)
    return LatestTable(table, with_types(lake, wanted))


def open_latest_as_of(
    objects: Objects, table: SourceTable, batch: int, columns: Sequence[Column] = ()
) -> LatestTable | None:
    """Open a table of latest as of a batch, with exactly the `columns` if given; None if it did not exist yet."""
    lake = open_as_of(objects, path_of(table), batch)
    if lake is not None and columns:
        lake = with_types(lake, columns_of(columns))
    return None if lake is None else LatestTable(table, lake)


def state_as_of(objects: Objects, table: SourceTable, batch: int, entry: TableEntry) -> LatestTable | None:
    """Open a table of latest as of a batch with the columns of its entry; None if it did not exist yet.

    While a table is not in the model, its last state stays.
    """
    if not entry.is_known and first_batch(objects, path_of(table)) > batch:
        return None
    return open_latest_as_of(objects, table, batch, entry.columns)


def latest_batch(objects: Objects, table: SourceTable) -> int:
    """Give the last batch that was applied to a table of latest, 0 for none."""
    lake = open_table(objects, path_of(table))
    return 0 if lake is None else lake.batch


def is_there(objects: Objects, table: SourceTable) -> bool:
    """Say whether a table of latest exists, by one request; nothing ever removes the first commit of its Delta log."""
    return objects.exists(f"{path_of(table)}/_delta_log/{0:020d}.json")


def stage_changes(engine: Engine, latest: LatestTable, change: Table, *, batch: int, now_milliseconds: int) -> Change:
    """Write the files that apply a batch's changes to a table of latest; see `stage_merge`.

    An update may have given the key another text. It then removes the row under the old text and adds the new row.
    """
    with engine.working_tables() as tables:
        change = under_both_texts(engine, tables, change, latest.source)
        return stage_merge(
            engine,
            latest.lake,
            latest.source.key,
            change,
            batch=batch,
            now_milliseconds=now_milliseconds,
            statistics=statistics_of(latest.source, latest.lake.columns),
        )


def under_both_texts(engine: Engine, tables: WorkingTables, change: Table, source: SourceTable) -> Table:
    """Give changes with each update that gave a key another text as a deletion and an insertion."""
    has_other_text = keys.has_other_text(source.key, "", f"{KEY_BEFORE}.")
    if not engine.count(change, Condition(f"_op = 'update' and ({has_other_text})")):
        return change
    before = listed(named_as(quoted(name, f"{KEY_BEFORE}."), name) for name in source.key)
    parts = {"change": change, "has_other_text": has_other_text, "keys_before": before}
    return tables.of(select("log", "under_both_texts", **parts))


def has_integer_key(table: SourceTable, columns: Sequence[Column]) -> bool:
    """Say whether the table's key is one integer."""
    types = {column.name: column.type for column in columns}
    return len(table.key) == 1 and types.get(table.key[0]) in INTEGERS


def statistics_of(table: SourceTable, columns: Mapping[str, str]) -> list[str]:
    """Name the columns whose bounds a data file of the table carries: an integer key."""
    return [name for name in table.key if len(table.key) == 1 and columns.get(name) == "BIGINT"]
