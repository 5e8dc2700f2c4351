"""One batch on its way into the star: the views that a model's SELECT reads, and the Delta tables that it goes to."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from deltalake.transaction import AddAction

from tidemark.errors import OvertakenError, StateError, TransientError
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import empty, from_json, names, quoted, text
from tidemark.lake.table import Change, LakeTable, add_columns, create_table, open_table, write_file
from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry
from tidemark.log.latest import state_as_of
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star.copy_lines import StarRows
from tidemark.star.limits import Limit
from tidemark.star.quarantine import Quarantine
from tidemark.star.star_manifest import StarEntry, loaded_columns
from tidemark.star.star_sql import misread, typed


@dataclass
class Batch:
    """What the star tables of one batch have in common, and what was done so far."""

    model: Model
    ingestion: Objects
    processed: Objects
    engine: Engine
    log: ChangeLog
    manifest: Manifest
    limits: Mapping[str, Mapping[str, Limit]]
    quarantine: Quarantine
    clock: Callable[[], datetime]
    committed: dict[str, StarEntry] = field(default_factory=dict)
    years: set[int] = field(default_factory=set)
    parts: dict[str, Path] = field(default_factory=dict)
    written_bytes: Counter[str] = field(default_factory=Counter)
    states: dict[str, str] = field(default_factory=dict)
    readable: dict[str, str | None] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """Give the batch's number."""
        return self.manifest.batch

    def begin(self) -> None:
        """Make the seeds readable by their names."""
        for name, path in self.model.seeds.items():
            source = f"read_csv({text(str(path))}, header = true, all_varchar = true)"
            self.engine.execute(f"create or replace temp table {quoted(name)} as select * from {source}")

    def end(self) -> None:
        """Remove the batch's scratch files."""
        for path in self.parts.values():
            path.unlink()

    def entry(self, star: StarTable, name: str) -> TableEntry:
        """Give what the manifest says of a source table that a star table reads."""
        entry = self.manifest.tables.get(name)
        if entry is None:
            message = f"batch {self.number} has no source table {name!r}, which {star.name} reads"
            raise StateError(message, advice="run tidemark ingest with this model first", table=name)
        return entry

    def has_changes(self, name: str) -> bool:
        """Say whether the batch holds changes of a source table."""
        entry = self.manifest.tables.get(name)
        return bool(entry and entry.changes)

    def view(self, name: str, select: str) -> None:
        """Let a SELECT be read by a name."""
        self.engine.execute(f"create or replace temp view {quoted(name)} as {select}")

    def present(self, star: StarTable, changed: Mapping[str, str] | None = None, *, filled: bool = False) -> None:
        """Make the views that a star table's SELECT reads.

        Args:
            star: the star table.
            changed: FROM items that stand for some of the tables; the others are as in `rows_of`.
            filled: see `typed`.
        """
        for name in star.reads:
            rows = (changed or {}).get(name) or self.rows_of(name)
            self.view(name, typed(rows, self.entry(star, name).columns, filled=filled))

    def rows_of(self, name: str) -> str:
        """Give a FROM item over a source table in latest as of the batch, with the rows that the batch deleted."""
        if name not in self.states:
            columns = names(column.name for column in self.manifest.tables[name].columns)
            rows = self._states(self.model.sources[name])
            self.states[name] = f"({' union all '.join(f'select {columns} from {each}' for each in rows)})"
        return self.states[name]

    def unreadable(self, star: StarTable, name: str, rows: str | None = None) -> str | None:
        """Give the first value of a source table that a model cannot read, None when it can read them all.

        Args:
            star: a star table that reads it.
            name: the source table.
            rows: a FROM item; `rows_of` the table where it is left out.
        """
        reason = misread(self.entry(star, name).columns)
        if reason is None:
            return None
        if rows is None and name in self.readable:
            return self.readable[name]
        found = self.engine.value(
            f"select {reason} from {rows or self.rows_of(name)} where {reason} is not null limit 1"
        )
        sample = f"{name}.{found}" if found else None
        if rows is None:
            self.readable[name] = sample
        return sample

    def part(self, table: str, each: LogObject) -> str:
        """Give a FROM item over one object of the log, with each line's `_position` in it, counted from 0."""
        if each.key not in self.parts:
            types = {column.name: column.log_type for column in self.manifest.tables[table].columns}
            copy = self.engine.new_file(".jsonl")
            lines = from_json([str(self.log.verified(each, copy))], types | {"_op": "VARCHAR"})
            operation = "'insert'" if self.number == 1 else "_op"
            path = self.engine.new_file(".parquet")
            self.engine.execute(
                f"copy (select {names(types)}, {operation} as _op from {lines}) to {text(str(path))} (format parquet)",
            )
            copy.unlink(missing_ok=True)
            self.parts[each.key] = path
        numbered = f"read_parquet({text(str(self.parts[each.key]))}, file_row_number = true)"
        return f"(select * exclude (file_row_number), file_row_number as _position from {numbered})"

    def open(self, star: StarTable, before: Mapping[str, str], after: Mapping[str, str]) -> LakeTable:
        """Open a star table, creating it with the columns that its SELECT yields between those of the engine.

        Raises:
            OvertakenError: the table holds a later batch.
            StateError: it has columns of other types.
        """
        limits = self.limits[star.name]
        yielded = self.engine.describe(star.sql)
        mine = {name: limits[name].lake_type if name in limits else kind for name, kind in yielded.items()}
        wanted = {**before, **mine, **after}
        lake = create_table(self.processed, star.path, wanted)
        if lake.batch > self.number:
            message = f"{star.name} holds batch {lake.batch} already, though batch {self.number} is not transformed"
            raise OvertakenError(message, advice="run again; if it stays so: tidemark rebuild star", table=star.name)
        left = self.quarantine.before.tables.get(star.name) if self.quarantine.before else None
        if left and lake.version < left.version:
            message = f"{star.name} ends with version {lake.version}, batch {self.number - 1} left it at {left.version}"
            advice = f"restore {star.path}/_delta_log from the bucket's older versions, or run tidemark rebuild star"
            raise StateError(message, advice=advice, table=star.name)
        differ = {
            name: (lake.columns[name], kind) for name, kind in wanted.items() if lake.columns.get(name, kind) != kind
        }
        if differ:
            message = f"{star.name} has columns of other types than the model's (stored, wanted): {differ}"
            raise StateError(message, advice="mend the model, or run tidemark rebuild star", table=star.name)
        return add_columns(lake, wanted)

    def write(self, lake: LakeTable, select: str, statistics: Sequence[str]) -> AddAction | None:
        """Write the rows of a SELECT as a data file of this batch; None when there are none."""
        now = self.now_milliseconds()
        return write_file(self.engine, lake, select, batch=self.number, now_milliseconds=now, statistics=statistics)

    def apply(self, lake: LakeTable, change: Change) -> LakeTable:
        """Commit a change, if it is one, and open the table as it is then."""
        if not change.added and not change.removed:
            return lake
        lake.commit(change, batch=self.number, metadata={"model": self.model.hash})
        self.written_bytes[lake.path] += sum(action.size for action in change.added)
        reopened = open_table(lake.objects, lake.path)
        if reopened is None:
            message = f"{lake.path} is gone from the processed bucket"
            raise StateError(message, advice="`tidemark rebuild star` makes it again from the log")
        return reopened

    def conclude(self, star: StarTable, lake: LakeTable) -> None:
        """Note for the processed manifest what the batch brought to a star table."""
        found = StarRows(lake, loaded_columns(star, lake.columns), self.number, self.number).count()
        self.committed[star.name] = StarEntry(
            found.rows, lake.version, *self.quarantine.conclude(star), checksum=found.checksum
        )

    def now_milliseconds(self) -> int:
        """Give the present time as Delta tables keep it."""
        return int(self.clock().timestamp() * 1000)

    def _states(self, table: SourceTable) -> Iterator[str]:
        entry = self.manifest.tables[table.name]
        types = {column.name: column.log_type for column in entry.columns}
        latest = state_as_of(self.ingestion, table, self.number, entry)
        if (latest.batch if latest else 0) < entry.changed_in:
            # The ingest that committed it is about to apply it, or was killed before it could.
            message = f"latest {table.name} does not have batch {entry.changed_in} yet"
            raise TransientError(message, advice="run tidemark ingest, which brings it up to date", table=table.name)
        yield latest.rows if latest else empty(types)
        if entry.deleted:
            for each in entry.objects:
                yield f"(select * from {self.part(table.name, each)} where _op = 'delete')"
