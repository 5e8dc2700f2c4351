"""Rebuild of the warehouse: make its tables again from the star, compare them, and correct the rows that differ.

All of it is one transaction, and only rows that differ are touched. So views, functions, grants and readers notice
nothing, and a rebuild that is killed has changed nothing. Tables and columns that were lost come first, then the rows,
and last what holds for right rows only, such as keys.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from tidemark.belonging import require_stars
from tidemark.disclosure import told
from tidemark.errors import ConfigError, DataError, StateError
from tidemark.lake.rebuilt import RebuildReport, TableRebuild
from tidemark.lake.table import open_table
from tidemark.load import ledger_entry
from tidemark.log.reach import Reach
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.postgres.connection import detail_of, translated
from tidemark.report import Progress, foresee, quiet
from tidemark.star.copy_lines import StarRows
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed, loaded_columns
from tidemark.warehouse.loosening import put_read
from tidemark.warehouse.marks import misfits
from tidemark.warehouse.model_objects import may_compare
from tidemark.warehouse.remade_tables import RemadeTables
from tidemark.warehouse.schema import Plan, plan_of, run_statements
from tidemark.warehouse.session import NO_RIGHT, Warehouse, connected

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RebuildWarehouse:
    """The parts that a rebuild of the warehouse works with."""

    model: Model
    processed: Objects
    warehouse_url: str
    dry_run: bool = False

    def run(self, progress: Progress = quiet) -> RebuildReport:
        """Make the tables again as of the last batch that was loaded; loads wait meanwhile.

        What `tidemark init` would do first is done in the same transaction.

        Raises:
            ConfigError: the tables cannot become those of this model, or the role may not make or change them.
            DataError: a row of another table refers to one that has to go, or the star's rows break a rule.
            StateError: star and warehouse are of different pipelines.
        """
        stars = StarLog(self.processed)
        newest = stars.newest()
        this = replace(self, model=self.model.following(newest.mirrored if newest else {}))
        return this.put_right(stars, newest, progress)

    def put_right(self, stars: StarLog, newest: Processed | None, progress: Progress) -> RebuildReport:
        """Do what `run` does, for the tables that the model has in the star's newest batch."""
        plan = Plan([], [])

        def prepare() -> None:
            nonlocal plan
            plan = self._shaped(connection, what)

        with connected(self.warehouse_url, "tidemark rebuild") as (connection, what), translated(what):
            warehouse = Warehouse(connection, what)
            with self._naming_rights(connection), warehouse.turn(prepare) as loaded:
                report = self._rebuilt(warehouse, stars, newest, loaded, progress)
                if self.dry_run:
                    # Tables that had to be made for the comparison go again.
                    raise psycopg.Rollback
                with _ruled_by_star(what):
                    run_statements(connection, self.model, plan.bounds)
        return report

    def _shaped(self, connection: psycopg.Connection, what: str) -> Plan:
        """Give the warehouse the tables and columns that it lacks; return the plan, whose rest is still to be run."""
        plan = plan_of(connection, self.model, only_if_allowed=True, with_records=False)
        if not may_compare(connection):
            logger.warning(
                "%s: the role may not create a schema, so its tables were not compared with those of the model", what
            )
        run_statements(connection, self.model, plan.shape)
        return plan

    def _rebuilt(
        self, warehouse: Warehouse, stars: StarLog, newest: Processed | None, loaded: int, progress: Progress
    ) -> RebuildReport:
        models = list(self.model.stars.values())
        if newest is None or not (loaded or misfits(warehouse.connection, models)):
            return RebuildReport("warehouse", 0, {}, is_in_place=False)
        # A ledger that has lost its batches says nothing of the tables, so they are made as of the newest batch. A
        # warehouse that is ahead of the star is a backup of another time: it goes back to what the star holds.
        last = min(loaded, newest.batch) or newest.batch
        # A ledger with batches of several pipelines is put right if one of them is the star's.
        is_of_star = any(row.pipeline_id == newest.pipeline_id for row in warehouse.ledger())
        pipeline_id = newest.pipeline_id if is_of_star else warehouse.newest()[1]
        require_stars(newest, Reach("warehouse", last if loaded else 0, pipeline_id), self.model)
        manifest = stars.manifest(last)
        remade = RemadeTables(warehouse.connection)
        foresee(progress, "rebuild", lambda: _rows_to_go_through(warehouse, self.model, last))
        for star in (*self.model.dimensions, *self.model.facts):
            started, name = time.perf_counter(), f"warehouse: {star.name}"
            progress("rebuild", name, 0, 0, 0.0)
            rows = self._make(remade, star, manifest, progress)
            progress("rebuild", name, rows.rows, rows.size_bytes, time.perf_counter() - started)
        tables = {name: TableRebuild(*remade.compared(name)) for name in remade.columns}
        if not self.dry_run:
            progress("rebuild", "warehouse: putting it right", 0, 0, 0.0)
            remade.put_right({name for name, table in tables.items() if table.is_different})
            _put_ledger_right(warehouse, self.model, stars, last)
        return RebuildReport("warehouse", manifest.batch, tables, is_in_place=not self.dry_run)

    def _make(self, remade: RemadeTables, star: StarTable, manifest: Processed, progress: Progress) -> StarRows:
        """Make a table of its own out of the star's rows, and give these, which are counted by then."""
        entry = manifest.tables.get(star.name)
        lake = open_table(self.processed, star.path, version=entry.version) if entry else None
        if entry is None or lake is None:
            message = f"{star.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log", table=star.name)
        columns = loaded_columns(star, lake.columns)
        # The version that the entry names says what a dimension held at a batch. A rebuild of the star makes a version
        # of its own, which goes up to batch `through`.
        last = max(manifest.batch, entry.through) if not star.is_versioned else manifest.batch

        rows = StarRows(lake, columns, 0, last)

        def blocks() -> Iterator[bytes]:
            for block in rows.blocks():
                yield block
                progress("rebuild", f"warehouse: {star.name}", rows.rows, rows.size_bytes, 0.0)

        put_read(remade.connection, self.model, star, lambda: remade.fill(star, columns, blocks()))
        return rows

    @contextmanager
    def _naming_rights(self, connection: psycopg.Connection) -> Iterator[None]:
        try:
            yield
        except ConfigError as exc:
            if exc.facts.get("sqlstate") != NO_RIGHT:
                raise
            places = (sql.Identifier(*star.place) for star in self.model.stars.values())
            tables = sql.SQL(", ").join(places).as_string()
            (role,) = connection.execute("select quote_ident(current_user)").fetchone() or ("",)
            advice = (
                f"grant select, insert, update, delete on {tables}, tidemark.batch to {role}, or run it as the owner of"
                " the tables, who alone may make what is missing; nothing was changed"
            )
            raise ConfigError(exc.message, advice=advice, sqlstate=NO_RIGHT) from exc


def _rows_to_go_through(warehouse: Warehouse, model: Model, last: int) -> dict[str, int | None]:
    """Count what the batches brought into each table, by the ledger; None where it does not know all batches."""
    ledger = [row for row in warehouse.ledger() if row.batch <= last]
    is_whole = len(ledger) == last
    return {
        f"warehouse: {star.name}": sum(row.row_counts.get(star.name, 0) for row in ledger) if is_whole else None
        for star in (*model.dimensions, *model.facts)
    }


@contextmanager
def _ruled_by_star(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.IntegrityError as exc:
        details = " ".join(filter(None, (told(exc), detail_of(exc))))
        message = f"the star holds rows that break a rule of {what}: {details}"
        advice = (
            "tidemark rebuild star --accept-differences makes it by the model as it is now; if the rows stay, mend the"
            " rule in warehouse.sql; nothing was changed"
        )
        raise DataError(message, advice=advice, table=exc.diag.table_name) from exc


def _put_ledger_right(warehouse: Warehouse, model: Model, stars: StarLog, last: int) -> None:
    """Make the ledger end with batch `last` and hold what the star's manifests say.

    Only the rows that may differ are compared with manifests: those of batches that a rebuild of the star has changed,
    those that are missing, and those at the end that come from another history, which a backup brought.
    """
    warehouse.forget_after(last)
    known = warehouse.captured_at()
    rebuilt = {batch for batch in stars.rebuilt.entries if batch <= last} if stars.rebuilt else set()
    rebuilt |= {row.batch for row in warehouse.ledger() if row.pipeline_id != stars.manifest(last).pipeline_id}
    for batch in range(last, 0, -1):
        is_same = known.get(batch) == stars.manifest(batch).captured_at
        if is_same:
            break
        rebuilt.add(batch)
    for batch in sorted(rebuilt | (set(range(1, last + 1)) - known.keys())):
        manifest = stars.manifest(batch)
        warehouse.correct(ledger_entry(model, manifest, manifest.run_id))
    warehouse.mark(last, list(model.stars.values()))
