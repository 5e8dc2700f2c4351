"""Backfill: read the rows of a range of time again, apart from the polls, and write what differs as a batch.

A model may give up certainty for speed: between two sweeps under `sweep_every`, and under `sweep = "keys"`, polls miss
changes that the cursor does not see. A backfill finds them. The watermark stays, so the next poll reads as if there had
been no backfill. It finds nothing new in that range, because only what differs from latest is a change.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from tidemark.capture.comparison import Reread, reread
from tidemark.capture.poll import Captured, Poll, TableOfLatest, apply_captured
from tidemark.capture.recovery import bring_latest_up_to, recover
from tidemark.capture.snapshot import Snapshot
from tidemark.capture.source import open_source
from tidemark.capture.source_identity import check_identity
from tidemark.capture.watermark import span_of
from tidemark.errors import ConfigError, ContractError, StateError
from tidemark.lake.engine import Engine, open_engine
from tidemark.log.changelog import ChangeLog, Manifest, new_id
from tidemark.log.columns import Column
from tidemark.log.latest import LatestTable, open_latest_as_of
from tidemark.log.pointer import PointerStore
from tidemark.log.succession import next_manifest, succeed
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects
from tidemark.report import Progress, foresee, quiet


@dataclass(frozen=True)
class TableBackfill:
    """How many rows of one table a backfill read, how many of them differ, and how many bytes those take in the log."""

    read: int
    inserted: int
    updated: int
    deleted: int
    bytes: int = field(default=0, compare=False)


@dataclass(frozen=True)
class BackfillReport:
    """What a backfill found: its batch (None if it made none) and its tables; `skipped` ones have no column of time."""

    batch: int | None
    tables: Mapping[str, TableBackfill]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backfill:
    """The parts that a backfill works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text."""

    model: Model
    source_url: str
    ingestion: Objects
    pointer: PointerStore
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = new_id
    yield_after: timedelta | None = None
    workers: int = 1

    def run(
        self,
        start: datetime,
        end: datetime,
        tables: Sequence[str] = (),
        *,
        dry_run: bool = False,
        progress: Progress = quiet,
    ) -> BackfillReport:
        """Read the rows of a range of time again, and write those that differ from latest as a batch.

        A row is in the range if it was created or changed in it, by the source's columns of time or by those in latest.

        Args:
            start: the first moment of the range, in UTC.
            end: the moment just after the range, in UTC.
            tables: the source tables; if empty, all that have a column of time.
            dry_run: whether to write nothing at all.
            progress: called for each table.

        Raises:
            ConfigError: the range is empty, or a table is unknown or has no column of time.
            ContractError: the columns of a table have changed since the last batch.
            OvertakenError: a poll made a batch at the same time; nothing is lost.
            StateError: there is no batch yet; or, in a dry run, the last poll was killed before its end.
        """
        if start >= end:
            message = f"expected a range of time, got one from {start.isoformat()} to {end.isoformat()}"
            raise ConfigError(message, advice="give --from an earlier time than --to")
        chosen = self._chosen(tables)
        log = ChangeLog(self.ingestion)
        with open_engine([self.ingestion]) as engine:
            head = self._head(engine, log, dry_run=dry_run)
            with open_source(self.source_url, self.yield_after, self.workers) as source:
                identity = source.identity()
                check_identity(head, identity)
                with source.snapshot(chosen.values()) as snapshot:
                    poll = Poll.after(head, engine, log, snapshot, identity, self.model, self.clock())
                    found = self._reread_all(poll, chosen, head, (start, end), progress)
            changed = {} if dry_run else {name: each.write() for name, each in found.items() if each.changes}
            if changed:
                manifest = self._manifest(poll, head, asdict(identity), changed)
                succeed(log, self.pointer, manifest, partial(self._apply, engine, log, manifest, changed))
        skipped = tuple(name for name in self.model.sources if name not in chosen and not tables)
        shown = {
            name: TableBackfill(each.read, each.inserted, each.updated, each.deleted, _bytes(changed.get(name)))
            for name, each in found.items()
        }
        return BackfillReport(poll.batch if changed else None, shown, skipped)

    def _chosen(self, names: Sequence[str]) -> dict[str, SourceTable]:
        sources = self.model.polled
        unknown = [name for name in names if name not in sources]
        problems = [f"there is no source table {name!r}: the model has {sorted(sources)}" for name in unknown]
        problems += [
            f"{name} has neither a created nor an updated column: a poll compares it whole"
            for name in names
            if name in sources and not sources[name].moments
        ]
        if not any(table.moments for table in sources.values()):
            problems = ["no source table of the model has a created or an updated column: a poll compares each whole"]
        if problems:
            raise ConfigError.of(problems, advice="run tidemark ingest, which finds all that differs")
        return {name: table for name, table in sources.items() if table.moments and (name in names or not names)}

    def _head(self, engine: Engine, log: ChangeLog, *, dry_run: bool) -> Manifest:
        if dry_run:
            pointer, head = self.pointer.read(), log.newest()
            if head and (pointer is None or (pointer.pipeline_id, pointer.batch) != (head.pipeline_id, head.batch)):
                message = f"the pointer does not stand at batch {head.batch}, the last one"
                raise StateError(message, advice="run tidemark ingest, which brings latest and pointer up to date")
        else:
            head, _ = recover(engine, log, self.model, self.pointer, self.clock())
        if head is None:
            raise StateError("there is no batch yet", advice="run tidemark ingest, which reads every table whole")
        return head

    def _reread_all(
        self,
        poll: Poll,
        chosen: Mapping[str, SourceTable],
        head: Manifest,
        moments: tuple[datetime, datetime],
        progress: Progress,
    ) -> dict[str, Reread]:
        columns = {name: _columns(table, poll.snapshot, head) for name, table in chosen.items()}
        found = {}
        # Where no index helps, each table is gone through, however few of its rows lie in the range.
        foresee(progress, "backfill", lambda: {name: head.tables[name].rows for name in chosen})
        for name, table in chosen.items():
            started = time.perf_counter()
            progress("backfill", name, 0, 0, 0.0, poll.batch)
            found[name] = self._reread(poll, table, columns[name], head, moments)
            progress("backfill", name, found[name].changes, 0, time.perf_counter() - started, poll.batch)
        return found

    def _reread(
        self,
        poll: Poll,
        table: SourceTable,
        columns: tuple[Column, ...],
        head: Manifest,
        moments: tuple[datetime, datetime],
    ) -> Reread:
        types = {column.name: column.type for column in columns}
        spans = [span_of(name, types[name], *moments, self.model.timezone) for name in table.moments]
        latest = TableOfLatest(table, partial(self._latest, table, columns, head))
        return reread(poll, latest, columns, head.tables[table.name], spans)

    def _latest(self, table: SourceTable, columns: tuple[Column, ...], head: Manifest) -> LatestTable:
        latest = open_latest_as_of(self.ingestion, table, head.batch, columns)
        if latest is None or latest.batch < head.tables[table.name].changed_in:
            message = f"latest {table.name} is gone, or is behind the log"
            raise StateError(message, advice="run tidemark ingest, which takes it from the log", table=table.name)
        return latest

    def _manifest(
        self, poll: Poll, head: Manifest, source: Mapping[str, object], changed: Mapping[str, Captured]
    ) -> Manifest:
        following = next_manifest(head, self.new_id())
        tables = {name: replace(entry, swept=False) for name, entry in following.tables.items()}
        # Rows that were not read keep the hashes that they have.
        tables |= {name: replace(each.entry, hashed_by=head.tables[name].hashed_by) for name, each in changed.items()}
        return replace(
            following,
            source=source,
            # The snapshot stays that of the last poll, because this one says nothing about all other rows.
            captured_at=max(head.captured_at, poll.snapshot.captured_at),
            tables=tables,
            highest=max(
                (at for at in (head.highest, *(each.highest for each in changed.values())) if at), default=None
            ),
        )

    def _apply(self, engine: Engine, log: ChangeLog, manifest: Manifest, changed: Mapping[str, Captured]) -> None:
        if not all([apply_captured(each, manifest.batch) for each in changed.values()]):  # noqa: C419 -- each of them
            bring_latest_up_to(engine, log, self.model, manifest, manifest.batch - 1, self.clock())


def _bytes(written: Captured | None) -> int:
    return sum(each.bytes for each in written.entry.objects) if written else 0


def _columns(table: SourceTable, snapshot: Snapshot, head: Manifest) -> tuple[Column, ...]:
    columns, entry = snapshot.columns(table), head.tables.get(table.name)
    if entry is None:
        message = f"source table {table.name!r} has not been read yet"
        raise StateError(message, advice="run tidemark ingest first, which reads it whole", table=table.name)
    if columns != entry.columns:
        message = f"the columns of source table {table.name!r} have changed since batch {head.batch}"
        raise ContractError(message, advice="run tidemark ingest first, which compares all rows", table=table.name)
    return columns
