"""Load: the batches of the star schema, one after the other, into the warehouse.

Each is one transaction, with its ledger row in it. Facts come as new versions that close the old ones, dimensions as
their latest values.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tidemark.changelog import newest_batch
from tidemark.engine import Engine, open_engine
from tidemark.errors import DataError, StateError
from tidemark.lake import LakeTable, open_table
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.processed import Processed, loaded_columns, read_processed
from tidemark.report import Progress, StageReport, TableReport, quiet
from tidemark.sqltext import are_comparable, checksum, from_parquet, names, sum_of_checksums, text
from tidemark.warehouse import Warehouse, open_warehouse

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Load:
    """The parts that load works with."""

    model: Model
    processed: Objects
    warehouse_url: str
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

    def run(self, progress: Progress = quiet) -> StageReport:
        """Load every batch of the star that the warehouse does not hold.

        Raises:
            ConfigError: the warehouse has no tables yet.
            DataError: the warehouse refuses a row; the batch is not loaded.
            StateError: the warehouse is ahead of the star, or of another pipeline.
        """
        started = time.perf_counter()
        loaded: list[int] = []
        totals: dict[str, TableReport] = {}
        with open_warehouse(self.warehouse_url) as warehouse:
            done, pipeline_id = warehouse.newest()
            last = self._last(done, pipeline_id)
            if done < last:
                with open_engine([self.processed], threads=1) as engine:
                    for batch in range(done + 1, last + 1):
                        reports = self._load(engine, warehouse, read_processed(self.processed, batch), progress)
                        loaded += [batch] if reports is not None else []
                        for name, report in (reports or {}).items():
                            before = totals.get(name, TableReport())
                            rows, seconds = before.rows + report.rows, before.seconds + report.seconds
                            totals[name] = TableReport(rows, before.bytes + report.bytes, seconds=seconds)
        return StageReport("load", tuple(loaded), totals, time.perf_counter() - started)

    def _last(self, done: int, pipeline_id: str | None) -> int:
        last = newest_batch(self.processed)
        if done > last:
            message = f"the warehouse holds batch {done}, but the star ends with batch {last}"
            raise StateError(
                message, advice="check TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL: do they belong together?"
            )
        if done and pipeline_id != read_processed(self.processed, last).pipeline_id:
            message = f"the warehouse is of pipeline {pipeline_id}, the star is of another"
            raise StateError(
                message, advice="check TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL: do they belong together?"
            )
        return last

    def _load(
        self,
        engine: Engine,
        warehouse: Warehouse,
        manifest: Processed,
        progress: Progress,
    ) -> dict[str, TableReport] | None:
        """Load one batch; None when another load was faster."""
        reports = {}
        with warehouse.turn() as done:
            if done >= manifest.batch:
                return None
            for star in (*self.model.dimensions, *self.model.facts):
                started = time.perf_counter()
                progress("load", star.name, 0, 0, 0.0)
                rows, size = self._put(engine, warehouse, star, manifest)
                reports[star.name] = TableReport(rows=rows, bytes=size, seconds=time.perf_counter() - started)
                progress("load", star.name, rows, size, reports[star.name].seconds)
            warehouse.record(
                batch=manifest.batch,
                pipeline_id=manifest.pipeline_id,
                run_id=self.new_id(),
                captured_at=manifest.captured_at,
                model=manifest.model,
                row_counts={name: report.rows for name, report in reports.items()},
                checksums={name: entry.checksum for name, entry in manifest.tables.items()},
            )
        return reports

    def _put(self, engine: Engine, warehouse: Warehouse, star: StarTable, manifest: Processed) -> tuple[int, int]:
        entry = manifest.tables.get(star.name)
        if entry is None or not entry.rows:
            return 0, 0
        lake = open_table(self.processed, star.path, version=entry.version)
        if lake is None:
            message = f"{star.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log", table=star.name)
        columns = loaded_columns(star, lake.columns)
        stream = StarStream(engine, lake, columns, manifest.batch, max(manifest.batch, entry.through))
        if star.kind == "fact":
            rows = warehouse.put_fact(
                star, columns, stream.blocks(), rows=entry.rows, has_returned=entry.released > 0 or entry.through > 0
            )
        else:
            rows = warehouse.put_dimension(star, columns, stream.blocks())
        if rows != entry.rows and not (entry.through and rows > entry.rows):
            message = f"{star.name} holds {rows} rows of batch {manifest.batch}, its manifest says {entry.rows}"
            raise DataError(message, advice="nothing was loaded; tidemark rebuild star mends it", table=star.name)
        if are_comparable(entry.checksum, stream.checksum) and entry.checksum != stream.checksum:
            message = f"the rows of batch {manifest.batch} in {star.name} are not those that its manifest was made of"
            raise DataError(message, advice="nothing was loaded; tidemark rebuild star mends it", table=star.name)
        # Of a dimension that was rebuilt later more may have come: what counts is what this batch did.
        return entry.rows, stream.size_bytes


@dataclass
class StarStream:
    """A table's rows of the batches `first` to `last` as CSV for COPY, file by file, one ahead of its reader."""

    engine: Engine
    lake: LakeTable
    columns: Sequence[str]
    first: int
    last: int
    size_bytes: int = 0
    checksum: str = ""

    def blocks(self) -> Iterator[bytes]:
        """Yield the CSV in blocks."""
        files = self._files()
        with ThreadPoolExecutor(max_workers=1) as executor:
            worker = self.engine.worker()
            ahead = executor.submit(self._write, worker, files[0]) if files else None
            for following in [*files[1:], None]:
                path = ahead.result() if ahead else None
                ahead = executor.submit(self._write, worker, following) if following else None
                if path is None:
                    continue
                with path.open("rb") as file:
                    while block := file.read(BLOCK_BYTES):
                        self.size_bytes += len(block)
                        yield block
                path.unlink()

    def _files(self) -> list[str]:
        """Name the files that may hold such rows, by the bounds that the Delta log has of them."""
        actions = self.lake.delta.get_add_actions(flatten=True)
        paths = actions["path"].to_pylist()
        if "min.batch_id" not in actions.schema.names:
            return sorted(paths)
        bounds = zip(paths, actions["min.batch_id"].to_pylist(), actions["max.batch_id"].to_pylist(), strict=True)
        return sorted(path for path, low, high in bounds if low is None or (low <= self.last and high >= self.first))

    def _write(self, engine: Engine, file: str) -> Path:
        path = engine.new_file(".csv")
        rows = from_parquet([self.lake.uri(file)], self.lake.columns)
        select = f"select {names(self.columns)} from {rows} where batch_id between {self.first} and {self.last}"
        engine.execute(f"copy ({select}) to {text(str(path))} (format csv, header false)")
        found = engine.value(f"select {checksum(self.columns)} from ({select})")
        self.checksum = sum_of_checksums(self.checksum, str(found))
        return path
