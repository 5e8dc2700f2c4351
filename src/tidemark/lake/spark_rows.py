"""The rows of a model's SELECT, made by DuckDB or by Spark, which are the same in number, type and value."""

import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tidemark.engine_address import engine_from
from tidemark.errors import ConfigError
from tidemark.extras import needed_for
from tidemark.faults import effect
from tidemark.lake.engine import ROW_GROUP_ROWS, Engine, WorkingTables
from tidemark.lake.spark import PROBES, Spark, open_spark
from tidemark.lake.spark_errors import WHERE
from tidemark.lake.spark_scratch import FOLDER, Disk, Place, buckets_of
from tidemark.lake.sqltext import (
    Condition,
    Rows,
    Select,
    any_of,
    converted,
    empty,
    listed,
    named_as,
    quoted,
    scratch_parquet,
    select,
)
from tidemark.lake.wide_rows import FEWEST_ROWS, is_wide
from tidemark.objects import Objects

if TYPE_CHECKING:
    from tidemark.lake.carrying import Fault

logger = logging.getLogger(__name__)
DUCKDB = "duckdb"
MOMENTS = ("DATE", "TIMESTAMP")
SparkFor = Callable[[int], Spark | None]
NO_PLACE = (
    "run it on this machine, set TMPDIR to a directory that both see under one path, "
    f"or have the processed bucket on S3 and let it read and write below {FOLDER}/ there"
)


@contextmanager
def spark_beside(engine: Engine, setting: str, processed: Objects) -> Iterator[SparkFor]:
    """Choose what runs a model's SELECTs beside the engine.

    What is yielded gives it for a batch of so many changes: None for the engine itself. Spark is opened by the first
    batch that it is for.

    Args:
        engine: makes the files that both hand each other.
        setting: the engine as the settings have it.
        processed: holds the files where Spark does not see the engine's.

    Raises:
        ConfigError: the extra is not installed, or Spark sees neither the engine's scratch files nor the bucket.
        TransientError: it cannot be reached.
    """
    fewest, address = engine_from(setting)
    with ExitStack() as opened:

        @cache
        def spark() -> Spark:
            found = opened.enter_context(open_spark(address))
            found.place = meeting_place(engine, found, processed)
            return found

        yield lambda changes: spark() if address != DUCKDB and changes >= fewest else None


def meeting_place(engine: Engine, spark: Spark, processed: Objects) -> Place:
    """Find the place that both engines see: what Spark's tasks write there arrives here, row for row.

    Raises:
        ConfigError: there is none.
        TransientError: Spark is gone.
    """
    buckets = buckets_of(processed)
    problems = []
    folder = engine.new_file("")
    folder.mkdir()
    file = folder / "probe.parquet"
    engine.write_parquet(Select("select 1 as one"), file)
    disk = Disk(engine.scratch)
    # What Spark writes to a disk of its own stays there.
    for place in [*buckets, disk] if spark.is_elsewhere else [disk, *buckets]:
        try:
            found = spark.probed(place, file, folder)
        except ConfigError as exc:
            problems.append(exc.message)
            continue
        if found and engine.count(scratch_parquet(found)) == PROBES:
            shutil.rmtree(folder, ignore_errors=True)
            logger.info("%s and DuckDB hand each other files in %s", spark.what, place.shown)
            return place
        problems.append(f"{spark.what} writes to another disk: it does not see {place.shown}")
    raise ConfigError.of(problems, advice=NO_PLACE)


def require_same_meaning(statement: str, tables: Mapping[str, Mapping[str, str]], what: str) -> None:
    """Raise ConfigError if a SELECT is not known to mean the same on Spark; `tables` has DuckDB types by column."""
    faults = _faults(statement, tuple((name, tuple(of.items())) for name, of in tables.items()))
    if faults:
        problems = [f"the SELECT of {what}, line {each.line}: {each.said}" for each in faults]
        raise ConfigError.of(problems, advice=WHERE)


@cache
def _faults(statement: str, tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> "tuple[Fault, ...]":
    """Find the faults once: each part of a batch's changes has the SELECT run."""
    with needed_for("spark"):
        from tidemark.lake.carrying import faults_of_carrying  # noqa: PLC0415 -- an extra

    return tuple(faults_of_carrying(statement, {name: dict(of) for name, of in tables}))


def made_rows(
    engine: Engine, spark: Spark | None, statement: str, reads: Iterable[str], tables: WorkingTables
) -> Select:
    """Give the SELECT of the rows that a model's SELECT yields now.

    Where what it reads holds a moment that Spark has not, DuckDB runs it: infinity is none for Spark, and one after the
    year 9999 has another text.

    Args:
        engine: has what the SELECT reads as views or tables.
        spark: runs the SELECT over Parquet files of these; None for DuckDB, which runs it where it is read.
        statement: the SELECT.
        reads: the names of what it reads.
        tables: keep what Spark wrote.

    Raises:
        ConfigError: Spark does not understand the SELECT.
        DataError: Spark fails on a row.
        TransientError: Spark is gone.
    """
    if spark is None:
        return Select(statement)
    folder = engine.new_file("")
    tables.keep(folder)
    files = parquet_of(engine, reads, folder)
    if any(engine.count(rows, beyond) for rows, beyond in map(partial(_beyond, engine), files.values())):
        logger.info("%s: DuckDB runs its SELECT, because it reads a moment beyond the years 1 to 9999", engine.what)
        return Select(statement)
    kinds = engine.describe(Select(statement))
    started = time.perf_counter()
    with effect("spark-rows"):
        rows = spark.made(statement, files, folder, engine.what)
    logger.info("%s: its SELECT took %.3f s on Spark", engine.what, time.perf_counter() - started)
    for file in files.values():
        file.unlink()
    fields = listed(named_as(converted(quoted(name), kind), name) for name, kind in kinds.items())
    return select("files", "fields", fields=fields, rows=scratch_parquet(rows) if rows else empty(kinds))


def parquet_of(engine: Engine, names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Write what has these names in the engine as Parquet files of a new folder."""
    folder.mkdir()
    files = {name: folder / f"{number}.parquet" for number, name in enumerate(names)}
    for name, file in files.items():
        rows = select("files", "all", rows=Rows(quoted(name)))
        engine.write_parquet(rows, file, FEWEST_ROWS if is_wide(engine.describe(rows)) else ROW_GROUP_ROWS)
    return files


def _beyond(engine: Engine, file: Path) -> tuple[Rows, Condition]:
    """Give the rows of a file, and the condition that one has a moment beyond the years 1 to 9999."""
    rows = scratch_parquet([file])
    kinds = engine.describe(select("files", "all", rows=rows))
    moments = {name: kind for name, kind in kinds.items() if kind.startswith(MOMENTS)}
    return rows, any_of(
        Condition(f"{quoted(name)} < '0001-01-01'::{kind} or {quoted(name)} >= '10000-01-01'::{kind}")
        for name, kind in moments.items()
    )
