"""The writer of the star: one batch's files and commits in the Delta tables of facts and dimensions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deltalake.transaction import AddAction

from tidemark.errors import OvertakenError, StateError
from tidemark.lake.engine import Engine
from tidemark.lake.files import add_file, write_local
from tidemark.lake.merge import stage_merge
from tidemark.lake.sqltext import Select, Table
from tidemark.lake.table import Change, LakeTable, add_columns, create_table, open_table
from tidemark.model import SURROGATE, StarTable
from tidemark.objects import Objects
from tidemark.star.star_manifest import Processed


@dataclass(frozen=True)
class StarWriter:
    """The writer of one batch; `before` is the manifest of the batch before, `model` the model's hash."""

    engine: Engine
    processed: Objects
    batch: int
    before: Processed | None
    model: str
    clock: Callable[[], datetime]

    def open(self, star: StarTable, wanted: Mapping[str, str]) -> LakeTable:
        """Open a star table, and create it or add columns where needed; `wanted` has DuckDB types by column.

        Raises:
            OvertakenError: the table holds a later batch.
            StateError: the table is older than the batch before left it, or has columns of other types.
        """
        lake = create_table(self.processed, star.path, wanted)
        left = self.before.tables.get(star.name) if self.before else None
        # At the version that the batch before left there is no later batch, and nothing has to be read to know that.
        if (left is None or lake.version != left.version) and lake.batch > self.batch:
            message = f"{star.name} holds batch {lake.batch} already, though batch {self.batch} is not transformed"
            raise OvertakenError(
                message, advice="run it again; if it fails again: tidemark rebuild star", table=star.name
            )
        if left and lake.version < left.version:
            message = f"{star.name} is at version {lake.version}, but batch {self.batch - 1} left it at {left.version}"
            advice = f"restore {star.path}/_delta_log from the bucket's older versions, or run tidemark rebuild star"
            raise StateError(message, advice=advice, table=star.name)
        if _has_other_form(lake, star, wanted):
            message = (
                f"{star.name} in the star was made before history or soft_delete was set as it is in model.toml now"
            )
            advice = "tidemark rebuild star --accept-differences, then tidemark rebuild warehouse"
            raise StateError(message, advice=advice, table=star.name)
        differ = {
            name: (lake.columns[name], kind) for name, kind in wanted.items() if lake.columns.get(name, kind) != kind
        }
        if differ:
            message = f"{star.name} has columns of other types than the model's (stored, wanted): {differ}"
            raise StateError(message, advice="mend the model, or run tidemark rebuild star", table=star.name)
        return add_columns(lake, wanted)

    def write(self, lake: LakeTable, rows: Select, statistics: Sequence[str]) -> AddAction | None:
        """Write rows as a data file of this batch, which no commit names yet; None when there are no rows."""
        return self.add(lake, self.write_local(lake, rows), statistics)

    def write_local(self, lake: LakeTable, rows: Select) -> Path:
        """Write rows as a scratch file, for `add`."""
        return write_local(self.engine, lake, rows)

    def add(self, lake: LakeTable, local: Path, statistics: Sequence[str]) -> AddAction | None:
        """Put a scratch file of rows beside a table's data files; see `write`."""
        return add_file(
            self.engine,
            lake,
            local,
            batch=self.batch,
            now_milliseconds=self._now_milliseconds(),
            statistics=statistics,
        )

    def merge(self, lake: LakeTable, star: StarTable, changes: Table) -> Change:
        """Write the files that hold the changed rows in their new state; see `stage_merge`."""
        return stage_merge(
            self.engine,
            lake,
            star.key,
            changes,
            batch=self.batch,
            now_milliseconds=self._now_milliseconds(),
            statistics=["batch_id"],
        )

    def commit(self, lake: LakeTable, change: Change) -> LakeTable:
        """Commit a change and open the table again; a change of no files commits nothing."""
        if not change.added and not change.removed:
            return lake
        lake.commit(change, batch=self.batch, metadata={"model": self.model})
        return lake.caught_up()

    def open_again(self, path: str) -> LakeTable:
        """Open a star table that must be there; StateError when it is gone."""
        lake = open_table(self.processed, path)
        if lake is None:
            message = f"{path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log")
        return lake

    def _now_milliseconds(self) -> int:
        return int(self.clock().timestamp() * 1000)


def _has_other_form(lake: LakeTable, star: StarTable, wanted: Mapping[str, str]) -> bool:
    """Say whether a dimension with rows lacks what tells its versions or its deleted rows apart, or still has it."""
    if star.kind != "dimension" or not lake.files:
        return False
    surrogate = f"{star.short_name}{SURROGATE}"
    needed = [surrogate] if star.history else ["is_deleted"] if star.soft_delete else []
    return any(name not in lake.columns for name in needed) or (surrogate in lake.columns and surrogate not in wanted)
