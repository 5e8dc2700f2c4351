"""The demo: a source with generated rows, a baseline, bursts of activity, and what became of them in the warehouse.

Everything lies in one directory, so a second run goes on where the first ended. However the run ends, the server stops
with it, unless it is to be kept.
"""

import fcntl
import json
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import psycopg

from tidemark.embedded.demo_report import Batch, DemoReport, Places, answers, history_of, pairs_of, samples
from tidemark.embedded.generator import Activity, activity, create_tables, fill
from tidemark.embedded.server import EmbeddedServer
from tidemark.embedded.signals import Signals
from tidemark.errors import ConfigError
from tidemark.log.changelog import ChangeLog
from tidemark.objects import make_directory
from tidemark.pipeline import Pipeline, wire
from tidemark.postgres.connection import connect
from tidemark.postgres.queries import query
from tidemark.report import TableReport
from tidemark.settings import FILE, Settings
from tidemark.warehouse.schema import init
from tidemark.whole_run import run_stages

SOURCE = "totesys"
WAREHOUSE = "warehouse"
# All that a run makes in its directory; --reset removes this and nothing else.
MADE = ("postgres", "ingestion", "processed", "pointer.json", "pointer.json.runs", "psql", FILE)
KINDS = ("inserted", "updated", "deleted")
BURST_ROWS = 150
# Bursts choose rows by a hash of their seed. Demo seeds lie this far apart, so no two demos share a burst's seed.
SEED_STRIDE = 1_000_000


class Teller(Protocol):
    """A listener that is told how far the demo has come."""

    def begins(self, step: str, tables: int, /) -> None:
        """Note the step that begins; `tables` says on how many tables it works, 0 for none."""

    def works(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, /) -> None:
        """Note a table, as `Progress` does."""

    def ends(self, result: str, seconds: float, /) -> None:
        """Note what came of the step."""


@dataclass(frozen=True)
class Demo:
    """What the demo is to do and where; the same seed and scale give the same rows, apart from their times."""

    directory: Path
    reset: bool = False
    keep: bool = False
    batches: int = 3
    seed: int = 1
    scale: float = 1.0


def run_demo(demo: Demo, teller: Teller) -> DemoReport:
    """Run the demo, or go on with the one that lies in its directory.

    Raises:
        ConfigError: another demo works in the directory, the server cannot run there, or its files do not belong
            together.
    """
    started = time.perf_counter()
    directory = demo.directory.expanduser().resolve()
    with Signals() as signals, _alone(directory):
        if demo.reset:
            with signals.held():
                stop_demo(directory)
            _remove(directory)
        server = EmbeddedServer(directory / "postgres", keep=demo.keep)
        is_kept = False
        try:
            with _step(teller, "starting PostgreSQL") as result:
                # An interruption before the process is noted would leave the server running.
                with signals.held():
                    server.start()
                result.append(f"PostgreSQL {_version(server)} runs, for this demo alone")
            report = _Run(demo, directory, server, teller).run()
            is_kept = demo.keep
        finally:
            if not is_kept:
                with signals.held():
                    server.stop()
    return replace(report, seconds=time.perf_counter() - started)


def stop_demo(directory: Path) -> bool:
    """Stop the server that a demo left running; say whether there was one."""
    place = directory.expanduser().resolve() / "postgres"
    if not place.exists():
        return False
    server = EmbeddedServer(place)
    was_running = server.is_running
    server.stop()
    return was_running


@dataclass
class _Run:
    """One run of the demo while the server is up."""

    demo: Demo
    directory: Path
    server: EmbeddedServer
    teller: Teller
    tables: dict[str, dict[str, TableReport]] = field(default_factory=dict)

    def run(self) -> DemoReport:
        pipeline = self._pipeline()
        source_rows = self._source(pipeline)
        with _step(self.teller, "creating the warehouse's tables") as result:
            statements = init(pipeline.warehouse_url, pipeline.model)
            tables = f"{len(pipeline.model.stars)} tables, with their keys, views and functions"
            result.append(f"warehouse ready: {tables}" if statements else "warehouse as the last run left it")
        head = ChangeLog(pipeline.ingestion).newest()
        batches = [] if head else self._batch(pipeline, 1)
        before = head.captured_at if head else batches[0].captured_at
        first = head.batch + 1 if head else 2
        last = first + self.demo.batches - 1
        bursts: list[Activity] = []
        for number in range(first, last + 1):
            # The order that is shown changes in the first burst and once more in the last.
            chosen = bursts[0].updated_sales_order_id if bursts and number == last else None
            bursts.append(self._burst(pipeline, number, chosen))
            batches += self._batch(pipeline, number)
        updated = bursts[0].updated_sales_order_id
        deleted = next((each.deleted_sales_order_id for each in bursts if each.deleted_sales_order_id), None)
        with _step(self.teller, "asking the warehouse"):
            return DemoReport(
                is_running=self.demo.keep,
                seconds=0.0,
                source_rows=source_rows,
                batches=batches,
                tables=self.tables,
                pairs=pairs_of(pipeline.model),
                updated=history_of(pipeline, updated),
                deleted=history_of(pipeline, deleted),
                queries=answers(
                    pipeline.warehouse_url, moment=before, orders=[each for each in (updated, deleted) if each]
                ),
                places=self._places(pipeline),
            )

    def _pipeline(self) -> Pipeline:
        for name in (SOURCE, WAREHOUSE):
            self.server.create_database(name)
        settings = Settings(
            source_url=self.server.url(SOURCE),
            warehouse_url=self.server.url(WAREHOUSE),
            ingestion=str(self.directory / "ingestion"),
            processed=str(self.directory / "processed"),
            pointer=str(self.directory / "pointer.json"),
        )
        _write_commands(self.directory, self.server, settings)
        return wire(settings)

    def _source(self, pipeline: Pipeline) -> dict[str, int]:
        connection = connect(pipeline.source_url, application="tidemark demo")
        with _step(self.teller, "filling the source") as result, closing(connection):
            if _is_true(connection, "has_rows", after="has_tables"):
                result.append("source as the last run left it")
                return {}
            if ChangeLog(pipeline.ingestion).newest():
                message = f"{self.directory} holds the change log of a source that is gone"
                raise ConfigError(message, advice="start over: --reset")
            if not _is_true(connection, "has_tables"):
                create_tables(connection)
            rows = fill(connection, until=pipeline.clock(), scale=self.demo.scale, seed=self.demo.seed)
            result.append(f"source filled: {sum(rows.values()):,} rows in {len(rows)} tables")
        return rows

    def _burst(self, pipeline: Pipeline, number: int, chosen: int | None) -> Activity:
        self.teller.begins(f"batch {number}: orders come, change and are cancelled, payments are made", 0)
        rows = max(30, round(BURST_ROWS * min(1.0, self.demo.scale)))
        with closing(connect(pipeline.source_url, application="tidemark demo")) as connection:
            return activity(connection, rows=rows, seed=self.demo.seed * SEED_STRIDE + number, change=chosen)

    def _batch(self, pipeline: Pipeline, number: int) -> list[Batch]:
        what = "batch 1, the baseline" if number == 1 else f"batch {number}"
        with _step(self.teller, what, len(pipeline.model.sources) + 2 * len(pipeline.model.stars)) as result:
            reports = run_stages(pipeline, self._note).stages
            found = reports[0]
            counts = {kind: sum(getattr(each, kind) for each in found.tables.values()) for kind in KINDS}
            seconds = {report.stage: report.seconds for report in reports}
            moved = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
            took = ", ".join(f"{stage} {each:.1f}" for stage, each in seconds.items())
            result.append(f"{what}: {moved or 'no changes'} ({took})")
        if not found.batches:
            return []
        captured_at = ChangeLog(pipeline.ingestion).manifest(found.batches[0]).captured_at
        return [Batch(found.batches[0], **counts, seconds=seconds, captured_at=captured_at)]

    def _note(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, _batch: int = 0, /) -> None:
        self.teller.works(stage, table, rows, size_bytes, seconds)
        tables = self.tables.setdefault(stage, {})
        old = tables.get(table, TableReport())
        tables[table] = TableReport(old.rows + rows, old.bytes + size_bytes, seconds=old.seconds + seconds)

    def _places(self, pipeline: Pipeline) -> Places:
        return Places(
            directory=str(self.directory),
            psql=shlex.quote(str(self.directory / "psql")),
            source_url=pipeline.source_url,
            warehouse_url=pipeline.warehouse_url,
            ingestion=pipeline.settings.ingestion,
            processed=pipeline.settings.processed,
            samples=samples(pipeline.ingestion, pipeline.processed),
        )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    try:
        make_directory(directory)
        file = (directory / "lock").open("w", encoding="utf-8")
    except OSError as exc:
        message = f"the demo needs a directory and cannot use {str(directory)!r}: {exc.strerror}"
        raise ConfigError(message, advice="choose another: --directory") from exc
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            message = f"another demo is at work in {str(directory)!r}"
            raise ConfigError(message, advice="wait until it ends, or choose another: --directory") from exc
        yield


@contextmanager
def _step(teller: Teller, doing: str, tables: int = 0) -> Iterator[list[str]]:
    """Tell the teller that a step begins and, if the block gave a result, that it ended."""
    teller.begins(doing, tables)
    started = time.perf_counter()
    result: list[str] = []
    yield result
    for sentence in result:
        teller.ends(sentence, time.perf_counter() - started)


def _remove(directory: Path) -> None:
    for name in MADE:
        path = directory / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _write_commands(directory: Path, server: EmbeddedServer, settings: Settings) -> None:
    """Write the script `psql`, which opens a database, and the settings with which other commands find the demo."""
    psql = directory / "psql"
    command = server.psql_command("").removesuffix(" ''")
    psql.write_text(f'#!/bin/sh\n[ $# -gt 0 ] || set -- {WAREHOUSE}\nexec {command} "$@"\n', encoding="utf-8")
    psql.chmod(0o700)
    names = ("source_url", "warehouse_url", "ingestion", "processed", "pointer")
    # A JSON string is a TOML string too.
    lines = [f"{name} = {json.dumps(getattr(settings, name))}\n" for name in names]
    (directory / FILE).write_text("".join(lines), encoding="utf-8")


def _version(server: EmbeddedServer) -> str:
    with closing(connect(server.url("postgres"), application="tidemark demo")) as connection:
        return str(connection.info.parameter_status("server_version"))


def _is_true(connection: psycopg.Connection, name: str, *, after: str | None = None) -> bool:
    if after is not None and not _is_true(connection, after):
        return False
    row = connection.execute(query("demo", name)).fetchone()
    return bool(row and row[0])
