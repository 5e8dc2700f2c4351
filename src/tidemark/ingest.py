"""Ingest: one poll of the source, whose changes become a batch of the change log.

A batch exists from the moment its manifest is put. All before it leaves at most objects that no reader looks at, all
after it (latest, the pointer) is made good by the next poll.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from tidemark.changelog import ChangeLog, Manifest, TableEntry, manifest_key
from tidemark.comparison import capture_changes
from tidemark.contract import Column, check_contract, describe_drift
from tidemark.engine import Engine, open_engine
from tidemark.errors import ContractError, OvertakenError, StateError
from tidemark.latest import LatestTable, open_latest
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects
from tidemark.pointer import Pointer, PointerStore
from tidemark.poll import Captured, Poll
from tidemark.recovery import bring_latest_up_to
from tidemark.report import Progress, StageReport, TableReport, quiet
from tidemark.source import Snapshot, SourceIdentity, open_source
from tidemark.watermark import Floor, cursor_start, next_watermark, precision_of
from tidemark.whole import capture_whole

logger = logging.getLogger(__name__)
FLOOR_HELD_TOO_LONG = timedelta(hours=1)


@dataclass(frozen=True)
class Ingest:
    """The parts that a poll works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text."""

    model: Model
    source_url: str
    ingestion: Objects
    pointer: PointerStore
    lag: timedelta
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

    def run(self, progress: Progress = quiet) -> StageReport:
        """Poll once.

        Returns:
            What the batch holds; no batch if nothing had changed.

        Raises:
            ContractError: a source table changed shape; nothing was written.
            OvertakenError: another poll committed this batch first; nothing is lost.
            StateError: pointer, manifests and source disagree on who they are.
        """
        started = time.perf_counter()
        log = ChangeLog(self.ingestion)
        with open_engine([self.ingestion]) as engine:
            head, pointer = self._recover(engine, log)
            if head is None:
                # DuckDB's JSON writer spends more on handing rows between threads than a second one saves, and the
                # other core is busy in Postgres.
                engine.execute("set threads = 1")
            with open_source(self.source_url) as source:
                identity = source.identity()
                _check_identity(head, identity)
                floor = source.floor()
                _warn_of_floor(floor, self.clock())
                with source.snapshot(self.model.sources.values()) as snapshot:
                    poll = self._poll(engine, log, snapshot, head, identity)
                    captured = self._capture(poll, head, pointer, floor, progress)
                manifest = self._manifest(poll, head, identity, floor, captured)
            changed = head is None or any(_is_news(each, head.tables.get(name)) for name, each in captured.items())
            if changed:
                log.commit(manifest)
                head = manifest
            batch = head.batch if head else 0
            if not all([_apply(each, batch) for each in captured.values()]) and head:
                bring_latest_up_to(engine, log, self.model, head, batch - 1, self.clock())
            polls = pointer.polls + 1 if pointer else 1
            self.pointer.write(
                Pointer(manifest.pipeline_id, batch, head.watermark if head else None, self.clock(), polls)
            )
        return _report(manifest if changed else None, captured, time.perf_counter() - started)

    def _recover(self, engine: Engine, log: ChangeLog) -> tuple[Manifest | None, Pointer | None]:
        pointer = self.pointer.read()
        if pointer is not None and pointer.batch and not self.ingestion.exists(manifest_key(pointer.batch)):
            message = f"the pointer names batch {pointer.batch}, which is not in the ingestion bucket"
            raise StateError(message, advice="check TIDEMARK_INGESTION; if it is right, delete the pointer")
        head = log.newest(pointer.batch if pointer else 0)
        if head is None:
            return None, None
        if pointer is not None and pointer.pipeline_id != head.pipeline_id:
            message = f"the pointer is of pipeline {pointer.pipeline_id}, the manifests are of {head.pipeline_id}"
            raise StateError(
                message, advice="check TIDEMARK_POINTER and TIDEMARK_INGESTION: they do not belong together"
            )
        known = pointer.batch if pointer else 0
        bring_latest_up_to(engine, log, self.model, head, known, self.clock())
        if known != head.batch:
            polls = pointer.polls if pointer else 0
            pointer = Pointer(head.pipeline_id, head.batch, head.watermark, self.clock(), polls)
            self.pointer.write(pointer)
        return head, pointer

    def _poll(
        self,
        engine: Engine,
        log: ChangeLog,
        snapshot: Snapshot,
        head: Manifest | None,
        identity: SourceIdentity,
    ) -> Poll:
        return Poll(
            engine=engine,
            log=log,
            snapshot=snapshot,
            batch=head.batch + 1 if head else 1,
            now_milliseconds=int(self.clock().timestamp() * 1000),
            major_version=identity.major_version,
            timezone=self.model.timezone,
        )

    def _capture(
        self,
        poll: Poll,
        head: Manifest | None,
        pointer: Pointer | None,
        floor: Floor,
        progress: Progress,
    ) -> dict[str, Captured]:
        columns = {name: _contract(table, poll.snapshot, head) for name, table in self.model.sources.items()}
        opened = self._open_latest(poll, head, columns)
        polls = pointer.polls if pointer else 0
        since = pointer.watermark if pointer else None
        is_since_safe = since is not None and (head is None or head.is_floor_known)

        def finish(name: str, write: Callable[[], Captured], started: float) -> Captured:
            captured = write()
            seconds = time.perf_counter() - started
            size = sum(each.bytes for each in captured.entry.objects)
            progress("ingest", name, captured.entry.changes, size, seconds)
            return replace(captured, seconds=seconds)

        # Postgres works on the next table while the last one's changes are being written.
        with ThreadPoolExecutor(max_workers=1) as executor:
            pending = {}
            for name, table in self.model.sources.items():
                started = time.perf_counter()
                progress("ingest", name, 0, 0, 0.0)
                latest = opened[name]
                before = head.tables.get(name) if head else None
                write: Callable[[], Captured]
                if before is None:
                    whole = capture_whole(poll, latest, columns[name], 1)
                    write = partial(_identity, whole)
                else:
                    write = capture_changes(
                        poll,
                        latest,
                        columns[name],
                        before,
                        since=_since(table, columns[name], since, self.model),
                        sweeps=floor.at is None or not is_since_safe or polls % table.sweep_every == 0,
                    )
                pending[name] = executor.submit(finish, name, write, started)
            return {name: each.result() for name, each in pending.items()}

    def _open_latest(
        self, poll: Poll, head: Manifest | None, columns: Mapping[str, tuple[Column, ...]]
    ) -> dict[str, LatestTable]:
        """Open the tables of latest; what one lacks, although the pointer says that it has it, comes from the log."""
        sources = self.model.sources
        opened = {name: open_latest(self.ingestion, table, columns[name]) for name, table in sources.items()}
        known = head.tables if head else {}
        lost = [
            name
            for name, table in opened.items()
            if name in known and (table.batch == 0 or table.batch < known[name].changed_in)
        ]
        if head and lost:
            bring_latest_up_to(poll.engine, poll.log, self.model, head, 0, self.clock())
            opened |= {name: open_latest(self.ingestion, sources[name], columns[name]) for name in lost}
        return opened

    def _manifest(
        self,
        poll: Poll,
        head: Manifest | None,
        identity: SourceIdentity,
        floor: Floor,
        captured: Mapping[str, Captured],
    ) -> Manifest:
        seen = [each.highest for each in captured.values()] + [head.highest if head else None]
        highest = max((each for each in seen if each), default=None)
        types = [
            column.type
            for name, table in self.model.sources.items()
            for column in captured[name].entry.columns
            if column.name == table.updated
        ]
        previous = head.watermark if head else None
        return Manifest(
            batch=poll.batch,
            run_id=self.new_id(),
            pipeline_id=head.pipeline_id if head else self.new_id(),
            source=asdict(identity),
            snapshot=poll.snapshot.name,
            captured_at=poll.snapshot.captured_at,
            watermark=next_watermark(floor, highest, previous, lag=self.lag, precision=precision_of(types)),
            tables={name: each.entry for name, each in captured.items()},
            highest=highest,
            is_floor_known=floor.at is not None and not (floor.stays and head and not head.is_floor_known),
        )


def _is_news(captured: Captured, before: TableEntry | None) -> bool:
    """Say whether a table calls for a batch: by changes of its rows, or of its shape."""
    entry = captured.entry
    return entry.changes > 0 or before is None or (entry.columns, entry.hashed_by) != (before.columns, before.hashed_by)


def _identity(captured: Captured) -> Captured:
    return captured


def _contract(table: SourceTable, snapshot: Snapshot, head: Manifest | None) -> tuple[Column, ...]:
    columns = snapshot.columns(table)
    check_contract(table.name, table.key, [name for name in (table.created, table.updated) if name], columns)
    if not snapshot.has_unique_key(table):
        message = f"source table {table.name!r} has no unique index over its key {list(table.key)}, all of it not null"
        raise ContractError(message, advice="add one, or give the model the right key", table=table.name)
    before = head.tables.get(table.name) if head else None
    for sentence in describe_drift(table.name, before.columns, columns) if before else ():
        logger.warning(sentence)
    return columns


def _since(
    table: SourceTable,
    columns: tuple[Column, ...],
    watermark: datetime | None,
    model: Model,
) -> datetime | None:
    column = next((column for column in columns if column.name == table.updated), None)
    if column is None or watermark is None:
        return None
    return watermark if "with time zone" in column.type else cursor_start(watermark, model.timezone)


def _apply(captured: Captured, batch: int) -> bool:
    """Apply the changes to latest; False when another commit came in between: a recovery of this batch or `compact`."""
    if not captured.change.added and not captured.change.removed and captured.latest.batch:
        return True
    try:
        captured.latest.lake.commit(captured.change, batch=batch)
    except OvertakenError:
        logger.info("latest %s was changed by another run at the same time", captured.latest.source.name)
        return False
    return True


def _check_identity(head: Manifest | None, identity: SourceIdentity) -> None:
    if head is None:
        return
    before = (head.source["system_identifier"], head.source["database"])
    now = (identity.system_identifier, identity.database)
    if before != now:
        message = (
            f"the source is {now[1]!r} of system {now[0]}, the manifests are of {before[1]!r} of system {before[0]}"
        )
        advice = "check TIDEMARK_SOURCE_URL; after a deliberate move of the source: tidemark init --new-source"
        raise StateError(message, advice=advice)


def _warn_of_floor(floor: Floor, now: datetime) -> None:
    if floor.at is None:
        logger.warning("the floor is unknown: %s; this poll sweeps every table", floor.reason)
    elif now - floor.at > FLOOR_HELD_TOO_LONG:
        logger.warning(
            "the floor is held back since %s by the session with pid %s", floor.at.isoformat(), floor.holder_pid
        )
    if floor.stays:
        logger.warning("a prepared transaction exists, whose start nobody records: the watermark stays where it is")


def _report(manifest: Manifest | None, captured: Mapping[str, Captured], seconds: float) -> StageReport:
    tables = {
        name: TableReport(
            rows=each.entry.changes,
            bytes=sum(one.bytes for one in each.entry.objects),
            inserted=each.entry.inserted,
            updated=each.entry.updated,
            deleted=each.entry.deleted,
            seconds=each.seconds,
        )
        for name, each in captured.items()
    }
    watermark = manifest.watermark if manifest else None
    return StageReport("ingest", (manifest.batch,) if manifest else (), tables, seconds, watermark)
