"""The fold: apply batches of the log, from the first one on, to latest itself or to a scratch copy of it.

Rows that are taken from the log have no hash, because the log holds no hashes.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidemark.errors import OvertakenError
from tidemark.lake.engine import Engine
from tidemark.lake.files import MERGED_BYTES, data_files, drop_old_files, groups_to_rewrite, rewrite_files
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.sqltext import Expression, from_json, names, select, statement
from tidemark.lake.table import Change, open_table
from tidemark.lake.wide_rows import in_pieces
from tidemark.log.change import change_columns, struct_of
from tidemark.log.changelog import ChangeLog, Manifest, TableEntry
from tidemark.log.keys import has_variants
from tidemark.log.latest import LatestTable, columns_of, open_latest, path_of, stage_changes, statistics_of
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects, open_objects

logger = logging.getLogger(__name__)
ATTEMPTS = 5


@contextmanager
def scratch_copy(purpose: str) -> Iterator[Objects]:
    """Open a scratch directory on this machine as a bucket, for the length of a block; its name says the purpose."""
    folder = Path(tempfile.mkdtemp(prefix=f"tidemark-{purpose}-"))
    try:
        yield open_objects(str(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        self.done = manifest.batch
        return self.copy

    def finish(self, last: int) -> None:
        """Apply the batches that are left, up to the last."""
        for manifest in self.log.manifests(self.done + 1, last):
            self.add(manifest)

    def _cut_up(self, table: SourceTable) -> None:
        """Split the large files that a baseline has written, because later batches would have to rewrite them whole."""
        lake = open_table(self.copy, path_of(table))
        large = groups_to_rewrite(data_files(lake), MERGED_BYTES, None, splits=True) if lake else []
        large = [group for group in large if len(group) == 1]
        if lake and large:
            rewrite_files(
                self.engine,
                lake,
                large,
                key=table.key,
                target_bytes=MERGED_BYTES,
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
