"""Rebuild of the warehouse: its tables made again from the star, compared, and the rows that differ put right.

All of it is one transaction, and only rows that differ are touched: views, functions, grants and whoever is reading
notice nothing, and a rebuild that is killed has done nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from tidemark.errors import ConfigError, StateError
from tidemark.lake.replacement import TableRebuild
from tidemark.lake.table import open_table
from tidemark.load import ledger_entry
from tidemark.log.reach import Reach, require_together
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.postgres.queries import query
from tidemark.rebuild import RebuildReport
from tidemark.report import Progress, quiet
from tidemark.star.copy_lines import StarRows
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed, loaded_columns
from tidemark.warehouse.schema import plan_init
from tidemark.warehouse.session import Warehouse, open_warehouse

VALID_TO = "valid_to"


@dataclass(frozen=True)
class RebuildWarehouse:
    """The parts that a rebuild of the warehouse works with."""

    model: Model
    processed: Objects
    warehouse_url: str
    dry_run: bool = False

    def run(self, progress: Progress = quiet) -> RebuildReport:
        """Make the tables again as of the last batch that was loaded; loads wait meanwhile.

        Raises:
            ConfigError: the warehouse has not the tables of this model, or the role may not delete rows.
            StateError: star and warehouse do not belong together.
        """
        statements = plan_init(self.warehouse_url, self.model)
        if statements:
            message = f"the warehouse's tables are not those of the model: {len(statements)} statements are to be run"
            raise ConfigError(message, advice="run tidemark init first")
        with open_warehouse(self.warehouse_url, "tidemark rebuild") as warehouse, warehouse.turn() as loaded:
            if not loaded:
                return RebuildReport("warehouse", 0, {}, is_in_place=False)
            stars = StarLog(self.processed)
            require_together(reach_of_star(stars.newest()), Reach("warehouse", *warehouse.newest()))
            manifest = stars.manifest(loaded)
            side = _Side(warehouse.connection)
            for star in (*self.model.dimensions, *self.model.facts):
                progress("rebuild", f"warehouse: {star.name}", 0, 0, 0.0)
                self._make(side, star, manifest)
            tables = {name: side.compared(name) for name in side.columns}
            if not self.dry_run:
                progress("rebuild", "warehouse: putting it right", 0, 0, 0.0)
                side.put_right({name for name, table in tables.items() if table.is_different})
                _put_ledger_right(warehouse, self.model, stars, loaded)
            return RebuildReport("warehouse", manifest.batch, tables, is_in_place=not self.dry_run)

    def _make(self, side: "_Side", star: StarTable, manifest: Processed) -> None:
        entry = manifest.tables.get(star.name)
        lake = open_table(self.processed, star.path, version=entry.version) if entry else None
        if entry is None or lake is None:
            message = f"{star.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log", table=star.name)
        columns = loaded_columns(star, lake.columns)
        # Only the star's own version knows what its dimensions were at a batch; a later rebuild has its own.
        last = max(manifest.batch, entry.through) if star.kind != "fact" else manifest.batch
        side.fill(star, columns, StarRows(lake, columns, 0, last).blocks())


@dataclass
class _Side:
    """The tables as they were made again: temporary ones, each beside the warehouse's own."""

    connection: psycopg.Connection
    stars: dict[str, StarTable] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def fill(self, star: StarTable, columns: Sequence[str], blocks: Iterable[bytes]) -> None:
        self.stars[star.name] = star
        self.columns[star.name] = [*columns, *([VALID_TO] if star.kind == "fact" else [])]
        parts = self._parts(star.name)
        self._run("create_side", parts)
        copy_in = query("warehouse", "copy_in", table=parts["side"], columns=_list(columns))
        with self.connection.cursor().copy(copy_in) as copy:
            for block in blocks:
                copy.write(block)
        if star.kind == "fact":
            self._run("close_versions", parts | {"source_key": _list(star.source_key)})
        self._run("analyze", parts)

    def compared(self, name: str) -> TableRebuild:
        rows, missing, surplus = self._run("compare", self._parts(name)).fetchone() or (0, 0, 0)
        return TableRebuild(rows, missing, surplus)

    def put_right(self, differing: set[str]) -> None:
        """Make the warehouse's tables equal, in the order that their references allow."""
        dimensions = [name for name, star in self.stars.items() if star.kind != "fact" and name in differing]
        facts = [name for name, star in self.stars.items() if star.kind == "fact" and name in differing]
        for name in dimensions:
            others = [column for column in self.columns[name] if column not in self.stars[name].key]
            # A table of nothing but its key has nothing to update: any column set to itself does.
            assigned = others or self.stars[name].key[:1]
            parts = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in assigned]
            self._run("put_right", self._parts(name) | {"assignments": sql.SQL(", ").join(parts)})
        for name in facts:
            self._run("delete_differing", self._parts(name))
        for name in facts:
            self._run("insert_absent", self._parts(name))
        for name in reversed(dimensions):
            self._run("delete_surplus", self._parts(name))

    def _run(self, name: str, parts: Mapping[str, sql.Composable]) -> psycopg.Cursor:
        return self.connection.execute(query("rebuild", name, **parts))

    def _parts(self, name: str) -> dict[str, sql.Composable]:
        star = self.stars[name]
        matches = [sql.SQL("old.{0} = later.{0}").format(sql.Identifier(column)) for column in star.key]
        return {
            "table": sql.Identifier(name),
            # By number: with a prefix a long name would be cut off, and two of them be one.
            "side": sql.Identifier(f"rebuilt_{list(self.stars).index(name)}"),
            "columns": _list(self.columns[name]),
            "key": _list(star.key),
            "matches": sql.SQL(" and ").join(matches),
        }


def _put_ledger_right(warehouse: Warehouse, model: Model, stars: StarLog, loaded: int) -> None:
    """Let the ledger say of a batch what its manifest says since a rebuild of the star has changed it."""
    for batch in sorted(stars.rebuilt.entries) if stars.rebuilt else ():
        if batch <= loaded:
            manifest = stars.manifest(batch)
            warehouse.correct(ledger_entry(model, manifest, manifest.run_id))


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
