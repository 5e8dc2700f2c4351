"""Status: which batches are in the log, the star and the warehouse, and what the next run would do.

Every place is asked by itself, so that a place that cannot be reached hides nothing about the others.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from tidemark.belonging import refusal
from tidemark.errors import TidemarkError
from tidemark.last_changes import TableState, last_changes
from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.log.pointer import Pointer, misfit
from tidemark.pipeline import Pipeline
from tidemark.postgres.connection import connect
from tidemark.runs.health import Health, Vitals, judged
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import count_set_aside
from tidemark.warehouse.session import LedgerRow, ledger, misfit_of

logger = logging.getLogger(__name__)
Found = TypeVar("Found")
# So many runs are looked at: more than come between two verifications of a day, with a run each ten minutes.
RUNS = 300


@dataclass(frozen=True)
class Place:
    """One place and the newest batch in it; `problem` says why it could not be asked, `advice` what to do then.

    `rows` counts rows by table: in the log the rows of the source as of that batch, in the star the rows that the batch
    brought, in the warehouse the rows that all batches brought. `misfit` says how the place contradicts itself.
    """

    batch: int | None = None
    captured_at: datetime | None = None
    done_at: datetime | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    misfit: str | None = None
    advice: str | None = None


@dataclass(frozen=True)
class Status:
    """How far every place of a pipeline is, as of `now`.

    `watermark` is where the next poll's cursor starts. `checked_at` is when the source was last polled. `fresh_as_of`
    is the moment up to which the warehouse is known to hold what the source held. `quarantine` counts the open rows by
    star table. `drift` says how the source's tables changed their shape in batch `drift_batch`, the last that brought
    such a change. `left_out` has the tables that a mirror cannot have, each with the reason. `tables` has the source's
    tables, the last changed first. `health` judges all of it, together with the record of runs.
    """

    source: Place
    log: Place
    processed: Place
    warehouse: Place
    pointer: Place
    watermark: datetime | None
    checked_at: datetime | None
    fresh_as_of: datetime | None
    next_steps: tuple[str, ...]
    now: datetime
    quarantine: Mapping[str, int] = field(default_factory=dict)
    drift: Sequence[str] = ()
    drift_batch: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableState] = field(default_factory=dict)
    health: Health | None = None

    @property
    def counted(self) -> tuple[tuple[str, Place, str], ...]:
        """Give the places that count rows, in the order in which rows pass them, each with what its rows are."""
        return (
            ("change log", self.log, "in the source"),
            ("star", self.processed, "of that batch"),
            ("warehouse", self.warehouse, "of all batches"),
        )

    @property
    def freshness(self) -> timedelta | None:
        """Tell how old the warehouse's state may be."""
        return None if self.fresh_as_of is None else self.now - self.fresh_as_of


def read_status(pipeline: Pipeline, moments: dict[int, datetime] | None = None) -> Status:
    """Ask every place for its newest batch; if a place cannot be asked, its `problem` says why.

    `moments` keeps from one call to the next when batches were captured.
    """
    _, source_problem = _asked(lambda: _greet(pipeline.source_url))
    head, log_problem = _asked(lambda: ChangeLog(pipeline.ingestion).newest())
    known, pointer_problem = _asked(lambda: pipeline.pointer.read())  # noqa: PLW0108 -- making it may fail too
    rows, warehouse_problem = _asked(lambda: ledger(pipeline.warehouse_url))
    unfit, unfit_problem = _asked(lambda: misfit_of(pipeline.warehouse_url, list(pipeline.model.stars.values())))
    refused, _ = _asked(
        lambda: None if unfit or unfit_problem else refusal(pipeline.warehouse_url, pipeline.processed, pipeline.model)
    )
    unfit = unfit or refused
    warehouse_problem = warehouse_problem or unfit_problem
    source = _away(source_problem) if source_problem else Place()
    log = _away(log_problem) if log_problem else _log(head)
    pointer = _away(pointer_problem) if pointer_problem else _pointer(known, head, is_log_known=not log_problem)
    processed, quarantine = _processed(pipeline)
    warehouse = _away(warehouse_problem) if warehouse_problem else _warehouse(rows or [], str(unfit) if unfit else None)
    watermark = head.watermark if head else None
    moments = {} if moments is None else moments
    moments |= {row.batch: row.captured_at for row in rows or [] if head and row.pipeline_id == head.pipeline_id}
    tables, _ = _asked(lambda: last_changes(ChangeLog(pipeline.ingestion), head, moments) if head else {})
    found = Status(
        source=source,
        log=log,
        processed=processed,
        warehouse=warehouse,
        pointer=pointer,
        watermark=watermark,
        checked_at=known.checked_at if known else None,
        fresh_as_of=fresh_as_of(log, warehouse, known),
        next_steps=next_steps(source, log, pointer, processed, warehouse, watermark=watermark),
        now=pipeline.clock(),
        quarantine=quarantine,
        drift=head.drift if head else (),
        drift_batch=head.drift_batch if head else 0,
        left_out=head.left_out if head else {},
        tables=tables or {},
    )
    return replace(found, health=judged(_vitals(found, pipeline)))


def _vitals(found: Status, pipeline: Pipeline) -> Vitals:
    places = {
        "source": found.source,
        "change log": found.log,
        "pointer": found.pointer,
        "star": found.processed,
        "warehouse": found.warehouse,
    }
    unset = [name for name in ("source", "warehouse") if not pipeline.is_configured(name)]
    is_new_drift = bool(found.drift_batch) and found.drift_batch == found.log.batch
    return Vitals(
        found.now,
        pipeline.settings.freshness,
        found.fresh_as_of,
        {name: place.problem for name, place in places.items() if place.problem and name not in unset},
        {name: place.misfit for name, place in places.items() if place.misfit},
        pipeline.records.newest(RUNS),
        found.quarantine,
        found.warehouse.rows,
        found.drift if is_new_drift else (),
        is_new=found.log.batch == 0,
        unset=unset,
    )


def fresh_as_of(log: Place, warehouse: Place, pointer: Pointer | None) -> datetime | None:
    """Give the moment up to which the warehouse is known to hold what the source held; None when that is unknown.

    That is the snapshot of its newest batch. If it has all batches and a later poll found nothing new, it is that poll.
    The moment is never later than the last poll: a batch after that is a backfill or a replay, and says nothing about
    other rows.
    """
    if not warehouse.batch or warehouse.captured_at is None:
        return None
    if pointer is None:
        return warehouse.captured_at
    if log.batch == warehouse.batch == pointer.batch:
        return pointer.checked_at
    return min(warehouse.captured_at, pointer.checked_at)


def next_steps(
    source: Place, log: Place, pointer: Place, processed: Place, warehouse: Place, *, watermark: datetime | None
) -> tuple[str, ...]:
    """Say, in one sentence for each step, what the next run would do."""
    steps = []
    if log.problem:
        return ("fail, because the change log cannot be read",)
    if pointer.problem:
        return ("fail, because the pointer cannot be read",)
    if pointer.misfit:
        return (f"fail, because {pointer.misfit}",)
    if pointer.batch is not None and log.batch is not None and 0 < pointer.batch < log.batch:
        steps.append(f"recover: bring the pointer and latest from batch {pointer.batch} to {log.batch}")
    if source.problem:
        steps.append("ingest: wait for the source, which cannot be asked")
    elif not log.batch:
        steps.append("ingest: read every table whole, as batch 1")
    else:
        since = f"the rows changed since {watermark:%Y-%m-%d %H:%M:%S} UTC" if watermark else "no cursor yet"
        steps.append(f"ingest: poll the source ({since}, and the sweep) for batch {log.batch + 1}")
    steps.append(_step("transform", processed, log, place="star", what="the change log"))
    steps.append(_step("load", warehouse, processed, place="warehouse", what="the star"))
    return tuple(steps)


def _step(stage: str, after: Place, before: Place, *, place: str, what: str) -> str:
    if after.problem:
        return f"{stage}: wait for the {place}, which cannot be asked"
    if reason := _why_it_fails(after, before, place=place, what=what):
        return f"{stage}: fail, because {reason}"
    if before.batch is None or after.batch is None:
        return f"{stage}: unknown, since {what} cannot be read"
    if after.batch == before.batch:
        return f"{stage}: only what this run brings"
    behind = range(after.batch + 1, before.batch + 1)
    return f"{stage}: batch {behind[0]}" if len(behind) == 1 else f"{stage}: batches {behind[0]} to {behind[-1]}"


def _why_it_fails(after: Place, before: Place, *, place: str, what: str) -> str:
    if after.misfit or not after.batch or before.batch is None:
        return after.misfit or ""
    if after.batch > before.batch:
        back = "; tidemark rebuild warehouse takes it back" if place == "warehouse" else ""
        return f"it has batch {after.batch} and {what} ends with {before.batch}{back}"
    if after.batch == before.batch and after.captured_at != before.captured_at:
        return f"its batch {after.batch} is not that of {what}, one was restored: tidemark rebuild {place} mends it"
    return ""


def _asked(ask: Callable[[], Found]) -> tuple[Found | None, TidemarkError | None]:
    try:
        return ask(), None
    except TidemarkError as exc:
        logger.info("%s", exc)
        return None, exc


def _away(problem: TidemarkError, batch: int | None = None) -> Place:
    return Place(batch=batch, problem=problem.message, advice=problem.advice or None)


def _greet(url: str) -> None:
    connect(url, application="tidemark status", only_reads=True).close()


def _pointer(known: Pointer | None, head: Manifest | None, *, is_log_known: bool) -> Place:
    if known is None:
        return Place(batch=0)
    last_batch, pipeline_id = (head.batch, head.pipeline_id) if head else (0, None)
    wrong = misfit(known, last_batch, pipeline_id, has_batch=known.batch <= last_batch) if is_log_known else None
    return Place(batch=known.batch, misfit=str(wrong) if wrong else None)


def _log(head: Manifest | None) -> Place:
    if head is None:
        return Place(batch=0)
    rows = {name: entry.rows for name, entry in head.tables.items()}
    return Place(head.batch, head.captured_at, head.captured_at, rows)


def _processed(pipeline: Pipeline) -> tuple[Place, dict[str, int]]:
    stars, problem = _asked(lambda: StarLog(pipeline.processed))
    if problem or stars is None:
        return _away(problem) if problem else Place(), {}
    # Asked in two steps, so that the number of the newest manifest is shown even if the manifest cannot be read.
    newest, problem = _asked(stars.newest_batch)
    if problem or not newest:
        return _away(problem) if problem else Place(batch=newest), {}
    manifest, problem = _asked(lambda: stars.manifest(newest))
    if problem or manifest is None:
        return _away(problem, newest) if problem else Place(batch=newest), {}
    rows = {name: entry.rows for name, entry in manifest.tables.items()}
    return Place(newest, manifest.captured_at, None, rows), count_set_aside(manifest)


def _warehouse(rows: list[LedgerRow], misfit: str | None) -> Place:
    if not rows:
        return Place(batch=0, misfit=misfit)
    totals: dict[str, int] = {}
    for row in rows:
        for name, count in row.row_counts.items():
            totals[name] = totals.get(name, 0) + count
    return Place(rows[-1].batch, rows[-1].captured_at, rows[-1].loaded_at, totals, misfit=misfit)
