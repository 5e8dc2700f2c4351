"""Rebuild of the warehouse: make its tables again from the star, compare them, and correct the rows that differ.

All of it is one transaction, and only rows that differ are touched. So views, functions, grants and readers notice
nothing, and a rebuild that is killed has changed nothing.
"""

from dataclasses import dataclass

from tidemark.errors import ConfigError, StateError
from tidemark.lake.replacement import TableRebuild
from tidemark.lake.table import open_table
from tidemark.load import ledger_entry
from tidemark.log.reach import Reach, require_together
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.rebuild import RebuildReport
from tidemark.report import Progress, quiet
from tidemark.star.copy_lines import StarRows
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed, loaded_columns
from tidemark.warehouse.remade_tables import RemadeTables
from tidemark.warehouse.schema import plan_init
from tidemark.warehouse.session import Warehouse, open_warehouse


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
            ConfigError: the warehouse does not have the tables of this model, or the role may not delete rows.
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
            remade = RemadeTables(warehouse.connection)
            for star in (*self.model.dimensions, *self.model.facts):
                progress("rebuild", f"warehouse: {star.name}", 0, 0, 0.0)
                self._make(remade, star, manifest)
            tables = {name: TableRebuild(*remade.compared(name)) for name in remade.columns}
            if not self.dry_run:
                progress("rebuild", "warehouse: putting it right", 0, 0, 0.0)
                remade.put_right({name for name, table in tables.items() if table.is_different})
                _put_ledger_right(warehouse, self.model, stars, loaded)
            return RebuildReport("warehouse", manifest.batch, tables, is_in_place=not self.dry_run)

    def _make(self, remade: RemadeTables, star: StarTable, manifest: Processed) -> None:
        entry = manifest.tables.get(star.name)
        lake = open_table(self.processed, star.path, version=entry.version) if entry else None
        if entry is None or lake is None:
            message = f"{star.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log", table=star.name)
        columns = loaded_columns(star, lake.columns)
        # The version that the entry names says what a dimension held at a batch. A rebuild of the star makes a version
        # of its own, which goes up to batch `through`.
        last = max(manifest.batch, entry.through) if star.kind != "fact" else manifest.batch
        remade.fill(star, columns, StarRows(lake, columns, 0, last).blocks())


def _put_ledger_right(warehouse: Warehouse, model: Model, stars: StarLog, loaded: int) -> None:
    """Correct the ledger rows of the batches whose manifests a rebuild of the star has changed."""
    for batch in sorted(stars.rebuilt.entries) if stars.rebuilt else ():
        if batch <= loaded:
            manifest = stars.manifest(batch)
            warehouse.correct(ledger_entry(model, manifest, manifest.run_id))
