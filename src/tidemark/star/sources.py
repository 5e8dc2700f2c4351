"""The source tables as a model's SELECTs read them in one batch: latest as of the batch, and the batch's changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from tidemark.errors import StateError, TransientError
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.merge import has_places
from tidemark.lake.spark import Spark
from tidemark.lake.spark_rows import made_rows
from tidemark.lake.sqltext import (
    OWN,
    Expression,
    Rows,
    Select,
    empty,
    from_json,
    hidden,
    names,
    numbered_parquet,
    quoted,
    scratch_parquet,
    select,
    shown,
    union_all,
)
from tidemark.lake.wide_rows import write_scratch_file
from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry
from tidemark.log.columns import Column
from tidemark.log.latest import state_as_of
from tidemark.model import SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star.passing import seen_by
from tidemark.star.selects import may_read, require_same_on_spark
from tidemark.star.star_sql import gone, typed, unreadable

BRING_UP = "run tidemark ingest, which brings it up to date; if it still does not, tidemark rebuild latest"


@dataclass(frozen=True)
class Part:
    """One object of the log as Parquet, so that a fact and a dimension that both read it parse it only once.

    `rows` has the object's lines with `_op` and `_tidemark_position`, which counts from 0; `scratch` is the file to
    remove in the end.
    """

    source: LogObject
    rows: Rows
    scratch: Path


@dataclass(frozen=True)
class SourceState:
    """A source table in one batch; `read` gives what `there` keeps."""

    engine: Engine
    table: SourceTable
    entry: TableEntry
    parts: Sequence[Part]
    read: Callable[[], Rows]

    @cached_property
    def there(self) -> Rows:
        """Give latest as of the batch, which is opened only for this.

        Raises:
            TransientError: latest does not have the batch yet.
        """
        return self.read()

    @cached_property
    def rows(self) -> Rows:
        """Give latest as of the batch, and the rows that the batch deleted; see `there`."""
        columns, there = self.entry.columns, self.there
        parts = self.parts if self.entry.deleted else []
        deleted = [gone(part.rows, self.table, columns, there).rows for part in parts]
        fields = names(_types(columns))
        return union_all(select("files", "fields", fields=fields, rows=rows) for rows in [there, *deleted]).rows

    def sample(self, rows: Rows, columns: Sequence[Column]) -> str | None:
        """Name the first unreadable value in some of the table's rows; None if every value of `columns` can be read."""
        reason = unreadable(columns)
        if reason is None:
            return None
        found = self.engine.value(select("star", "first_unreadable", reason=reason, rows=rows))
        return str(found) if found else None

    @cached_property
    def sample_of_all(self) -> str | None:
        """Give `sample` of all the table's rows and columns, which are read for this only once."""
        return self.sample(self.rows, self.entry.columns)


@dataclass(frozen=True)
class SourceTables:
    """The source tables that the star reads, by name.

    `spark` runs the model's SELECTs, None for the engine itself; `seeds` names the seeds that they may read.
    """

    engine: Engine
    sources: Mapping[str, SourceTable]
    states: Mapping[str, SourceState]
    spark: Spark | None = None
    seeds: Sequence[str] = ()

    def seen_by(self, star: StarTable) -> Mapping[str, Sequence[Column]]:
        """Give the columns of the tables that a star table reads, as its SELECT sees them."""
        columns = {name: self.states[name].entry.columns for name in star.reads}
        return seen_by(self.engine, star, self.sources, columns)

    def has_changes(self, star: StarTable) -> bool:
        """Say whether the batch changes a dimension's tables, or a fact's driving table."""
        return any(self.states[name].entry.changes for name in ([star.driving] if star.kind == "fact" else star.reads))

    def describe(self, star: StarTable) -> None:
        """Make the views that a star table's SELECT reads, without any rows, to learn what it yields."""
        types = {name: _types(self.states[name].entry.columns) for name in star.reads}
        self.present(star, {name: empty(found) for name, found in types.items()})

    def made(
        self, star: StarTable, instead: Mapping[str, Rows], tables: WorkingTables, *, filled: bool = False
    ) -> Select:
        """Make the views that a star table's SELECT reads, and give the SELECT of the rows that it yields.

        Args:
            star: the star table.
            instead: see `present`.
            tables: keep what the rows are read from.
            filled: see `present`.

        Raises:
            ConfigError: Spark is to run the SELECT, and understands it otherwise than DuckDB.
        """
        self.present(star, instead, filled=filled)
        if self.spark:
            require_same_on_spark(star, self.seen_by(star))
        return made_rows(self.engine, self.spark, star.sql, may_read(star, self.seeds), tables)

    def present(self, star: StarTable, instead: Mapping[str, Rows], *, filled: bool = False) -> None:
        """Make the views that a star table's SELECT reads.

        Args:
            star: the star table.
            instead: the rows to present for some of the tables; every other table is presented with all its rows.
            filled: see `typed`.
        """
        seen = self.seen_by(star)
        for name in star.reads:
            state = self.states[name]
            # Latest is opened only where its rows are asked for.
            rows = instead[name] if name in instead else state.rows  # noqa: SIM401
            self.engine.view(name, typed(rows, seen[name], filled=filled))


@contextmanager
def source_tables(
    engine: Engine,
    sources: Mapping[str, SourceTable],
    stars: Sequence[StarTable],
    manifest: Manifest,
    log: ChangeLog,
    latest: Objects,
) -> Iterator[SourceTables]:
    """Open the source tables that star tables read, until the block ends.

    Args:
        engine: reads the tables, and keeps their scratch files.
        sources: the model's source tables.
        stars: the star tables.
        manifest: the batch, as the model reads it.
        log: holds the batch's objects.
        latest: where latest lies. If that is a scratch copy, everything is made from the log alone.

    Raises:
        StateError: the batch lacks a table, or one of its objects is gone or altered.
    """
    states: dict[str, SourceState] = {}
    try:
        for star, name in ((each, name) for each in stars for name in each.reads):
            entry = manifest.tables.get(name)
            if entry is None:
                message = f"batch {manifest.batch} has no source table {name!r}, which {star.name} reads"
                raise StateError(message, advice="run tidemark ingest with this model first", table=name)
            if name not in states:
                parts = [
                    (part_of_latest(engine, log, each, entry) if latest is log.objects else None)
                    or part_of_log(engine, log, each, entry, manifest.batch)
                    for each in entry.objects
                ]
                read = partial(_there, latest, sources[name], entry, manifest.batch)
                states[name] = SourceState(engine, sources[name], entry, parts, read)
        yield SourceTables(engine, sources, states)
    finally:
        for state in states.values():
            for part in state.parts:
                part.scratch.unlink(missing_ok=True)


def part_of_log(engine: Engine, log: ChangeLog, each: LogObject, entry: TableEntry, batch: int) -> Part:
    """Give an object by its own lines, which become a scratch file."""
    types = _types(entry.columns)
    copy, path = engine.new_file(".jsonl"), engine.new_file(".parquet")
    file = log.verified(each, copy)
    lines = from_json([str(file)], types | {"_op": "VARCHAR"}, longest_line_bytes([file]))
    operation = Expression("'insert'" if batch == 1 else "_op")
    with engine.working_on(each.key):
        rows = select("star", "lines_of_log", fields=hidden(types), operation=operation, lines=lines)
        write_scratch_file(engine, rows, [*(OWN + name for name in types), "_op"], path)
    copy.unlink(missing_ok=True)
    parts = {"fields": shown(types), "operation": quoted("_op"), "rows": numbered_parquet(path)}
    return Part(each, select("star", "part", **parts).rows, path)


def part_of_latest(engine: Engine, log: ChangeLog, each: LogObject, entry: TableEntry) -> Part | None:
    """Give an object by the data file that latest got of its rows; None if that cannot take the object's place."""
    types = _types(entry.columns)
    if not has_places(types):
        return None
    copy = engine.new_file(".parquet")
    file = log.same_rows(each, copy)
    if file is not None:
        found = engine.describe(select("files", "all", rows=scratch_parquet([file])))
        # A column that came into the model later is in no older file.
        if types.items() <= found.items():
            parts = {"fields": names(types), "operation": Expression("'insert'"), "rows": numbered_parquet(file)}
            return Part(each, select("star", "part", **parts).rows, copy)
    copy.unlink(missing_ok=True)
    return None


def _there(latest: Objects, table: SourceTable, entry: TableEntry, batch: int) -> Rows:
    state = state_as_of(latest, table, batch, entry)
    if (state.batch if state else 0) < entry.changed_in:
        # The ingest that committed the batch is about to apply it to latest, or was killed before it could.
        message = f"latest {table.name} does not have batch {entry.changed_in} yet"
        raise TransientError(message, advice=BRING_UP, table=table.name)
    return state.rows if state else empty(_types(entry.columns))


def _types(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.log_type for column in columns}
