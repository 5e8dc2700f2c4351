"""Transform: turn the batches of the change log, one after the other, into rows of the star.

A batch is transformed when its processed manifest exists. Everything before that can be done again: the batch's files
of a table of versions are replaced, and the merge into a dimension finds nothing left to change.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tidemark.disclosure import HOW_TO_SEE, are_values_shown, told
from tidemark.errors import ContractError, DataError
from tidemark.faults import effect
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.spark_rows import DUCKDB, SparkFor, spark_beside
from tidemark.log.changelog import ChangeLog, Manifest, new_id, newest_batch, put_manifest, with_later_shape
from tidemark.log.reach import reach_of_log, require_together
from tidemark.mirror import Mirror
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.report import Progress, StageReport, TableReport, foresee, observe, quiet
from tidemark.star.batch import Batch, Outcome
from tidemark.star.dimension_steps import put_steps
from tidemark.star.dimensions import put_calendar, put_dimension
from tidemark.star.facts import put_fact
from tidemark.star.limits import Limit, limits_of
from tidemark.star.mirror_rows import put_mirrored
from tidemark.star.passing import seen_by
from tidemark.star.quarantine import Quarantine
from tidemark.star.selects import require_same_on_spark
from tidemark.star.sources import source_tables
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed, StarEntry, count_set_aside
from tidemark.star.writer import StarWriter
from tidemark.tables.log_columns import completed_by_log


@dataclass(frozen=True)
class Transform:
    """The parts that transform works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text.

    A rebuild sets `latest_of`, which gives the bucket that holds latest as of a batch if that is not the log's own, and
    `until`, the last batch to transform. `runs_on` says what runs the model's SELECTs, as the settings have it. A run
    sets `spark_for` by it.
    """

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = new_id
    latest_of: Callable[[Manifest], Objects] | None = None
    until: int | None = None
    runs_on: str = DUCKDB
    spark_for: SparkFor = lambda _: None

    def rows_to_come(self) -> int:
        """Count the changes of the batches in the log that the star does not hold."""
        log, done = ChangeLog(self.ingestion), StarLog(self.processed).newest_batch()
        return sum(log.manifest(batch).changes for batch in range(done + 1, newest_batch(self.ingestion, done) + 1))

    def require_spark_understands(self) -> None:
        """Raise ConfigError if a SELECT is not known to mean the same on Spark; it is asked about the newest batch."""
        log = ChangeLog(self.ingestion)
        if (newest := log.newest()) is None:
            return
        columns = {name: entry.columns for name, entry in newest.tables.items()}
        with open_engine([]) as engine:
            model = completed_by_log(self.model.following(newest.mirrored), log)
            for star in (each for each in model.stars.values() if not each.mirror):
                seen = seen_by(engine, star, model.sources, {name: columns[name] for name in star.reads})
                require_same_on_spark(star, seen)

    def run(self, progress: Progress = quiet) -> StageReport:
        """Transform every batch of the log that has not been transformed.

        Raises:
            OvertakenError: another run transformed a batch at the same time; nothing is lost.
            DataError: rows do not fit the star; the batch is not transformed.
            StateError: log and processed bucket do not belong together.
        """
        started = time.perf_counter()
        log, stars = ChangeLog(self.ingestion), StarLog(self.processed)
        done = stars.newest_batch()
        last = newest_batch(self.ingestion, done) if self.until is None else self.until
        before = stars.manifest(done) if done else None
        if before:
            # Checked even if there is nothing to transform: a log that was begun anew has fewer batches than the star.
            require_together(reach_of_log(log, done), reach_of_star(before))
        totals: dict[str, TableReport] = {}
        with open_engine([self.ingestion, self.processed]) as engine:
            # A run that has no batch to transform asks nothing of the engine.
            if done < last:
                newest = log.manifest(last) if self.until is None else log.newest(last)
                model = completed_by_log(self.model.following(newest.mirrored if newest else {}), log)
                with spark_beside(engine, self.runs_on, self.processed) as spark_for:
                    this = replace(self, model=model, spark_for=spark_for)
                    before = this.put_all(engine, range(done + 1, last + 1), newest, before, totals, progress)
        return StageReport(
            "transform",
            tuple(range(done + 1, last + 1)),
            totals,
            time.perf_counter() - started,
            newest=before.batch if before else 0,
            captured_at=before.captured_at if before else None,
            set_aside=sum(count_set_aside(before).values()),
        )

    def put_all(
        self,
        engine: Engine,
        batches: Sequence[int],
        newest: Manifest | None,
        before: Processed | None,
        totals: dict[str, TableReport],
        progress: Progress = quiet,
    ) -> Processed | None:
        """Transform batches, one after the other; `newest` is the manifest whose shape the model has, see `put`."""
        from tidemark.star.binding import require_fitting  # noqa: PLC0415 -- it loads DuckDB

        engine.seeds(self.model.seeds)
        limits = limits_of(self.model)
        for found, manifest in self._to_do(batches, newest):
            if self.latest_of is None:
                columns = {name: entry.columns for name, entry in manifest.tables.items()}
                require_fitting(engine, self.model, columns, before.tables if before else ())
            before = self.put(engine, limits, (found, manifest), before, totals, progress)
        return before

    def put(
        self,
        engine: Engine,
        limits: Mapping[str, Mapping[str, Limit]],
        manifests: tuple[Manifest, Manifest],
        before: Processed | None,
        totals: dict[str, TableReport],
        progress: Progress = quiet,
    ) -> Processed:
        """Transform one batch.

        Args:
            engine: has the model's seeds.
            limits: what the star's columns hold.
            manifests: the batch as it was written, and as the model reads it.
            before: the processed manifest of the batch before.
            totals: what was done to each star table, to which this batch is added.
            progress: told of each star table.
        """
        found, manifest = manifests
        spark = self.spark_for(manifest.changes)
        log, latest = ChangeLog(self.ingestion), self.latest_of(found) if self.latest_of else self.ingestion
        with source_tables(engine, self.model.sources, self._ordered, manifest, log, latest) as sources:
            batch = Batch(
                model=self.model,
                manifest=manifest,
                engine=engine,
                sources=replace(sources, spark=spark, seeds=tuple(self.model.seeds)),
                limits=limits,
                quarantine=Quarantine(engine, StarLog(self.processed), manifest.batch, before),
                writer=StarWriter(engine, self.processed, manifest.batch, before, self.model.hash, self.clock),
            )
            outcomes = self._put_all(batch, progress, totals)
        return self._commit(manifest, {name: outcome.entry for name, outcome in outcomes.items()})

    def _to_do(self, batches: Sequence[int], newest: Manifest | None) -> Iterator[tuple[Manifest, Manifest]]:
        """Yield the manifests of the batches to transform, each as it was written and as the model reads it."""
        log = ChangeLog(self.ingestion)
        for batch in batches:
            found = newest if newest and newest.batch == batch else log.manifest(batch)
            # The model may have been changed for a newer batch than this one.
            yield found, with_later_shape(found, newest or found)

    def _commit(self, manifest: Manifest, entries: Mapping[str, StarEntry]) -> Processed:
        """Put the processed manifest of a batch: from then on it is transformed."""
        done = Processed(
            batch=manifest.batch,
            run_id=self.new_id(),
            pipeline_id=manifest.pipeline_id,
            captured_at=manifest.captured_at,
            model=self.model.hash,
            tables=entries,
            mirrored=self.model.tables if isinstance(self.model, Mirror) else {},
        )
        with effect("processed-manifest"):
            put_manifest(self.processed, done.batch, done.encode(), done.run_id)
        return done

    @property
    def _ordered(self) -> list[StarTable]:
        """Order the star tables: dimensions, then facts, which refer to them, then the calendar with their years."""
        order = ("dimension", "fact", "calendar")
        return sorted(self.model.stars.values(), key=lambda star: order.index(star.kind))

    def _put_all(self, batch: Batch, progress: Progress, totals: dict[str, TableReport]) -> dict[str, Outcome]:
        """Put a batch into every star table, add the outcomes to the totals, and return them by table."""
        outcomes: dict[str, Outcome] = {}
        years: set[int] = set()
        foresee(progress, "transform", partial(_rows_to_go_through, batch, self._ordered))
        observe(progress, batch.engine.percent)
        for star in self._ordered:
            started = time.perf_counter()
            progress("transform", star.name, 0, 0, 0.0, batch.number)
            outcome = outcomes[star.name] = batch.untouched(star, years) or _put(batch, star, outcomes, years)
            years |= outcome.years
            report = TableReport(
                rows=outcome.entry.rows,
                bytes=outcome.size_bytes,
                seconds=time.perf_counter() - started,
                set_aside=outcome.entry.set_aside,
            )
            progress("transform", star.name, report.rows, report.bytes, report.seconds, batch.number)
            totals[star.name] = _sum(totals.get(star.name, TableReport()), report)
        return outcomes


def _rows_to_go_through(batch: Batch, stars: Sequence[StarTable]) -> Mapping[str, int | None]:
    """Give the changes of the tables that each star table reads: about as much as there is to compute."""
    changes = {name: entry.changes for name, entry in batch.manifest.tables.items()}
    return {star.name: sum(changes.get(name, 0) for name in star.reads) for star in stars}


def _put(batch: Batch, star: StarTable, outcomes: Mapping[str, Outcome], years: Collection[int]) -> Outcome:
    """Put a batch into a star table.

    Args:
        batch: the batch.
        star: the star table.
        outcomes: what the batch did to the star tables that it was put into before.
        years: the years that its facts name.
    """
    import duckdb  # noqa: PLC0415 -- a run that has no batch to transform does without

    try:
        with batch.engine.working_on(star.name):
            if star.mirror:
                return put_mirrored(batch, star, star.mirror)
            if star.kind == "fact":
                return put_fact(batch, star, outcomes)
            if star.kind == "calendar":
                return put_calendar(batch, star, years)
            return put_steps(batch, star) if star.knows_deletions else put_dimension(batch, star)
    except duckdb.BinderException as exc:
        message = f"batch {batch.number}: {star.path}.sql cannot read the source's tables: {told(exc)}"
        raise ContractError(message, advice="mend the model, and run again", table=star.name) from exc
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as exc:
        message = f"batch {batch.number}: the SELECT of {star.name} cannot convert a value: {told(exc)}"
        advice = f"take the cast out of {star.path}.sql, so that the row is set aside, or make it a try_cast"
        advice = advice if are_values_shown() else f"{advice}; {HOW_TO_SEE}"
        raise DataError(message, advice=advice, table=star.name) from exc


def _sum(one: TableReport, other: TableReport) -> TableReport:
    return TableReport(
        one.rows + other.rows,
        one.bytes + other.bytes,
        seconds=one.seconds + other.seconds,
        set_aside=one.set_aside + other.set_aside,
    )
