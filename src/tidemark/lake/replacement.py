"""Replacement: how a table in a scratch copy differs from the present one, and how it takes the present one's place."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
from deltalake.exceptions import DeltaError

from tidemark.disclosure import told
from tidemark.errors import ConfigError, StateError, TidemarkError, TransientError
from tidemark.faults import effect
from tidemark.lake.engine import Engine
from tidemark.lake.files import add_file, batch_of, write_file
from tidemark.lake.rebuilt import TableRebuild
from tidemark.lake.sqltext import Condition, Fields, Select, digest, identical, named_as, names, quoted, select
from tidemark.lake.table import LakeTable, create_table, open_table
from tidemark.lake.wide_rows import is_wide
from tidemark.objects import Objects

# How much of an error's text a report's note holds.
NOTE_CHARACTERS = 200


@dataclass
class Replacement:
    """A table as a rebuild has made it again, and the same table as it is at present."""

    engine: Engine
    made: LakeTable
    objects: Objects
    columns: Sequence[str]
    present: LakeTable | None = None
    note: str = ""
    has_broken_log: bool = False
    is_readable: bool = field(default=False)

    def compared(self) -> TableRebuild:
        """Count the rows that differ."""
        rows = self.engine.count(self.made.rows())
        try:
            self.present = open_table(self.objects, self.made.path)
        except (DeltaError, StateError) as exc:
            self.has_broken_log, self.note = True, f"its Delta log cannot be read: {told(exc)[:NOTE_CHARACTERS]}"
        if self.present is None:
            return TableRebuild(rows, rows, 0, self.note or "there is no such table")
        extra = [name for name in self.present.columns if name not in self.made.columns]
        lacking = [name for name in self.columns if name not in self.present.columns]
        other = [n for n, k in self.made.columns.items() if self.present.columns.get(n, k) != k]
        if extra or lacking or other:
            self.note = f"columns differ: {', '.join([*extra, *lacking, *other])}"
        try:
            missing, surplus = self._beyond(self.made, self.present), self._beyond(self.present, self.made)
        except (ConfigError, TransientError):
            raise
        except (duckdb.Error, TidemarkError, OSError) as exc:
            return TableRebuild(rows, rows, 0, f"its rows cannot be read: {told(exc)[:NOTE_CHARACTERS]}")
        self.is_readable = not lacking
        return TableRebuild(rows, missing, surplus, self.note)

    def _beyond(self, lake: LakeTable, other: LakeTable) -> int:
        """Count the rows that are in `lake` but not in `other`."""
        shared = [name for name in self.columns if name in lake.columns and name in other.columns]
        # Sorting rows apart by hundreds of columns takes more memory than there may be.
        fields = Fields(digest(shared)) if is_wide(shared) else names(shared)
        beyond = select("replacement", "rows_beyond", fields=fields, rows=lake.rows(), others=other.rows())
        return int(str(self.engine.value(beyond)))

    def reason(self, batch: int, stage: str) -> str:
        """Say why the rebuilt table should not take the present one's place; give empty text if it may."""
        if self.has_broken_log:
            return f"the Delta log of {self.made.path} cannot be read and would begin anew"
        if self.present is not None and self.present.batch > batch:
            return (
                f"{self.made.path} holds batch {self.present.batch}, which is not finished:"
                f" if a run is at work, wait until it has ended; if it was killed, run tidemark {stage} first, or"
                " accept that its rows go"
            )
        return ""

    def put(
        self,
        batch: int,
        now_milliseconds: int,
        statistics: Sequence[str],
        *,
        key: Sequence[str] = (),
        carries: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Put the rebuilt table in the present one's place by one commit, and return its Delta version.

        `carries` names a column: each row that is right takes its value over from the present table.
        """
        if self.has_broken_log:
            keys = [each.key for each in self.objects.list(f"{self.made.path}/_delta_log/")]
            with effect("broken-log"):
                self.objects.delete(keys)
        target = self.present or create_table(self.objects, self.made.path, self.made.columns)
        written = LakeTable(self.objects, self.made.path, self.made.columns, target.delta)
        added = []
        for file in self.made.files:
            # The name of a fact's file names its batch. A batch that is done again finds its old files by that name,
            # and removes them.
            number = batch_of(file) or batch
            if carries and self.present is not None and self.is_readable:
                rows = self._carrying(self.present, file, key, carries)
                action = write_file(
                    self.engine,
                    written,
                    rows,
                    batch=number,
                    now_milliseconds=now_milliseconds,
                    statistics=statistics,
                    is_ordered=True,
                )
            else:
                local = self.made.objects.local_path(f"{self.made.path}/{file}")
                copy = self.engine.new_file(".parquet")
                shutil.copyfile(str(local), copy)
                action = add_file(
                    self.engine, written, copy, batch=number, now_milliseconds=now_milliseconds, statistics=statistics
                )
            added += [action] if action else []
        written.overwrite(added, batch=batch, metadata=metadata)
        found = open_table(self.objects, self.made.path)
        return found.version if found else 0

    def _carrying(self, present: LakeTable, file: str, key: Sequence[str], column: str) -> Select:
        return select(
            "replacement",
            "carrying",
            carried=named_as(quoted(column, "p."), column),
            made=self.made.rows([file]),
            present=present.rows(),
            same=Condition(f"{digest(self.columns, 'm.')} = {digest(self.columns, 'p.')}")
            if is_wide(self.columns)
            else identical(self.columns, "m.", "p."),
            keys=names(key, "m."),
        )
