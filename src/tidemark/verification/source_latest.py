"""Source = latest: every row of every table, compared as text in one snapshot of the source.

What came after the last batch is pending. Latest must still agree with the batch's manifest, in the rows and in the sum
of hashes that Postgres counted in the batch's own snapshot. Where it agrees, a row with another hash can only be newer.
Where it does not, the version of the source's row says whether that snapshot saw it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tidemark.capture.poll import hashed_by, is_other_choice
from tidemark.capture.snapshot import Snapshot
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.sqltext import (
    OWN,
    Condition,
    Rows,
    Table,
    converted,
    exists,
    identical,
    listed,
    named_as,
    quoted,
    same,
    select,
)
from tidemark.log.changelog import Manifest, TableEntry
from tidemark.log.columns import Column
from tidemark.log.latest import HASH, LatestTable, columns_of, open_latest_as_of
from tidemark.model import SourceTable
from tidemark.objects import Objects
from tidemark.report import watched
from tidemark.verification.matching import KEY, LEFT, RIGHT, Match, compare, differences, judge, stage_lines, verdicts
from tidemark.verification.records import totals_of
from tidemark.verification.result import TableProof

SEEN = f"{OWN}seen"
MISSING, DIFFERS, SURPLUS = (Condition(f"kind = '{kind}'") for kind in ("missing", "differs", "surplus"))
PENDING = ("pending insert", "pending update", "pending delete")


@dataclass(frozen=True)
class SourceEdge:
    """The source in one snapshot, and latest as of a batch; one comparison for each table.

    `seen` is told how many rows and bytes of a table were read so far.
    """

    engine: Engine
    snapshot: Snapshot
    ingestion: Objects
    head: Manifest
    major_version: int
    seen: Callable[[str, int, int], None] | None = None

    def prove(self, table: SourceTable) -> TableProof:
        """Compare one table."""
        entry = self.head.tables.get(table.name)
        if entry is None:
            return TableProof(table.name, note="not in the log yet: the next poll reads it whole")
        latest = open_latest_as_of(self.ingestion, table, self.head.batch, entry.columns)
        if latest is None:
            return TableProof(table.name, problem=f"latest/{table.name} is gone", cause="latest was removed")
        now = self.snapshot.columns(table)
        is_same_hash = entry.hashed_by == hashed_by(table, now, self.major_version)
        shared = [name for name in columns_of(entry.columns) if name in columns_of(now)]
        if not is_same_hash:
            shared.remove(HASH)
        source, theirs = self._sides(table, latest, now, entry, shared)
        totals = totals_of(self.engine, latest)
        note = "" if entry.columns == now else "its columns changed since the last batch"
        with self.engine.working_tables() as tables:
            match = compare(self.engine, tables, source, theirs, shared, table.key)
            if match.found:
                found = _Found(
                    self,
                    table,
                    entry,
                    match.found,
                    tables,
                    is_same_hash=is_same_hash,
                    is_other_choice=is_other_choice(entry.hashed_by, table),
                )
                found.judge(totals)
            return self._proof(table, match, is_as_recorded=_agrees(totals, entry), note=note)

    def _sides(
        self, table: SourceTable, latest: LatestTable, now: Sequence[Column], entry: TableEntry, shared: Sequence[str]
    ) -> tuple[Rows, Rows]:
        types, before = columns_of(now), columns_of(entry.columns)
        common = {name: types[name] if types[name] == before[name] else "VARCHAR" for name in shared}
        fields = listed(named_as(converted(quoted(name), kind), name) for name, kind in common.items())
        lines = watched(self.snapshot.rows(table), partial(self.seen, table.name) if self.seen else None)
        source = stage_lines(self.engine, lines, types, fields)
        return source, select("files", "fields", fields=fields, rows=latest.rows).rows

    def _proof(self, table: SourceTable, match: Match, *, is_as_recorded: bool, note: str) -> TableProof:
        counts = verdicts(self.engine, match)
        real = counts.get("real", 0)
        cause = advice = ""
        if real and is_as_recorded and table.sweep == "keys":
            cause = 'an update did not change the cursor\'s column and sweep = "keys" missed it, or latest was altered'
            advice = "tidemark backfill; if they still differ: tidemark rebuild latest"
        elif real and is_as_recorded:
            cause = "latest was altered: its hashes are those that the last batch recorded, but its text is not"
        elif real:
            cause = "latest lost or gained rows after the last batch: it no longer adds up to the batch's manifest"
        if real and not advice:
            advice = "tidemark rebuild latest"
        return TableProof(
            table.name,
            match.left,
            match.right,
            count=real,
            differences=differences(self.engine, match) if real else (),
            pending={name.removeprefix("pending "): counts[name] for name in PENDING if counts.get(name)},
            note=note,
            cause=cause,
            advice=advice,
        )


@dataclass(frozen=True)
class _Found:
    """The differences of one table, and what is needed to give each its verdict."""

    edge: SourceEdge
    table: SourceTable
    entry: TableEntry
    differences: Table
    tables: WorkingTables
    is_same_hash: bool
    is_other_choice: bool

    def judge(self, totals: tuple[int, str, int]) -> None:
        """Decide which differences are pending and which are real; `totals` are those of latest."""
        if self.is_same_hash:
            # A row restored from the log has no hash until the next sweep, so only its text is compared.
            fields = [name for name in columns_of(self.entry.columns) if name != HASH]
            is_same = identical(fields, f"{LEFT}.", f"{RIGHT}.")
            self._give("unhashed", Condition(f"kind = 'differs' and {RIGHT}.{HASH} is null and {is_same}"))
        if self.is_same_hash and self.table.sweep == "rows" and _agrees(totals, self.entry):
            self._give("pending insert", MISSING)
            hashed = self._hash_what_changed()
            is_hashed = Condition(f"{same(self.table.key, 'h.', f'{KEY}.')} and h.{HASH} = {RIGHT}.{HASH}")
            is_genuine = exists(hashed, "h", is_hashed)
            self._give("pending update", Condition(f"{DIFFERS} and {self._has_other_hash} and {is_genuine}"))
            self._give("pending delete", Condition(f"{SURPLUS} and {is_genuine}"))
            return
        if not self.entry.hashed_by or self.is_other_choice:
            # The source was moved, so that the last snapshot was another server's; or the model masks values in another
            # way, or reads other rows. The next poll compares every row.
            for verdict, kind in zip(PENDING, (MISSING, DIFFERS, SURPLUS), strict=True):
                self._give(verdict, kind)
            return
        seen = self._ask_who_was_seen()
        unseen = exists(seen, "s", Condition(f"not s.{SEEN} and {same(self.table.key, 's.', f'{KEY}.')}"))
        self._give("pending insert", Condition(f"{MISSING} and {unseen}"))
        # With sweep = "keys" the hash says nothing about the other columns.
        may_differ = "true" if self.table.sweep == "keys" else self._has_other_hash
        self._give("pending update", Condition(f"{DIFFERS} and {may_differ} and {unseen}"))
        if not self.is_same_hash or self._explains(totals):
            self._give("pending delete", SURPLUS)

    @property
    def _has_other_hash(self) -> Condition:
        return Condition(f"{LEFT}.{HASH} is distinct from {RIGHT}.{HASH}" if self.is_same_hash else "true")

    def _give(self, verdict: str, where: Condition) -> None:
        judge(self.edge.engine, self.differences, verdict, where)

    def _hash_what_changed(self) -> Table:
        """Let Postgres hash latest's text of the rows that changed in the source, because that text may be altered."""
        types = columns_of(self.entry.columns)
        changed = Condition(f"{SURPLUS} or ({DIFFERS} and {self._has_other_hash})")
        rows = self._texts([column.name for column in self.entry.columns], f"{RIGHT}.", changed)
        lines = self.edge.snapshot.hashes_of_texts(self.table, rows)
        return self._staged(lines, {name: types[name] for name in (*self.table.key, HASH)})

    def _ask_who_was_seen(self) -> Table:
        """Ask for each row of the source that differs whether the last batch's snapshot saw it."""
        types = {name: kind for name, kind in columns_of(self.entry.columns).items() if name in self.table.key}
        # All keys are read before the first is sent, because the answers are staged over the same connection.
        keys = self._texts(self.table.key, f"{KEY}.", Condition(f"{LEFT} is not null"))
        lines = self.edge.snapshot.keys_seen_by(self.table, keys, self.edge.head.snapshot)
        return self._staged(lines, types | {SEEN: "BOOLEAN"})

    def _texts(self, columns: Sequence[str], prefix: str, where: Condition) -> list[tuple[str, ...]]:
        texts = listed(converted(quoted(name, prefix), "varchar") for name in columns)
        found = select("verification", "texts_of_found", texts=texts, found=self.differences, where=where)
        return self.edge.engine.execute(found).fetchall()

    def _staged(self, lines: Iterable[bytes], types: Mapping[str, str]) -> Table:
        return self.tables.of(select("files", "all", rows=stage_lines(self.edge.engine, lines, types)))

    def _explains(self, totals: tuple[int, str, int]) -> bool:
        """Say whether the real differences found so far fully explain how latest departs from its manifest."""
        rows, hashes, without = totals
        found = self.edge.engine.execute(select("verification", "real_totals", found=self.differences)).fetchone()
        missing, dropped, altered = found or (0, "0", "0")
        mended = (rows + missing, str(int(hashes) + int(dropped) + int(altered)))
        return not without and mended == (self.entry.rows, self.entry.hash_sum)


def _agrees(totals: tuple[int, str, int], entry: TableEntry) -> bool:
    return totals == (entry.rows, entry.hash_sum, 0)
