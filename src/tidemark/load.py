"""Load: write the batches of the star into the warehouse, one after the other.

Each batch is one transaction, which includes its ledger row. A fact, or a dimension with history, gets new
versions, which close the old ones; any other dimension gets the latest values.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tidemark.belonging import require_moment, require_stars
from tidemark.errors import DataError, StateError
from tidemark.lake.table import open_table
from tidemark.log.changelog import new_id
from tidemark.log.reach import Reach
from tidemark.mirror import Mirror
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.report import Progress, StageReport, TableReport, Watching, foresee, quiet
from tidemark.star.copy_binary import BinaryRows, NoBinaryFormError
from tidemark.star.copy_lines import StarRows, are_comparable
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed, StarEntry, loaded_columns
from tidemark.warehouse.first_fill import BULK_ROWS
from tidemark.warehouse.loosening import put_read
from tidemark.warehouse.mirrored_tables import statements_of
from tidemark.warehouse.schema import init, run_statements
from tidemark.warehouse.session import LedgerEntry, Warehouse, has_ledger, open_warehouse


def ledger_entry(model: Model, manifest: Processed, run_id: str) -> LedgerEntry:
    """Make the ledger row of a batch; for each table of the model it counts the rows that the batch itself brought."""
    tables = manifest.tables
    return LedgerEntry(
        manifest.batch,
        manifest.pipeline_id,
        run_id,
        manifest.captured_at,
        manifest.model,
        {star.name: tables[star.name].rows if star.name in tables else 0 for star in (*model.dimensions, *model.facts)},
        {name: entry.checksum for name, entry in tables.items()},
    )


@dataclass(frozen=True)
class Load:
    """The parts that load works with; `binary_from` is from how many rows on COPY's binary form is worth its start."""

    model: Model
    processed: Objects
    warehouse_url: str
    new_id: Callable[[], str] = new_id
    binary_from: int = BULK_ROWS

    def rows_to_come(self) -> int:
        """Count the rows of the batches in the star that the warehouse does not hold."""
        held = 0
        if has_ledger(self.warehouse_url):
            with open_warehouse(self.warehouse_url) as warehouse:
                held, _ = warehouse.newest()
        stars = StarLog(self.processed)
        newest = stars.newest()
        batches = range(held + 1, newest.batch + 1 if newest else 0)
        return sum(entry.rows for batch in batches for entry in stars.manifest(batch).tables.values())

    def run(self, progress: Progress = quiet) -> StageReport:
        """Load every batch of the star that the warehouse does not hold.

        Raises:
            ConfigError: the warehouse has no tables yet.
            DataError: the warehouse refuses a row; the batch is not loaded.
            StateError: the warehouse is ahead of the star, or of another pipeline, or its tables are not those that its
                ledger speaks of.
        """
        started = time.perf_counter()
        loaded: list[int] = []
        totals: dict[str, TableReport] = {}
        if isinstance(self.model, Mirror) and not has_ledger(self.warehouse_url):
            # Nobody has to prepare a warehouse for a mirror.
            init(self.warehouse_url, self.model)
        with open_warehouse(self.warehouse_url) as warehouse:
            reach = Reach("warehouse", *warehouse.newest())
            stars = StarLog(self.processed)
            newest = stars.newest()
            require_stars(newest, reach, self._model_of(newest))
            warehouse.require_fit(list(self._model_as_loaded(stars, newest, reach.batch).stars.values()))
            if reach.batch:
                require_moment(stars, newest, reach.batch, warehouse.captured_at(reach.batch).get(reach.batch))
            for batch in range(reach.batch + 1, newest.batch + 1 if newest else 0):
                manifest = stars.manifest(batch)
                reports = self._load(self._model_of(manifest), warehouse, manifest, progress)
                loaded += [batch] if reports is not None else []
                for name, report in (reports or {}).items():
                    before = totals.get(name, TableReport())
                    rows, seconds = before.rows + report.rows, before.seconds + report.seconds
                    totals[name] = TableReport(rows, before.bytes + report.bytes, seconds=seconds)
        return StageReport(
            "load",
            tuple(loaded),
            totals,
            time.perf_counter() - started,
            newest=newest.batch if newest else 0,
            captured_at=newest.captured_at if newest else None,
        )

    def _model_as_loaded(self, stars: StarLog, newest: Processed | None, batch: int) -> Model:
        """Give the model as of the last batch that was loaded: later tables of a mirror are not there yet."""
        if not batch or not isinstance(self.model, Mirror):
            return self.model
        return self._model_of(newest if newest and newest.batch == batch else stars.manifest(batch))

    def _model_of(self, manifest: Processed | None) -> Model:
        return self.model.following(manifest.mirrored if manifest else {})

    def _load(
        self, model: Model, warehouse: Warehouse, manifest: Processed, progress: Progress
    ) -> dict[str, TableReport] | None:
        """Load one batch; return None if another load has loaded it already."""
        reports = {}
        with warehouse.turn(partial(_follow, warehouse, model)) as done:
            if done >= manifest.batch:
                return None
            foresee(progress, "load", lambda: {name: entry.rows for name, entry in manifest.tables.items()})
            for star in (*model.dimensions, *model.facts):
                started = time.perf_counter()
                progress("load", star.name, 0, 0, 0.0, manifest.batch)
                seen = partial(_tell, progress, star.name, manifest.batch) if isinstance(progress, Watching) else None
                put = partial(self._put, warehouse, star, manifest, seen)
                rows, size = put_read(warehouse.connection, model, star, put)
                reports[star.name] = TableReport(rows=rows, bytes=size, seconds=time.perf_counter() - started)
                progress("load", star.name, rows, size, reports[star.name].seconds, manifest.batch)
            warehouse.record(ledger_entry(model, manifest, self.new_id()), list(model.stars.values()))
        return reports

    def _put(
        self, warehouse: Warehouse, star: StarTable, manifest: Processed, seen: Callable[[int, int], None] | None
    ) -> tuple[int, int]:
        entry = manifest.tables.get(star.name)
        if entry is None or not entry.rows:
            return 0, 0
        lake = open_table(self.processed, star.path, version=entry.version)
        if lake is None:
            message = f"{star.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log", table=star.name)
        columns = loaded_columns(star, lake.columns)
        # Rows of these kinds may belong between versions that the warehouse holds, or follow one another.
        has_returned = entry.released > 0 or entry.through > 0 or entry.ended > 0 or entry.repeated
        put = partial(warehouse.put_dimension, star, columns, rows=entry.rows)
        if star.is_versioned:
            put = partial(warehouse.put_versions, star, columns, rows=entry.rows, has_returned=has_returned)
        if entry.rows >= self.binary_from and not entry.through:
            types = warehouse.types(star)
            binary = BinaryRows(lake, {name: types.get(name, "") for name in columns}, entry.files)
            if binary.is_possible:
                with suppress(NoBinaryFormError), warehouse.connection.transaction():
                    _require_all(star, manifest, entry, put(_Told(binary, seen)))
                    return entry.rows, binary.size_bytes
        lines = StarRows(lake, columns, manifest.batch, max(manifest.batch, entry.through))
        _require_all(star, manifest, entry, put(_Told(lines, seen)))
        if are_comparable(entry.checksum, lines.checksum) and entry.checksum != lines.checksum:
            message = f"the rows of batch {manifest.batch} in {star.name} are not those that its manifest was made of"
            raise DataError(message, advice="nothing was loaded; tidemark rebuild star mends it", table=star.name)
        # A dimension that was rebuilt later may have given more rows; only those that this batch changed count.
        return entry.rows, lines.size_bytes


def _tell(progress: Progress, table: str, batch: int, rows: int, size_bytes: int) -> None:
    progress("load", table, rows, size_bytes, 0.0, batch)


@dataclass(frozen=True)
class _Told:
    """Rows for COPY; somebody is told how many there were so far, unless nobody wants to know."""

    stream: BinaryRows | StarRows
    seen: Callable[[int, int], None] | None

    @property
    def is_binary(self) -> bool:
        return self.stream.is_binary

    def blocks(self) -> Iterator[bytes]:
        for block in self.stream.blocks():
            yield block
            if self.seen:
                self.seen(self.stream.rows, self.stream.size_bytes)


def _follow(warehouse: Warehouse, model: Model) -> None:
    """Let the tables of a mirror follow the source, in the transaction of the batch that brings what is new."""
    if isinstance(model, Mirror):
        run_statements(warehouse.connection, model, statements_of(warehouse.connection, model))


def _require_all(star: StarTable, manifest: Processed, entry: StarEntry, rows: int) -> None:
    if rows != entry.rows and not (entry.through and rows > entry.rows):
        message = f"{star.name} holds {rows} rows of batch {manifest.batch}, its manifest says {entry.rows}"
        raise DataError(message, advice="nothing was loaded; tidemark rebuild star mends it", table=star.name)
