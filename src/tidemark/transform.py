"""Transform: the batches of the change log, one after the other, become rows of the star schema.

A batch is transformed when its processed manifest exists. Everything before that can be done again: a fact's files of
the batch are replaced, and a dimension's merge finds nothing left to change.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from tidemark.errors import ContractError, DataError, StateError
from tidemark.faults import effect
from tidemark.lake.engine import open_engine
from tidemark.log.changelog import ChangeLog, Manifest, newest_batch, put_manifest, with_later_shape
from tidemark.model import Model, StarTable
from tidemark.objects import ObjectMissingError, Objects
from tidemark.report import Progress, StageReport, TableReport, quiet
from tidemark.star.batch import Batch
from tidemark.star.dimensions import put_calendar, put_dimension
from tidemark.star.facts import put_fact
from tidemark.star.limits import limits_of
from tidemark.star.quarantine import Quarantine
from tidemark.star.quarantine_report import count_set_aside
from tidemark.star.star_manifest import Processed, newest_processed, read_processed

BELONG_TOGETHER = "check TIDEMARK_INGESTION and TIDEMARK_PROCESSED: do they belong together?"


@dataclass(frozen=True)
class Transform:
    """The parts that transform works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text.

    A rebuild says by `latest_of` where latest lies as of a batch, if not beside the log, and by `until` where to end.
    """

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    latest_of: Callable[[Manifest], Objects] | None = None
    until: int | None = None

    def run(self, progress: Progress = quiet) -> StageReport:
        """Transform every batch of the log that has not been transformed.

        Raises:
            OvertakenError: another run transformed a batch at the same time; nothing is lost.
            DataError: rows do not fit the star; the batch is not transformed.
            StateError: log and processed bucket do not belong together.
        """
        started = time.perf_counter()
        log = ChangeLog(self.ingestion)
        done = newest_processed(self.processed)
        last = newest_batch(self.ingestion, done) if self.until is None else self.until
        before = read_processed(self.processed, done) if done else None
        if before:
            _check_pipeline(log, before)
        totals: dict[str, TableReport] = {}
        with open_engine([self.ingestion, self.processed]) as engine:
            limits = limits_of(self.model) if done < last else {}
            newest = log.newest(last) if done < last else None
            for found in log.manifests(done + 1, last):
                # The model may have been mended for a newer batch than this one.
                manifest = with_later_shape(found, newest or found)
                quarantine = Quarantine(engine, self.processed, manifest.batch, before)
                batch = Batch(
                    self.model,
                    self.latest_of(found) if self.latest_of else self.ingestion,
                    self.processed,
                    engine,
                    log,
                    manifest,
                    limits,
                    quarantine,
                    self.clock,
                )
                for name, report in self._transform(batch, progress).items():
                    totals[name] = _sum(totals.get(name, TableReport()), report)
                before = Processed(
                    batch=manifest.batch,
                    run_id=self.new_id(),
                    pipeline_id=manifest.pipeline_id,
                    captured_at=manifest.captured_at,
                    model=self.model.hash,
                    tables=batch.committed,
                )
                with effect("processed-manifest"):
                    put_manifest(self.processed, before.batch, before.encode(), before.run_id)
        return StageReport(
            "transform",
            tuple(range(done + 1, last + 1)),
            totals,
            time.perf_counter() - started,
            newest=before.batch if before else 0,
            captured_at=before.captured_at if before else None,
            set_aside=sum(count_set_aside(before).values()),
        )

    def _transform(self, batch: Batch, progress: Progress) -> dict[str, TableReport]:
        batch.begin()
        reports = {}
        # Facts look for the rows that they refer to, and the calendar holds the years that they name.
        order = ("dimension", "fact", "calendar")
        for star in sorted(self.model.stars.values(), key=lambda star: order.index(star.kind)):
            started = time.perf_counter()
            progress("transform", star.name, 0, 0, 0.0, batch.manifest.batch)
            _put(batch, star)
            rows, size = batch.committed[star.name].rows, batch.written_bytes[star.path]
            reports[star.name] = TableReport(rows=rows, bytes=size, seconds=time.perf_counter() - started)
            progress("transform", star.name, rows, size, reports[star.name].seconds, batch.manifest.batch)
        batch.end()
        return reports


def _put(batch: Batch, star: StarTable) -> None:
    try:
        if star.kind == "fact":
            put_fact(batch, star)
        elif star.kind == "calendar":
            put_calendar(batch, star)
        else:
            put_dimension(batch, star)
    except duckdb.BinderException as exc:
        message = f"batch {batch.number}: {star.path}.sql cannot read the source's tables: {exc}"
        raise ContractError(message, advice="mend the model, and run again", table=star.name) from exc
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as exc:
        message = f"batch {batch.number}: the SELECT of {star.name} cannot convert a value: {exc}"
        advice = f"take the cast out of {star.path}.sql, so that the row is set aside, or make it a try_cast"
        raise DataError(message, advice=advice, table=star.name) from exc


def _check_pipeline(log: ChangeLog, before: Processed) -> None:
    """Refuse a log that was begun anew, also while it has fewer batches than the star and so nothing to transform."""
    try:
        pipeline_id = log.manifest(before.batch).pipeline_id
    except ObjectMissingError as exc:
        message = f"the star ends with batch {before.batch}, which is not in the log"
        raise StateError(message, advice=BELONG_TOGETHER) from exc
    if pipeline_id != before.pipeline_id:
        message = f"the log is of pipeline {pipeline_id}, the star of {before.pipeline_id}"
        raise StateError(message, advice=BELONG_TOGETHER)


def _sum(one: TableReport, other: TableReport) -> TableReport:
    return TableReport(one.rows + other.rows, one.bytes + other.bytes, seconds=one.seconds + other.seconds)
