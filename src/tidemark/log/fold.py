"""The fold: batches of the log applied to latest, where it lies or in a scratch copy, from the first batch on.

Rows that are taken from the log have no hash, for the log holds none.
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
from tidemark.lake.sqltext import Expression, from_json, names, statement
from tidemark.lake.table import Change, open_table
from tidemark.log.change import change_columns
from tidemark.log.changelog import ChangeLog, Manifest, TableEntry
from tidemark.log.latest import LatestTable, columns_of, open_latest, path_of, stage_changes, statistics_of
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects, open_objects

logger = logging.getLogger(__name__)
ATTEMPTS = 5


@contextmanager
def scratch_copy(purpose: str) -> Iterator[Objects]:
    """Open a scratch directory of this machine, which has the purpose in its name, as a bucket for a block's length."""
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
        """Apply the next batch, and give the copy, in which latest is as of it."""
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
        """Cut a file that a baseline has filled, which every later batch would have to rewrite."""
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


def apply_from_log(  # noqa: PLR0913 -- the caller's whole world
    engine: Engine,
    log: ChangeLog,
    table: SourceTable,
    entry: TableEntry,
    batch: int,
    now: datetime,
    *,
    into: Objects | None = None,
) -> None:
    """Apply one batch of one table to latest out of the log's objects; its rows have no hash until the next sweep.

    Args:
        engine: reads the log.
        log: the change log.
        table: the source table.
        entry: the batch's changes to it.
        batch: the batch's number.
        now: the present time.
        into: where that latest lies, if not beside the log.

    Raises:
        OvertakenError: others changed that table of latest again and again, none of them with this batch.
    """
    for attempt in range(ATTEMPTS):
        latest = open_latest(into or log.objects, table, entry.columns)
        if latest.batch >= batch:
            return
        change = _staged(engine, log, latest, entry, batch, now)
        try:
            latest.lake.commit(change, batch=batch)
        except OvertakenError:
            # Another recovery of the same batch, or a commit that only moved rows between files.
            logger.info("latest %s was changed by another run at the same time", table.name)
            if attempt + 1 == ATTEMPTS:
                raise


def _staged(
    engine: Engine, log: ChangeLog, latest: LatestTable, entry: TableEntry, batch: int, now: datetime
) -> Change:
    types = {column.name: column.log_type for column in entry.columns}
    copies = [engine.new_file(".jsonl") for _ in entry.objects]
    files = [str(log.verified(each, copy)) for each, copy in zip(entry.objects, copies, strict=True)]
    operation = Expression("'insert'" if batch == 1 else "_op")
    lines = from_json(files, types if batch == 1 else types | {"_op": "VARCHAR"})
    with engine.working_tables() as tables:
        change = tables.empty(change_columns(types))
        parts = {"change": change, "fields": names(types), "operation": operation, "lines": lines}
        engine.execute(statement("log", "changes_of_log", **parts))
        for copy in copies:
            copy.unlink(missing_ok=True)
        return stage_changes(engine, latest, change, batch=batch, now_milliseconds=int(now.timestamp() * 1000))


def _is_news(objects: Objects, table: SourceTable, entry: TableEntry, batch: int) -> bool:
    """Say whether a batch means anything to a table of latest that has the batches before it: changes or a shape."""
    if entry.changes or batch == 1:
        return True
    lake = open_table(objects, path_of(table))
    return lake is not None and lake.columns != columns_of(entry.columns)
