"""Ingest: one poll of the source, whose changes become a batch of the change log.

A batch exists from the moment its manifest is put. A poll that ends before that leaves at most objects that no reader
looks at. If a poll ends after that, the next poll brings latest and the pointer up to date.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from tidemark.capture.catalogue import Catalogued, catalogued
from tidemark.capture.comparison import capture_changes
from tidemark.capture.contract_check import agreed_columns
from tidemark.capture.full_table import Writers, capture_whole
from tidemark.capture.kept_sums import KeptSums, TableSums
from tidemark.capture.mirroring import drift_of, unfollowed, warn_of_left_out, with_mirrored
from tidemark.capture.poll import Captured, Poll, TableOfLatest, apply_captured
from tidemark.capture.recovery import (
    bring_latest_up_to,
    entries_before,
    open_known,
    recover,
    restore_lost,
)
from tidemark.capture.snapshot import Snapshot
from tidemark.capture.source import Source, SourceIdentity, open_source
from tidemark.capture.source_identity import check_identity
from tidemark.capture.watermark import Floor, cursor_start, next_watermark, precision_of
from tidemark.lake.engine import Engine, open_engine
from tidemark.log.changelog import ChangeLog, Manifest, TableEntry, new_id
from tidemark.log.columns import Column
from tidemark.log.latest import has_integer_key, open_latest
from tidemark.log.pointer import Pointer, PointerStore
from tidemark.log.succession import succeed
from tidemark.log.sums import read_sums, replace_sums
from tidemark.mirror import Mirror
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects
from tidemark.report import Progress, StageReport, TableReport, Watching, foresee, quiet
from tidemark.star.readable import digest_of, require_bound

logger = logging.getLogger(__name__)
FLOOR_HELD_TOO_LONG = timedelta(hours=1)
# Each of them uses one thread of the engine. They are as many as the sessions that read, but at least so many.
FEWEST_WRITERS = 2


@dataclass(frozen=True)
class _Polled:
    """What a poll found: `newest` is its own manifest if there `is_news`, or else the newest that was there."""

    newest: Manifest
    captured: Mapping[str, Captured]
    kept: KeptSums
    captured_at: datetime
    is_news: bool
    drifts: int


@dataclass(frozen=True)
class Ingest:
    """The parts that a poll works with.

    `clock` gives the present time in UTC, `new_id` a fresh uuid as text. `yield_after` is how long others may wait for
    a lock of the poll; None for as long as it takes. `workers` sessions at most read one table at the same time.
    """

    model: Model
    source_url: str
    ingestion: Objects
    pointer: PointerStore
    lag: timedelta
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = new_id
    yield_after: timedelta | None = None
    workers: int = 1

    @property
    def _threads(self) -> int:
        """Say how many threads write what was read."""
        return max(self.workers, FEWEST_WRITERS)

    def new_rows(self) -> int:
        """Say about how many rows the source's tables have that the log does not hold yet."""
        head = ChangeLog(self.ingestion).newest()
        held = head.tables if head else {}
        with open_source(self.source_url) as source:
            polled = catalogued(source, self.model, head).model.polled
            return source.about_rows([table for name, table in polled.items() if name not in held])

    def run(self, progress: Progress = quiet) -> StageReport:
        """Poll once.

        Returns:
            What the batch holds; no batch if nothing had changed.

        Raises:
            ContractError: a source table changed shape; nothing was written.
            OvertakenError: another poll committed this batch first; nothing is lost.
            StateError: the pointer, the manifests and the source do not belong together.
            TransientError: the source is away or busy, or somebody waited too long for a lock of the poll.
        """
        started = time.perf_counter()
        log = ChangeLog(self.ingestion)
        # With a second thread, DuckDB's writers spend more time on passing rows between threads than it saves, and
        # Postgres keeps the other core busy.
        with open_engine([self.ingestion], threads=1) as engine:
            head, pointer = recover(engine, log, self.model, self.pointer, self.clock())
            with open_source(self.source_url, self.yield_after, self.workers) as source:
                identity = source.identity()
                check_identity(head, identity)
                found = catalogued(source, self.model, head)
                polled = self._polled(engine, source, identity, head, pointer, found, progress)
            changed, newest, captured = polled.is_news, polled.newest, polled.captured

            def finished() -> Pointer:
                applied = self._apply(found.model, engine, newest, captured)
                if changed:
                    # Transform is about to read all of latest.
                    unopened = [name for name, each in captured.items() if each.latest is None]
                    for name in restore_lost(engine, log, found.model, unopened, newest, self.clock()):
                        # Rows that were restored have no hash.
                        applied.pop(name, None)
                return self._pointed(found.model, newest, pointer, polled.kept, applied)

            if changed:
                succeed(log, self.pointer, newest, pointed=finished)
            else:
                self.pointer.write(finished())
        return StageReport(
            "ingest",
            (newest.batch,) if changed else (),
            _reports(captured),
            time.perf_counter() - started,
            watermark=newest.watermark,
            newest=newest.batch,
            captured_at=polled.captured_at,
            drifts=polled.drifts,
        )

    def _polled(  # noqa: PLR0913, PLR0917 -- all that a poll is made of
        self,
        engine: Engine,
        source: Source,
        identity: SourceIdentity,
        head: Manifest | None,
        pointer: Pointer | None,
        found: Catalogued,
        progress: Progress,
    ) -> _Polled:
        kept, log, model = self._kept_sums(head, pointer), ChangeLog(self.ingestion), found.model
        floor = source.floor()
        _warn_of_floor(floor, self.clock())
        with source.snapshot(model.polled.values()) as snapshot:
            poll = Poll.after(head, engine, log, snapshot, identity, model, self.clock())
            captured = self._capture(model, poll, head, pointer, kept, floor, progress)
        manifest = self._manifest(poll, head, identity, floor, captured)
        drift = tuple(drift_of(head, captured))
        if drift:
            manifest = replace(manifest, drift=drift, drift_batch=manifest.batch)
        elif head:
            manifest = replace(manifest, drift=head.drift, drift_batch=head.drift_batch)
        warn_of_left_out(found.left_out, head)
        manifest = replace(manifest, left_out=found.left_out)
        is_news = head is None or any(_is_news(each, head.tables.get(name)) for name, each in captured.items())
        newest = head if head and not is_news else manifest
        return _Polled(newest, captured, kept, snapshot.captured_at, is_news=is_news, drifts=len(drift))

    def _capture(  # noqa: PLR0913, PLR0917 -- as above
        self,
        model: Model,
        poll: Poll,
        head: Manifest | None,
        pointer: Pointer | None,
        kept: KeptSums,
        floor: Floor,
        progress: Progress,
    ) -> dict[str, Captured]:
        columns = agreed_columns(model.polled, poll.snapshot, head)
        if not isinstance(model, Mirror):
            require_bound(poll.engine, model, columns, head, pointer.bound if pointer else None)
        entries = entries_before(poll.engine, poll.log, model, head, self.clock())
        polls = pointer.polls if pointer else 0
        since = pointer.watermark if pointer else None
        is_since_safe = since is not None and (head is None or head.is_floor_known)

        foresee(progress, "ingest", partial(_rows_to_go_through, poll.snapshot, model, entries))

        def finish(name: str, write: Callable[[], Captured], started: float) -> Captured:
            captured = write()
            seconds = time.perf_counter() - started
            size = sum(each.bytes for each in captured.entry.objects)
            progress("ingest", name, captured.entry.changes, size, seconds, poll.batch)
            return replace(captured, seconds=seconds)

        # Postgres works on the next table while the changes of the one before are written. Large tables come first, so
        # that little is left to write when Postgres is done.
        ordered = sorted(model.polled, key=lambda name: -entries[name].rows if name in entries else 0)
        with ThreadPoolExecutor(max_workers=self._threads) as executor:
            pending, writers = {}, Writers(executor, self._threads)
            for name in ordered:
                table = model.sources[name]
                started = time.perf_counter()
                progress("ingest", name, 0, 0, 0.0, poll.batch)
                before = entries.get(name)
                if before is None:
                    latest = open_latest(self.ingestion, table, columns[name])
                    seen = partial(_tell, progress, name, poll.batch) if isinstance(progress, Watching) else None
                    write = capture_whole(poll, latest, columns[name], 1, writers, seen)
                else:
                    known = partial(
                        open_known, poll.engine, poll.log, model, table, head, columns[name], before, self.clock()
                    )
                    held = kept.of(name, before, by_key=has_integer_key(table, columns[name]))
                    write = capture_changes(
                        poll,
                        TableOfLatest(table, known, held.sums, held.cursor) if held else TableOfLatest(table, known),
                        columns[name],
                        before,
                        since=_since(table, columns[name], since, model),
                        sweeps=floor.at is None or not is_since_safe or polls % table.sweep_every == 0,
                    )
                pending[name] = executor.submit(finish, name, write, started)
            found = {name: pending[name].result() for name in model.polled}
        return with_mirrored(model, found, columns) | unfollowed(model, poll, entries)

    def _apply(
        self, model: Model, engine: Engine, newest: Manifest, captured: Mapping[str, Captured]
    ) -> dict[str, Captured]:
        applied = {name: each for name, each in captured.items() if apply_captured(each, newest.batch)}
        if len(applied) < len(captured):
            log = ChangeLog(self.ingestion)
            bring_latest_up_to(engine, log, model, newest, newest.batch - 1, self.clock())
        return applied

    def _pointed(
        self, model: Model, newest: Manifest, before: Pointer | None, kept: KeptSums, applied: Mapping[str, Captured]
    ) -> Pointer:
        known = {
            name: TableSums(each.entry.hashed_by, each.sums, each.cursor)
            for name, each in applied.items()
            if each.sums and each.sums.has_all_hashes
        }
        sums, key = KeptSums(newest.pipeline_id, known), before.sums if before else None
        if not known:
            key = None
        elif sums != kept:
            key = replace_sums(self.ingestion, newest.batch, sums.encode(), key)
        polls = before.polls + 1 if before else 1
        bound = None
        if not isinstance(model, Mirror):
            bound = digest_of(model, {name: newest.tables[name].columns for name in model.sources})
        return Pointer(newest.pipeline_id, newest.batch, newest.watermark, self.clock(), polls, key, bound)

    def _kept_sums(self, head: Manifest | None, pointer: Pointer | None) -> KeptSums:
        pipeline_id = head.pipeline_id if head else ""
        body = read_sums(self.ingestion, pointer.sums) if pointer and pointer.sums else None
        return KeptSums.decode(body, pipeline_id)

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


def _tell(progress: Progress, table: str, batch: int, rows: int, size_bytes: int) -> None:
    progress("ingest", table, rows, size_bytes, 0.0, batch)


def _rows_to_go_through(
    snapshot: Snapshot, model: Model, entries: Mapping[str, TableEntry]
) -> Mapping[str, int | None]:
    """Give the rows of each table: those that the log knows or else the planner."""
    new = [table for name, table in model.polled.items() if name not in entries]
    estimated = snapshot.estimated_rows(new) if new else {}
    return {name: entries[name].rows if name in entries else estimated[name] for name in model.polled}


def _is_news(captured: Captured, before: TableEntry | None) -> bool:
    """Say whether a table needs a batch, because its rows or its shape have changed."""
    entry = captured.entry
    if entry.changes or before is None:
        return True
    return (entry.columns, entry.hashed_by, entry.mirror) != (before.columns, before.hashed_by, before.mirror)


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


def _warn_of_floor(floor: Floor, now: datetime) -> None:
    if floor.at is None:
        logger.warning("the floor is unknown: %s; this poll sweeps every table", floor.reason)
    elif now - floor.at > FLOOR_HELD_TOO_LONG and floor.holder_pid is None:
        # Where no older session holds it, the floor is what the source's clock says.
        logger.warning(
            "the floor is at %s, though no session holds it back: the source's clock is behind that of this machine;"
            " correct the one that is wrong",
            floor.at.isoformat(),
        )
    elif now - floor.at > FLOOR_HELD_TOO_LONG:
        logger.warning(
            "the floor has been held back since %s by the session with pid %s", floor.at.isoformat(), floor.holder_pid
        )
    if floor.stays:
        logger.warning("a prepared transaction exists, whose start nobody records: the watermark stays where it is")


def _reports(captured: Mapping[str, Captured]) -> dict[str, TableReport]:
    return {
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
