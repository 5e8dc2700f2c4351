"""Comparison of a table with latest: first the rows of the cursor, then all others that the sweep finds to differ."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tidemark.capture import diff
from tidemark.capture.poll import Captured, Poll, hashed_by, highest_stamp, put_object, split_lines
from tidemark.capture.sweep import SCAN_SHARE, Bucketing, Sum, bucketing_for, differing, ranges, total
from tidemark.capture.watermark import Span
from tidemark.lake.sqltext import (
    Condition,
    Rows,
    Select,
    Table,
    from_lines,
    names,
    number,
    quoted,
    select,
    statement,
)
from tidemark.lake.table import Change
from tidemark.lake.wide_rows import cut_columns, is_wide
from tidemark.log.changelog import LogObject, TableEntry, carried_over
from tidemark.log.columns import Column
from tidemark.log.keys import has_variants
from tidemark.log.latest import LatestTable, columns_of, has_integer_key, stage_changes
from tidemark.log.reading import reads_otherwise


def capture_changes(
    poll: Poll,
    latest: LatestTable,
    columns: tuple[Column, ...],
    before: TableEntry,
    *,
    since: datetime | None,
    sweeps: bool,
) -> Callable[[], Captured]:
    """Compare a table with latest: by the cursor from `since` on, then by the sweep if this poll `sweeps`.

    Returns:
        A function that writes the changes. It does not read the source, so it may run in another thread while the next
        table is read.
    """
    comparison = _Comparison(poll, latest, columns)
    is_comparable = before.hashed_by == hashed_by(latest.source, columns, poll.major_version)
    if not is_comparable:
        comparison.read_all(before.columns)
        rows = comparison.expected_total()
    else:
        if since is not None and latest.source.updated:
            comparison.read(poll.snapshot.rows_since(latest.source, since))
        rows = comparison.sweep() if sweeps else comparison.expected_total()
    comparison.unite_keys()
    return partial(comparison.finish, before, rows, swept=sweeps or not is_comparable)


@dataclass(frozen=True)
class Reread:
    """What was found when some rows of a table were read again.

    `write` writes the changes without reading the source. It can be called only once.
    """

    read: int
    inserted: int
    updated: int
    deleted: int
    write: Callable[[], Captured]

    @property
    def changes(self) -> int:
        """Count the rows that differ."""
        return self.inserted + self.updated + self.deleted


def reread(
    poll: Poll, latest: LatestTable, columns: tuple[Column, ...], before: TableEntry, spans: Sequence[Span]
) -> Reread:
    """Compare the rows that have one of their times within its span, in the source or in latest."""
    comparison = _Comparison(poll, latest, columns)
    read = comparison.read(poll.snapshot.rows_within(latest.source, spans))
    read += comparison.read_beyond(diff.within(spans))
    comparison.unite_keys()
    counts = comparison.counts()
    return Reread(
        read=read,
        inserted=counts.get("insert", 0),
        updated=counts.get("update", 0),
        deleted=counts.get("delete", 0),
        write=partial(comparison.finish, before, comparison.expected_total(), swept=False),
    )


class _Comparison:
    def __init__(self, poll: Poll, latest: LatestTable, columns: tuple[Column, ...]) -> None:
        self.poll, self.latest, self.columns = poll, latest, columns
        self.table = latest.source
        self.engine = poll.engine.worker(self.table.name)
        self.names = [column.name for column in columns]
        self.types = {column.name: column.log_type for column in columns}
        self.by_key = has_integer_key(self.table, columns)
        self.working = self.engine.working_tables()
        self.tables = diff.make_tables(self.working.empty, self.types, self.table.key)

    def read(self, lines: Iterable[bytes], before: Sequence[Column] = ()) -> int:
        """Stage rows of the source, add those that differ from latest to the changes, and count all staged rows.

        `before` has the columns that the rows of latest were read with, where these may have had other types.
        """
        self.engine.execute(statement("capture", "delete_all", table=self.tables.staged))
        rows = self._copy_in(self.tables.staged, lines, columns_of(self.columns))
        if rows:
            otherwise = reads_otherwise(before, self.columns, "l.", "s.")
            if is_wide(self.names):
                self._compare_in_pieces(otherwise)
                return rows
            compared = diff.compare_staged(self.latest.rows, self.names, self.table.key, self.tables, otherwise)
            self.engine.execute(compared)
        return rows

    def _compare_in_pieces(self, otherwise: Condition) -> None:
        """Compare the staged rows some columns at a time, and then take those that differ."""
        latest, key, tables = self.latest.rows, self.table.key, self.tables
        self.engine.execute(statement("capture", "delete_all", table=tables.differing_keys))
        for each in diff.compare_in_pieces(latest, list(cut_columns(self.names)), key, tables, otherwise):
            self.engine.execute(each)
        self._put_judged(diff.judge_staged(latest, key, tables), tables.staged)

    def _put_judged(self, found: Select, rows: Rows) -> None:
        """Put some rows into the changes; `found` gives their keys, each with its operation and its hash before."""
        with self.engine.working_tables() as working:
            judged = working.of(found)
            if self.engine.count(judged):
                texts = working.of(diff.texts_before(self.latest.rows, self.names, self.table.key, judged))
                self.engine.execute(diff.put_judged(rows, judged, texts, self.names, self.table.key, self.tables))

    def read_beyond(self, where: Condition) -> int:
        """Read, by key, the rows that match `where` in latest but were not staged; delete those that are gone.

        The source has other times for such a row, or no longer has the row. Returns how many rows were read.
        """
        staged, swept = self.tables.staged, self.tables.swept
        beyond = {"swept": swept, "staged": staged, "latest": self.latest.rows, "keys": names(self.table.key)}
        self.engine.execute(statement("capture", "sweep_beyond", where=where, **beyond))
        wanted = self.engine.execute(select("capture", "swept_keys", swept=swept)).fetchall()
        read = self.read(self.poll.snapshot.rows_of_keys(self.table, wanted))
        self._delete_absent(self._with_keys_of(swept), staged)
        return read

    def counts(self) -> dict[str, int]:
        """Count the changes by operation."""
        return dict(self.engine.execute(select("capture", "operations", change=self.tables.change)).fetchall())

    def read_all(self, before: Sequence[Column]) -> None:
        """Compare every row, because the hashes in latest were made in another way and cannot be compared."""
        self.read(self.poll.snapshot.rows(self.table), before)
        self._delete_absent(self.latest.rows, self.tables.staged)

    def unite_keys(self) -> None:
        """Find the rows whose key is the same for the source and has another text; each is one update."""
        if has_variants(self.table.key, self.columns) and self.counts().get("insert"):
            for each in diff.unite_keys(self.latest.rows, self.columns, self.table.key, self.tables):
                self.engine.execute(each)

    def sweep(self) -> Sum:
        """Find what the cursor missed, and return the count and sum of the whole table in the source."""
        bucketing = self._bucketing()
        found = self.poll.snapshot.sums(self.table, bucketing)
        expected = self._expected(bucketing)
        whole = total(found)
        # Rows that were restored from the log have no hash, so they are in no bucket by hash.
        known = {bucket: each for bucket, each in expected.items() if bucket is not None}
        if len(known) < len(expected):
            self._sweep_buckets(bucketing, None)
            return whole
        buckets = differing(known, found)
        if buckets:
            is_scan = not self.by_key or len(buckets) > SCAN_SHARE * len(found)
            self._sweep_buckets(bucketing, buckets, is_scan=is_scan)
        return whole

    def expected_total(self) -> Sum:
        """Return the count and sum of the whole table that latest and the changes imply."""
        sums = self._expected(Bucketing(by_key=False, mask=0)).values()
        return Sum(sum(each.rows for each in sums), sum(each.hashes for each in sums))

    def finish(self, before: TableEntry, rows: Sum, *, swept: bool) -> Captured:
        """Write the changes as objects of the log and as files for latest."""
        with closing(self.engine.connection), self.working:
            return self._finish(before, rows, swept=swept)

    def _finish(self, before: TableEntry, rows: Sum, *, swept: bool) -> Captured:
        counts = self.counts()
        highest = highest_stamp(self.poll, self.engine, self.tables.change, self.table, self.columns)
        known = (before.latest_timestamp, highest.isoformat() if highest else None)
        entry = replace(
            carried_over(before),
            columns=self.columns,
            rows=rows.rows,
            hash_sum=str(rows.hashes),
            objects=tuple(self._write_objects(sum(counts.values()) - counts.get("rehash", 0))),
            inserted=counts.get("insert", 0),
            updated=counts.get("update", 0),
            deleted=counts.get("delete", 0),
            latest_row_id=self._latest_row_id() or before.latest_row_id,
            latest_timestamp=max((each for each in known if each), default=None),
            swept=swept,
            hashed_by=hashed_by(self.table, self.columns, self.poll.major_version),
            changed_in=self.poll.batch if counts.keys() - {"rehash"} else before.changed_in,
        )
        return Captured(entry, self.latest, self._stage() if counts or not self.latest.has_shape else Change(), highest)

    def _stage(self) -> Change:
        batch, now = self.poll.batch, self.poll.now_milliseconds
        return stage_changes(self.engine, self.latest, self.tables.change, batch=batch, now_milliseconds=now)

    def _with_keys_of(self, others: Rows) -> Rows:
        """Give the rows of latest whose keys are among others."""
        keys = names(self.table.key)
        return select("files", "with_keys_of", rows=self.latest.rows, others=others, keys=keys).rows

    def _delete_absent(self, rows: Rows, present: Table) -> None:
        if is_wide(self.names):
            key = names(self.table.key)
            self._put_judged(select("diff", "judge_absent", keys=key, latest=rows, present=present), self.latest.rows)
            return
        self.engine.execute(diff.delete_absent(rows, present, self.names, self.table.key, self.tables))

    def _bucketing(self) -> Bucketing:
        key = quoted(self.table.key[0])
        if not self.by_key:
            return bucketing_for(None, self.engine.count(self.latest.rows), by_key=False)
        bounds_and_count = select("capture", "key_bounds", key=key, rows=self.latest.rows)
        low, high, rows = self.engine.execute(bounds_and_count).fetchone() or (None, None, 0)
        bounds = [each for each in ((low, high) if rows else None, self.poll.snapshot.key_range(self.table)) if each]
        span = (min(each[0] for each in bounds), max(each[1] for each in bounds)) if bounds else None
        return bucketing_for(span, rows, by_key=True)

    def _expected(self, bucketing: Bucketing) -> dict[int | None, Sum]:
        key = quoted(self.table.key[0])
        bucket, before = bucketing.expression(key), bucketing.expression(key, "_tidemark_hash_before")
        sums = diff.expected_sums(self.latest.rows, bucket, before, self.table.key, self.tables)
        return {row[0]: Sum(row[1], int(row[2])) for row in self.engine.execute(sums).fetchall()}

    def _sweep_buckets(self, bucketing: Bucketing, buckets: list[int] | None, *, is_scan: bool = True) -> None:
        snapshot, table = self.poll.snapshot, self.table
        bucket = bucketing.expression(quoted(table.key[0])) if buckets else None
        if buckets is None:
            lines = snapshot.hashes_in_buckets(table, Bucketing(by_key=False, mask=0), [0])
        elif is_scan:
            lines = snapshot.hashes_in_buckets(table, bucketing, buckets)
        else:
            lines = snapshot.hashes_in_ranges(table, ranges(buckets, bucketing))
        if buckets:
            self.engine.execute(statement("capture", "put_buckets", buckets=self.tables.differing), [buckets])
        key_types = {name: self.types[name] for name in table.key}
        self._copy_in(self.tables.swept, lines, key_types | {"_hash": "BIGINT"})
        expected = diff.expected_rows(self.latest.rows, bucket, table.key, self.tables)
        wanted = self.engine.execute(diff.keys_to_read(expected, table.key, self.tables)).fetchall()
        # A row that is gone is in latest and not in the source. One among the changes so far was read in this snapshot.
        keys = select("files", "fields", fields=names(table.key), rows=expected)
        self._delete_absent(self._with_keys_of(keys.rows), self.tables.swept)
        if wanted:
            self.read(snapshot.rows_of_keys(table, wanted))

    def _copy_in(self, table: Table, lines: Iterable[bytes], columns: Mapping[str, str]) -> int:
        rows = 0
        for path, longest, _ in split_lines(self.engine, lines, self.poll.part_bytes, 0):
            copied = statement("capture", "copy_in", table=table, rows=from_lines([path], columns, longest))
            rows += int(str(self.engine.value(copied)))
            path.unlink()
        return rows

    def _latest_row_id(self) -> str | None:
        if not self.by_key:
            return None
        key = quoted(self.table.key[0])
        found = self.engine.value(select("capture", "highest_key", key=key, change=self.tables.change))
        return None if found is None else str(found)

    def _write_objects(self, changes: int) -> Iterator[LogObject]:
        if not changes:
            return
        keys, change = names(self.table.key), self.tables.change
        lines = select("capture", "lines", keys=keys, line=diff.log_line(self.names), change=change)
        size = int(str(self.engine.value(select("capture", "size_of_lines", lines=lines.rows))))
        parts = 1 + size // self.poll.part_bytes
        if parts == 1:
            yield self._write_part(lines, Condition("true"), None)
            return
        numbered = select("capture", "lines_by_part", parts=number(parts), keys=keys, lines=lines.rows)
        for part in range(1, parts + 1):
            yield self._write_part(numbered, Condition(f"_tidemark_part = {part}"), part)

    def _write_part(self, lines: Select, where: Condition, part: int | None) -> LogObject:
        path = self.engine.new_file(".jsonl")
        keys = names(self.table.key)
        ordered = select("capture", "lines_of_part", lines=lines.rows, where=where, keys=keys)
        rows = self.engine.write_lines(ordered, path)
        highest = select("capture", "highest_key_of_part", key=keys, lines=lines.rows, where=where)
        last = self.engine.value(highest) if self.by_key else rows
        return put_object(self.poll, path, self.table, last, rows, part)
