"""Source = latest: every row of every table, compared as text in one snapshot of the source.

What came after the last batch is pending. `latest` must still be what the batch's manifest says: the rows and the sum
of hashes that Postgres counted in the batch's own snapshot. Where it is, a row with another hash can only be newer;
where it is not, the version of the source's row says whether that snapshot saw it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tidemark.capture.poll import hashed_by
from tidemark.capture.source import Snapshot
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import quoted
from tidemark.log.changelog import Manifest, TableEntry
from tidemark.log.columns import Column
from tidemark.log.latest import HASH, LatestTable, columns_of, open_latest_as_of
from tidemark.model import SourceTable
from tidemark.objects import Objects
from tidemark.verification.matching import FOUND, Match, compare, differences, judge, stage_lines, verdicts
from tidemark.verification.records import totals_of
from tidemark.verification.result import TableProof

SEEN, HASHED = "seen", "hashed"
PENDING = ("pending insert", "pending update", "pending delete")


@dataclass(frozen=True)
class SourceEdge:
    """The source in one snapshot, and latest as of a batch."""

    engine: Engine
    snapshot: Snapshot
    ingestion: Objects
    head: Manifest
    major_version: int

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
        match = compare(self.engine, source, theirs, shared, table.key)
        totals = totals_of(self.engine, latest)
        if match.differs:
            self._judge(table, entry, totals, is_same_hash=is_same_hash)
        note = "" if entry.columns == now else "its columns changed since the last batch"
        return self._proof(table, match, is_as_recorded=_agrees(totals, entry), note=note)

    def _sides(
        self, table: SourceTable, latest: LatestTable, now: Sequence[Column], entry: TableEntry, shared: Sequence[str]
    ) -> tuple[str, str]:
        types, before = columns_of(now), columns_of(entry.columns)
        common = {name: types[name] if types[name] == before[name] else "VARCHAR" for name in shared}
        fields = ", ".join(f"cast({quoted(name)} as {kind}) as {quoted(name)}" for name, kind in common.items())
        source = stage_lines(self.engine, self.snapshot.rows(table), types, fields)
        return source, f"(select {fields} from {latest.rows})"

    def _judge(
        self, table: SourceTable, entry: TableEntry, totals: tuple[int, str, int], *, is_same_hash: bool
    ) -> None:
        engine = self.engine
        if is_same_hash:
            # A row restored from the log has no hash until the next sweep; its text alone counts.
            fields = [name for name in columns_of(entry.columns) if name != HASH]
            same = " and ".join(f"l.{quoted(name)} is not distinct from r.{quoted(name)}" for name in fields)
            judge(engine, "unhashed", f"kind = 'differs' and r.{HASH} is null and {same}")
        other_hash = f"l.{HASH} is distinct from r.{HASH}" if is_same_hash else "true"
        if is_same_hash and table.sweep == "rows" and _agrees(totals, entry):
            judge(engine, "pending insert", "kind = 'missing'")
            self._hash_what_changed(table, entry, other_hash)
            keys = " and ".join(f"h.{quoted(name)} = k.{quoted(name)}" for name in table.key)
            is_genuine = f"exists (select 1 from {HASHED} as h where {keys} and h.{HASH} = r.{HASH})"
            judge(engine, "pending update", f"kind = 'differs' and {other_hash} and {is_genuine}")
            judge(engine, "pending delete", f"kind = 'surplus' and {is_genuine}")
            return
        if not entry.hashed_by:
            # The source was moved: that snapshot was another server's, and the next poll compares every row.
            for verdict, kind in zip(PENDING, ("missing", "differs", "surplus"), strict=True):
                judge(engine, verdict, f"kind = '{kind}'")
            return
        self._ask_who_was_seen(table, entry)
        keys = " and ".join(f"s.{quoted(name)} = k.{quoted(name)}" for name in table.key)
        unseen = f"exists (select 1 from {SEEN} as s where not s.seen and {keys})"
        judge(engine, "pending insert", f"kind = 'missing' and {unseen}")
        # Under sweep = "keys" the hash says nothing of the other columns.
        judge(engine, "pending update", f"kind = 'differs' and ({other_hash} or {_is_keys(table)}) and {unseen}")
        if not is_same_hash or self._explains(totals, entry):
            judge(engine, "pending delete", "kind = 'surplus'")

    def _hash_what_changed(self, table: SourceTable, entry: TableEntry, other_hash: str) -> None:
        """Let Postgres hash latest's text of the rows that changed in the source: it may have been altered before."""
        types = columns_of(entry.columns)
        fields = ", ".join(f"cast(r.{quoted(column.name)} as varchar)" for column in entry.columns)
        changed = f"kind = 'surplus' or (kind = 'differs' and {other_hash})"
        rows = self.engine.execute(f"select {fields} from {FOUND} where {changed}").fetchall()
        lines = self.snapshot.hashes_of_texts(table, rows)
        hashed = stage_lines(self.engine, lines, {name: types[name] for name in (*table.key, HASH)})
        self.engine.execute(f"create or replace temp table {HASHED} as select * from {hashed}")

    def _ask_who_was_seen(self, table: SourceTable, entry: TableEntry) -> None:
        types = {name: kind for name, kind in columns_of(entry.columns).items() if name in table.key}
        lines = self.snapshot.keys_seen_by(table, self._keys(table), self.head.snapshot)
        seen = stage_lines(self.engine, lines, types | {SEEN: "BOOLEAN"})
        self.engine.execute(f"create or replace temp table {SEEN} as select * from {seen}")

    def _keys(self, table: SourceTable) -> Iterator[tuple[str, ...]]:
        fields = ", ".join(f"cast(k.{quoted(name)} as varchar)" for name in table.key)
        # Read whole before the first is sent, since the answers are staged over the same connection.
        yield from self.engine.execute(f"select {fields} from {FOUND} where l is not null").fetchall()

    def _explains(self, totals: tuple[int, str, int], entry: TableEntry) -> bool:
        """Say whether the real differences found so far are all that parts latest from its manifest."""
        rows, hashes, without = totals
        missing, dropped, altered = self.engine.execute(
            f"select count(*) filter (kind = 'missing'), coalesce(sum(l.{HASH}) filter (kind = 'missing'), 0)::varchar,"
            f" coalesce(sum(l.{HASH}::hugeint - r.{HASH}::hugeint) filter (kind = 'differs'), 0)::varchar"
            f" from {FOUND} where verdict = 'real'"
        ).fetchone() or (0, "0", "0")
        mended = (rows + missing, str(int(hashes) + int(dropped) + int(altered)))
        return not without and mended == (entry.rows, entry.hash_sum)

    def _proof(self, table: SourceTable, match: Match, *, is_as_recorded: bool, note: str) -> TableProof:
        counts = verdicts(self.engine) if match.differs else {}
        real = counts.get("real", 0)
        cause = advice = ""
        if real and is_as_recorded and table.sweep == "keys":
            cause = 'an update left the cursor\'s column alone, which sweep = "keys" passes over, or latest was altered'
            advice = "tidemark backfill; if it stays so: tidemark rebuild latest"
        elif real and is_as_recorded:
            cause = "latest was altered: its hashes are those that the last batch recorded, its text is not"
        elif real:
            cause = "latest lost or gained rows after the last batch: it no longer adds up to the batch's manifest"
        if real and not advice:
            advice = "tidemark rebuild latest"
        return TableProof(
            table.name,
            match.left,
            match.right,
            count=real,
            differences=differences(self.engine) if real else (),
            pending={name.removeprefix("pending "): counts[name] for name in PENDING if counts.get(name)},
            note=note,
            cause=cause,
            advice=advice,
        )


def _agrees(totals: tuple[int, str, int], entry: TableEntry) -> bool:
    return totals == (entry.rows, entry.hash_sum, 0)


def _is_keys(table: SourceTable) -> str:
    return str(table.sweep == "keys").lower()
