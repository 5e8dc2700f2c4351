"""Transform: the batches of the change log, one after the other, become rows of the star schema.

A batch is transformed when its processed manifest exists. Everything before that can be done again: a fact's files of
the batch are replaced, and a dimension's merge finds nothing left to change.
"""

import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
from deltalake.transaction import AddAction

from tidemark import star as sql
from tidemark.changelog import ChangeLog, LogObject, Manifest, newest_batch, put_manifest
from tidemark.engine import Engine, open_engine
from tidemark.errors import DataError, OvertakenError, StateError
from tidemark.faults import effect
from tidemark.lake import Change, LakeTable, add_columns, create_table, open_table, write_file
from tidemark.latest import open_latest_as_of
from tidemark.merge import stage_merge
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.processed import Processed, StarEntry, loaded_columns, newest_processed, read_processed
from tidemark.report import Progress, StageReport, TableReport, quiet
from tidemark.sqltext import checksum, empty, from_json, names, quoted, text

logger = logging.getLogger(__name__)
UPSERT = "upsert"


@dataclass(frozen=True)
class Transform:
    """The parts that transform works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text."""

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

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
        last = newest_batch(self.ingestion, done)
        before = read_processed(self.processed, done) if done else None
        totals: dict[str, TableReport] = {}
        with open_engine([self.ingestion, self.processed]) as engine:
            for manifest in log.manifests(done + 1, last):
                if before and before.pipeline_id != manifest.pipeline_id:
                    message = (
                        f"the log is of pipeline {manifest.pipeline_id}, the processed bucket of {before.pipeline_id}"
                    )
                    raise StateError(message, advice="check TIDEMARK_INGESTION and TIDEMARK_PROCESSED")
                batch = _Batch(self, engine, log, manifest)
                reports = batch.run(progress)
                body = Processed(
                    batch=manifest.batch,
                    run_id=self.new_id(),
                    pipeline_id=manifest.pipeline_id,
                    captured_at=manifest.captured_at,
                    model=self.model.hash,
                    tables=batch.committed,
                )
                with effect("processed-manifest"):
                    put_manifest(self.processed, body.batch, body.encode(), body.run_id)
                for name, report in reports.items():
                    totals[name] = _sum(totals.get(name, TableReport()), report)
        return StageReport("transform", tuple(range(done + 1, last + 1)), totals, time.perf_counter() - started)


@dataclass
class _Batch:
    """One batch on its way into the star."""

    transform: Transform
    engine: Engine
    log: ChangeLog
    manifest: Manifest
    committed: dict[str, StarEntry] = field(default_factory=dict)
    years: set[int] = field(default_factory=set)
    parts: dict[str, Path] = field(default_factory=dict)
    calendar: LakeTable | None = None
    written_bytes: Counter[str] = field(default_factory=Counter)

    @property
    def number(self) -> int:
        return self.manifest.batch

    def run(self, progress: Progress) -> dict[str, TableReport]:
        model = self.transform.model
        for name, path in model.seeds.items():
            source = f"read_csv({text(str(path))}, header = true, all_varchar = true)"
            self.engine.execute(f"create or replace temp table {quoted(name)} as select * from {source}")
        reports = {}
        ordered = sorted(model.stars.values(), key=lambda star: ("dimension", "fact", "calendar").index(star.kind))
        for star in ordered:
            started = time.perf_counter()
            progress("transform", star.name, 0, 0, 0.0)
            try:
                rows, size = {"fact": self._fact, "dimension": self._dimension, "calendar": self._calendar}[star.kind](
                    star
                )
            except (duckdb.ConversionException, duckdb.OutOfRangeException) as exc:
                message = f"batch {self.number}: a row does not fit {star.name}: {exc}"
                raise DataError(message, advice="mend the row in the source, or the model", table=star.name) from exc
            seconds = time.perf_counter() - started
            reports[star.name] = TableReport(rows=rows, bytes=size, seconds=seconds)
            progress("transform", star.name, rows, size, seconds)
        for path in self.parts.values():
            path.unlink()
        return reports

    def _fact(self, star: StarTable) -> tuple[int, int]:
        entry = self.manifest.tables.get(star.driving)
        self._present(star)
        lake = self._open(star, {star.key[0]: "BIGINT"}, sql.HISTORY)
        if entry is None or not entry.changes:
            return self._commit(star, lake, Change())
        table = self.transform.model.sources[star.driving]
        types = {column.name: column.typed for column in entry.columns}
        columns = [name for name in lake.columns if name not in {star.key[0], *sql.HISTORY}]
        added, ordinal = [], entry.first_ordinal
        for each in entry.objects:
            part = self._part(star.driving, each)
            self._view(star.driving, sql.typed(part, entry.columns))
            previous = sql.previous_versions(lake.rows(), star, part, table, types, self.number)
            history = sql.versions(
                part,
                star,
                table,
                entry.columns,
                self.transform.model,
                first_ordinal=ordinal,
                captured_at=self.manifest.captured_at,
                previous=previous,
            )
            action = self._write(lake, sql.fact_rows(star, history, self.number, columns), [star.key[0], "batch_id"])
            rows = json.loads(action.stats)["numRecords"] if action else 0
            if rows != each.rows:
                message = (
                    f"{star.name} has {rows} rows for the {each.rows} changes in {each.key}: expected one for each"
                )
                raise DataError(message, advice=f"mend {star.path}.sql: it drops or repeats rows", table=star.name)
            if action:
                added.append(action)
                self._note_years(star, lake, action.path)
            ordinal += each.rows
        own = f"{self.number:010d}-"
        removed = tuple(file for file in lake.files if file.startswith(own))
        return self._commit(star, lake, Change(tuple(added), removed))

    def _dimension(self, star: StarTable) -> tuple[int, int]:
        lake = None
        changed = [name for name in star.reads if self._has_changes(name)]
        if len(star.reads) == 1 and changed:
            entry = self.manifest.tables[star.reads[0]]
            for each in entry.objects:
                part = f"(select * from {self._part(star.reads[0], each)} where _op <> 'delete')"
                self._view(star.reads[0], sql.typed(part, entry.columns))
                lake = self._upsert(star, lake)
        elif changed:
            self._present(star)
            lake = self._upsert(star, lake)
        if lake is None:
            self._present(star)
            lake = self._open(star, {}, sql.BATCH)
        return self._commit(star, lake, None)

    def _calendar(self, star: StarTable) -> tuple[int, int]:
        self._view("calendar", "select cast(null as date) as date_id where false")
        lake = self._open(star, {}, sql.BATCH)
        key = quoted(star.key[0])
        known = {row[0] for row in self.engine.execute(f"select distinct year({key}) from {lake.rows()}").fetchall()}
        missing = sorted(self.years - known)
        if missing:
            first, last = "make_date(y, 1, 1)::timestamp", "make_date(y, 12, 31)::timestamp"
            days = f"cast(unnest(generate_series({first}, {last}, interval 1 day)) as date)"
            self._view("calendar", f"select {days} as date_id from (select unnest({missing}::integer[]) as y)")
            lake = self._upsert(star, lake)
        return self._commit(star, lake, None)

    def _upsert(self, star: StarTable, lake: LakeTable | None) -> LakeTable:
        """Merge what the SELECT yields now into a dimension; rows that are there already stay untouched."""
        lake = lake or self._open(star, {}, sql.BATCH)
        columns = [name for name in lake.columns if name not in sql.BATCH]
        mine, theirs, keys = names(columns, "s."), names(columns, "d."), names(star.key)
        on = " and ".join(f"s.{quoted(name)} = d.{quoted(name)}" for name in star.key)
        is_new = f"d.{quoted(star.key[0])} is null"
        if lake.files:
            known = f"(select * from {lake.rows()} semi join new using ({keys}))"
            select = (
                f"with new as ({star.sql}) select {mine}, {self.number}::bigint as batch_id,"
                f" case when {is_new} then 'insert' else 'update' end as _op"
                f" from new as s left join {known} as d on {on}"
                f" where {is_new} or row({mine}) is distinct from row({theirs})"
            )
            self.engine.execute(f"create or replace temp table {UPSERT} as {select}")
            now = self._now_milliseconds()
            change = stage_merge(
                self.engine, lake, star.key, UPSERT, batch=self.number, now_milliseconds=now, statistics=["batch_id"]
            )
        else:
            action = self._write(lake, f"select *, {self.number}::bigint as batch_id from ({star.sql})", ["batch_id"])
            change = Change((action,) if action else ())
        if change.added or change.removed:
            self._apply(lake, change)
            lake = self._reopen(lake)
        return lake

    def _commit(self, star: StarTable, lake: LakeTable, change: Change | None) -> tuple[int, int]:
        if change is not None and (change.added or change.removed):
            self._apply(lake, change)
            lake = self._reopen(lake)
        counted = f"count(*), {checksum(loaded_columns(star, lake.columns))}"
        found = self.engine.execute(f"select {counted} from {lake.rows()} where batch_id = {self.number}").fetchone()
        rows, proof = found or (0, "")
        self.committed[star.name] = StarEntry(rows, lake.version, checksum=proof)
        return rows, self.written_bytes[lake.path]

    def _apply(self, lake: LakeTable, change: Change) -> None:
        lake.commit(change, batch=self.number, metadata={"model": self.transform.model.hash})
        self.written_bytes[lake.path] += sum(action.size for action in change.added)

    def _reopen(self, lake: LakeTable) -> LakeTable:
        reopened = open_table(lake.objects, lake.path)
        if reopened is None:
            message = f"{lake.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log")
        return reopened

    def _open(self, star: StarTable, before: Mapping[str, str], after: Mapping[str, str]) -> LakeTable:
        """Open a star table, creating it with the columns that its SELECT yields between those of the engine."""
        wanted = {**before, **self.engine.describe(star.sql), **after}
        lake = create_table(self.transform.processed, star.path, wanted)
        if lake.batch > self.number:
            message = f"{star.name} holds batch {lake.batch} already, though batch {self.number} is not transformed"
            raise OvertakenError(message, advice="run again; if it stays so: tidemark rebuild star", table=star.name)
        differ = {
            name: (lake.columns[name], kind) for name, kind in wanted.items() if lake.columns.get(name, kind) != kind
        }
        if differ:
            message = f"{star.name} has columns of other types than its SELECT yields (stored, yielded): {differ}"
            raise StateError(message, advice="cast them in the model, or run tidemark rebuild star", table=star.name)
        return add_columns(lake, wanted)

    def _present(self, star: StarTable) -> None:
        """Make the views that a star table's SELECT reads: latest as of the batch, with the rows it deleted."""
        for name in star.reads:
            table = self.transform.model.sources[name]
            entry = self.manifest.tables.get(name)
            if entry is None:
                message = f"batch {self.number} has no source table {name!r}, which {star.name} reads"
                raise StateError(message, advice="run tidemark ingest with this model first", table=name)
            self._view(name, " union all ".join(sql.typed(rows, entry.columns) for rows in self._states(table)))

    def _states(self, table: SourceTable) -> Iterator[str]:
        entry = self.manifest.tables[table.name]
        types = {column.name: column.log_type for column in entry.columns}
        latest = open_latest_as_of(self.transform.ingestion, table, self.number)
        yield latest.rows if latest else empty(types)
        if entry.deleted:
            for each in entry.objects:
                yield f"(select * from {self._part(table.name, each)} where _op = 'delete')"

    def _has_changes(self, name: str) -> bool:
        entry = self.manifest.tables.get(name)
        return bool(entry and entry.changes)

    def _part(self, table: str, each: LogObject) -> str:
        """Give a FROM item over one object of the log, with each line's `position` in it."""
        if each.key not in self.parts:
            types = {column.name: column.log_type for column in self.manifest.tables[table].columns}
            lines = from_json([self.log.objects.url(each.key)], types | {"_op": "VARCHAR"})
            operation = "'insert'" if self.number == 1 else "_op"
            path = self.engine.new_file(".parquet")
            self.engine.execute(
                f"copy (select {names(types)}, {operation} as _op from {lines}) to {text(str(path))} (format parquet)",
            )
            self.parts[each.key] = path
        numbered = f"read_parquet({text(str(self.parts[each.key]))}, file_row_number = true)"
        return f"(select * exclude (file_row_number), file_row_number as position from {numbered})"

    def _note_years(self, star: StarTable, lake: LakeTable, file: str) -> None:
        calendars = {each.name for each in self.transform.model.dimensions if each.kind == "calendar"}
        for column, dimension in (star.references or {}).items():
            if dimension in calendars:
                years = f"select distinct year({quoted(column)}) as y from {lake.rows([file])}"
                found = self.engine.execute(f"select y from ({years}) where y is not null").fetchall()
                self.years.update(row[0] for row in found)

    def _write(self, lake: LakeTable, select: str, statistics: list[str]) -> AddAction | None:
        return write_file(
            self.engine,
            lake,
            select,
            batch=self.number,
            now_milliseconds=self._now_milliseconds(),
            statistics=statistics,
        )

    def _now_milliseconds(self) -> int:
        return int(self.transform.clock().timestamp() * 1000)

    def _view(self, name: str, select: str) -> None:
        self.engine.execute(f"create or replace temp view {quoted(name)} as {select}")


def _sum(one: TableReport, other: TableReport) -> TableReport:
    return TableReport(one.rows + other.rows, one.bytes + other.bytes, seconds=one.seconds + other.seconds)
