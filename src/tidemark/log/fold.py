"""The fold: apply batches of the log, from the first one on, to latest itself or to a scratch copy of it.

Rows that are taken from the log have no hash, because the log holds no hashes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidemark.errors import OvertakenError
from tidemark.lake.engine import Engine
from tidemark.lake.files import data_files, drop_old_files, rewrite_files
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.merge import stage_merge
from tidemark.lake.pieces import MERGED_BYTES, files_to_rewrite
from tidemark.lake.scratch import remove_leftovers, scratch_folder
from tidemark.lake.sqltext import Expression, from_json, names, select, statement
from tidemark.lake.table import Change, open_table
from tidemark.lake.wide_rows import in_pieces
from tidemark.log.change import change_columns, struct_of
from tidemark.log.changelog import ChangeLog, Manifest, TableEntry
from tidemark.log.group import Group, cut, read_group, take
from tidemark.log.keys import has_variants
from tidemark.log.latest import (
    LatestTable,
    columns_of,
    is_there,
    open_latest,
    path_of,
    stage_changes,
    statistics_of,
    under_both_texts,
)
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects, open_objects

logger = logging.getLogger(__name__)
ATTEMPTS = 5


@contextmanager
def scratch_copy(purpose: str, within: Path | None = None) -> Iterator[Objects]:
    """Open a scratch directory on this machine as a bucket, for the length of a block; its name says the purpose.

    An engine that is open already can read it only `within` its own scratch directory.
    """
    # What a killed command left may be as large as this will be.
    remove_leftovers()
    with scratch_folder(purpose, within) as folder:
        yield open_objects(str(folder))


@dataclass
class Fold:
    """The log, folded batch by batch into a scratch copy of latest; `done` is the last batch that is in it."""

    engine: Engine
    log: ChangeLog
    model: Model
    copy: Objects
    clock: Callable[[], datetime]
    done: int = 0

    def add(self, manifest: Manifest) -> Objects:
        """Apply the next batch, and return the copy, which now holds latest as of that batch."""
        for name, entry in manifest.tables.items():
            table = self.model.sources.get(name)
            if table and _is_news(self.copy, table, entry, manifest.batch):
                apply_from_log(self.engine, self.log, table, entry, manifest.batch, self.clock(), into=self.copy)
                self._cut_up(table)
                drop_old_files(self.copy, path_of(table))
        self._make_empty(manifest)
        self.done = manifest.batch
        return self.copy

    def _make_empty(self, manifest: Manifest) -> None:
        """Make the tables that came later and have had no row yet, since latest has them too."""
        for name, entry in manifest.tables.items():
            table = self.model.sources.get(name)
            if table and entry.is_known and not entry.rows and not is_there(self.copy, table):
                open_latest(self.copy, table, entry.columns)

    def add_all(self, manifests: Iterable[Manifest], on_group: Callable[[Manifest], None] = lambda _: None) -> None:
        """Apply the next batches, small ones many at once; `on_group` is told the first batch of each group."""
        for run in cut(manifests):
            on_group(run[0])
            take(run, self._add_together, self.add)

    def _add_together(self, run: Sequence[Manifest]) -> None:
        with self.engine.working_tables() as tables:
            self.add_group(read_group(self.engine, self.log, run, self.model.sources, tables))

    def add_group(self, group: Group) -> None:
        """Apply the batches of a group, which come next: each row is written once, however often it changed."""
        for name, changes in group.changes.items():
            table, entry = self.model.sources[name], group.manifests[-1].tables[name]
            latest = open_latest(self.copy, table, entry.columns)
            now_milliseconds = int(self.clock().timestamp() * 1000)
            with self.engine.working_on(name), self.engine.working_tables() as tables:
                apart = changes
                if has_variants(table.key, entry.columns):
                    apart = under_both_texts(self.engine, tables, changes, table)
                fields, keys = names(column.name for column in entry.columns), names(table.key)
                last = tables.of(select("group", "last_changes", fields=fields, change=apart, keys=keys))
                merged = stage_merge(
                    self.engine,
                    latest.lake,
                    table.key,
                    last,
                    batch=group.last,
                    now_milliseconds=now_milliseconds,
                    statistics=statistics_of(table, latest.lake.columns),
                )
                latest.lake.commit(merged, batch=group.last)
            drop_old_files(self.copy, path_of(table))
        self._make_empty(group.manifests[-1])
        self.done = group.last

    def _cut_up(self, table: SourceTable) -> None:
        """Split the large files that a baseline has written, because later batches would have to rewrite them whole."""
        lake = open_table(self.copy, path_of(table))
        large = files_to_rewrite(data_files(lake), 0, None, largest_bytes=MERGED_BYTES) if lake else []
        if lake and large:
            rewrite_files(
                self.engine,
                lake,
                large,
                key=table.key,
                statistics=statistics_of(table, lake.columns),
                now_milliseconds=int(self.clock().timestamp() * 1000),
            )


def apply_from_log(  # noqa: PLR0913 -- all that its caller works with
    engine: Engine,
    log: ChangeLog,
    table: SourceTable,
    entry: TableEntry,
    batch: int,
    now: datetime,
    *,
    into: Objects | None = None,
) -> None:
    """Apply one batch of one table to latest from the log's objects; its rows have no hash until the next sweep.

    Args:
        engine: reads the log.
        log: the change log.
        table: the source table.
        entry: the batch's changes to it.
        batch: the batch's number.
        now: the present time.
        into: the bucket that holds latest, if it is not the log's own.

    Raises:
        OvertakenError: other runs changed that table of latest again and again, and none of them applied this batch.
    """
    for attempt in range(ATTEMPTS):
        latest = open_latest(into or log.objects, table, entry.columns)
        if latest.batch >= batch:
            return
        change = _staged(engine, log, latest, entry, batch, now)
        try:
            latest.lake.commit(change, batch=batch)
        except OvertakenError:
            # The other commit is a recovery of the same batch, or it only moved rows between files.
            logger.info("latest %s was changed by another run at the same time", table.name)
            if attempt + 1 == ATTEMPTS:
                raise


def _staged(
    engine: Engine, log: ChangeLog, latest: LatestTable, entry: TableEntry, batch: int, now: datetime
) -> Change:
    types = {column.name: column.log_type for column in entry.columns}
    copies = [engine.new_file(".jsonl") for _ in entry.objects]
    files = [log.verified(each, copy) for each, copy in zip(entry.objects, copies, strict=True)]
    read, operation, key_before = dict(types), Expression("'insert'"), Expression("null")
    if batch > 1:
        read["_op"], operation = "VARCHAR", Expression("_op")
        if has_variants(latest.source.key, entry.columns):
            # An update may have given the key another text.
            read["_before"] = struct_of({name: types[name] for name in latest.source.key})
            key_before = Expression("_before")
    lines = from_json(list(map(str, files)), read, longest_line_bytes(files))
    found = select("files", "fields", fields=names(read), rows=lines)
    with (
        engine.working_on(latest.source.name),
        engine.working_tables() as tables,
        in_pieces(engine, found, list(read)) as narrow,
    ):
        change = tables.empty(change_columns(types, latest.source.key))
        parts = {
            "change": change,
            "fields": names(types),
            "operation": operation,
            "key_before": key_before,
            "lines": narrow.rows,
        }
        engine.execute(statement("log", "changes_of_log", **parts))
        for copy in copies:
            copy.unlink(missing_ok=True)
        return stage_changes(engine, latest, change, batch=batch, now_milliseconds=int(now.timestamp() * 1000))


def _is_news(objects: Objects, table: SourceTable, entry: TableEntry, batch: int) -> bool:
    """Say whether a batch brings changes or a new shape to a table of latest that has all batches before it."""
    if entry.changes or batch == 1:
        return True
    lake = open_table(objects, path_of(table))
    return lake is not None and lake.columns != columns_of(entry.columns)
