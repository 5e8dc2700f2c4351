"""Comparison of a table with latest: first the rows of the cursor, then all others that the sweep finds to differ."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from itertools import chain

from tidemark.capture import diff
from tidemark.capture.cursor_rows import digested
from tidemark.capture.poll import Captured, Poll, TableOfLatest, hashed_by, highest_stamp, put_object, split_lines
from tidemark.capture.sweep import SCAN_SHARE, Bucketing, Sum, Sums, bucketing_for, differing, ranges
from tidemark.capture.watermark import Span
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.merge import FEW_ROWS
from tidemark.lake.sqltext import (
    Condition,
    Rows,
    Select,
    Table,
    any_of,
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
from tidemark.log.latest import HASH, LatestTable, columns_of, has_integer_key, stage_changes
from tidemark.log.reading import reads_otherwise


def capture_changes(
    poll: Poll,
    table: TableOfLatest,
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
    comparison = _Comparison(poll, table, columns)
    if before.hashed_by != hashed_by(table.source, columns, poll.major_version):
        comparison.read_all(before)
        comparison.unite_keys()
        return partial(comparison.finish, before, comparison.expected().total, swept=True)
    known = table.sums or comparison.sums_of_latest(comparison.first_bucketing())
    found = poll.snapshot.sums(table.source, known.wanted_bucketing()) if sweeps else None
    # A hash of whole rows shows all that the cursor could find. If latest was altered, its sums are no longer known.
    is_as_known = found is not None and found.within(known.bucketing) == known
    if not is_as_known or table.source.sweep != "rows":
        comparison.read_since(since)
        if found is not None:
            comparison.sweep(known, found.within(known.bucketing))
    comparison.unite_keys()
    now = comparison.expected(known)
    if found is None:
        return partial(comparison.finish, before, now.total, swept=False, sums=now)
    # Two ways must lead to the same sums. If they do not, the next poll adds up latest itself.
    kept = found if now == found.within(known.bucketing) else None
    return partial(comparison.finish, before, found.total, swept=True, sums=kept)


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
    poll: Poll, table: TableOfLatest, columns: tuple[Column, ...], before: TableEntry, spans: Sequence[Span]
) -> Reread:
    """Compare the rows that have one of their times within its span, in the source or in latest."""
    comparison = _Comparison(poll, table, columns)
    read = comparison.read(poll.snapshot.rows_within(table.source, spans))
    read += comparison.read_beyond(diff.within(spans))
    comparison.unite_keys()
    counts = comparison.counts()
    return Reread(
        read=read,
        inserted=counts.get("insert", 0),
        updated=counts.get("update", 0),
        deleted=counts.get("delete", 0),
        write=partial(comparison.finish, before, comparison.expected().total, swept=False),
    )


class _Comparison:
    """A comparison of one table; it opens latest, and makes its working tables, only when it comes to rows."""

    def __init__(self, poll: Poll, table: TableOfLatest, columns: tuple[Column, ...]) -> None:
        self.poll, self.columns = poll, columns
        self.table, self._open = table.source, table.open
        self.names = [column.name for column in columns]
        self.types = {column.name: column.log_type for column in columns}
        self.by_key = has_integer_key(self.table, columns)
        self.cursor = table.cursor

    @cached_property
    def latest(self) -> LatestTable:
        return self._open()

    @cached_property
    def engine(self) -> Engine:
        return self.poll.engine.worker(self.table.name)

    @cached_property
    def working(self) -> WorkingTables:
        return self.engine.working_tables()

    @cached_property
    def tables(self) -> diff.DiffTables:
        return diff.make_tables(self.working.empty, self.types, self.table.key)

    @property
    def has_read(self) -> bool:
        """Say whether any row was read or compared."""
        return "tables" in self.__dict__

    def read_since(self, since: datetime | None) -> None:
        """Read the rows of the cursor, if there is one, and compare them unless they are those of the poll before."""
        if since is None or not self.table.updated:
            self.cursor = None
            return
        lines, digest = digested(self.poll.snapshot.rows_since(self.table, since))
        if digest is None or digest != self.cursor:
            self.read(lines)
        self.cursor = digest

    def read(self, lines: Iterable[bytes], before: Sequence[Column] = (), gone: Sequence[Column] = ()) -> int:
        """Stage rows of the source, add those that differ from latest to the changes, and count all staged rows.

        `before` has the columns that the rows of latest were read with, where these may have had other types, and
        `gone` those that latest loses with a change of each row that has a value there.
        """
        first = next(rest := iter(lines), None)
        if first is None and not self.has_read:
            return 0
        self.engine.execute(statement("capture", "delete_all", table=self.tables.staged))
        found = chain([first], rest) if first is not None else rest
        rows = self._copy_in(self.tables.staged, found, columns_of(self.columns))
        if rows:
            lost = [Condition(f"{quoted(each.name, 'l.')} is not null") for each in gone]
            otherwise = any_of([reads_otherwise(before, self.columns, "l.", "s."), *lost])
            latest = self.latest.rows_with({each.name: each.log_type for each in gone})
            if is_wide(self.names):
                self._compare_in_pieces(latest, otherwise)
                return rows
            parts = (latest, self.names, self.table.key, self.tables, otherwise)
            self.engine.execute(diff.compare_staged(*parts, [each.name for each in gone]))
        return rows

    def _compare_in_pieces(self, latest: Rows, otherwise: Condition) -> None:
        """Compare the staged rows some columns at a time, and then take those that differ."""
        key, tables = self.table.key, self.tables
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
        if not self.has_read:
            return {}
        return dict(self.engine.execute(select("capture", "operations", change=self.tables.change)).fetchall())

    def read_all(self, before: TableEntry) -> None:
        """Compare every row, because the hashes in latest were made in another way and cannot be compared.

        In a mirror, a row also changes if it had a value in a column that is gone.
        """
        gone = [each for each in before.columns if each.name not in self.types] if before.mirror else []
        self.read(self.poll.snapshot.rows(self.table), before.columns, gone)
        self._delete_absent(self.latest.rows, self.tables.staged)

    def unite_keys(self) -> None:
        """Find the rows whose key is the same for the source and has another text; each is one update."""
        if has_variants(self.table.key, self.columns) and self.counts().get("insert"):
            for each in diff.unite_keys(self.latest.rows, self.columns, self.table.key, self.tables):
                self.engine.execute(each)

    def sweep(self, known: Sums, found: Sums) -> None:
        """Find what the cursor missed.

        Args:
            known: the sums of latest before the poll.
            found: the sums of the source, in the same buckets.
        """
        expected = self.expected(known)
        # Rows that were restored from the log have no hash, so they are in no bucket by hash.
        if not expected.has_all_hashes:
            self._sweep_buckets(known.bucketing, None)
            return
        buckets = differing(expected.buckets, found.buckets)
        if buckets:
            is_scan = not self.by_key or len(buckets) > SCAN_SHARE * len(found.buckets)
            self._sweep_buckets(known.bucketing, buckets, is_scan=is_scan)

    def first_bucketing(self) -> Bucketing:
        """Choose buckets for a table whose sums are not known."""
        if not self.by_key:
            return bucketing_for(None, self.engine.count(self.latest.rows), by_key=False)
        bounds_and_count = select("capture", "key_bounds", key=quoted(self.table.key[0]), rows=self.latest.rows)
        low, high, rows = self.engine.execute(bounds_and_count).fetchone() or (None, None, 0)
        bounds = [each for each in ((low, high) if rows else None, self.poll.snapshot.key_range(self.table)) if each]
        span = (min(each[0] for each in bounds), max(each[1] for each in bounds)) if bounds else None
        return bucketing_for(span, rows, by_key=True)

    def sums_of_latest(self, bucketing: Bucketing) -> Sums:
        """Count and add up the rows of latest, as they were before the poll."""
        key = quoted(self.table.key[0])
        rows = select("files", "fields", fields=names([*self.table.key, HASH]), rows=self.latest.rows).rows
        return self._sums(bucketing, select("diff", "sums_of_latest", bucket=bucketing.expression(key), latest=rows))

    def expected(self, known: Sums | None = None) -> Sums:
        """Give the sums that latest, which had those that are `known`, and the changes imply."""
        known = known or self.sums_of_latest(Bucketing(by_key=False, mask=0))
        if not self.has_read:
            return known
        key, bucketing = quoted(self.table.key[0]), known.bucketing
        bucket, before = bucketing.expression(key), bucketing.expression(key, "_tidemark_hash_before")
        return known.plus(self._sums(bucketing, diff.sums_of_changes(bucket, before, self.tables)).buckets)

    def _sums(self, bucketing: Bucketing, sums: Select) -> Sums:
        found = self.engine.execute(sums).fetchall()
        return Sums(bucketing, {bucket: Sum(rows, int(hashes)) for bucket, rows, hashes in found})

    def finish(self, before: TableEntry, rows: Sum, *, swept: bool, sums: Sums | None = None) -> Captured:
        """Write the changes as objects of the log and as files for latest; `sums` are those of latest after them."""
        as_before = replace(
            carried_over(before),
            columns=self.columns,
            rows=rows.rows,
            hash_sum=str(rows.hashes),
            swept=swept,
            hashed_by=hashed_by(self.table, self.columns, self.poll.major_version),
        )
        if not self.has_read:
            return Captured(as_before, None, Change(), sums=sums, cursor=self.cursor)
        is_large = sum(self.counts().values()) > FEW_ROWS
        with closing(self.engine.connection), self.working, self.poll.turn if is_large else nullcontext():
            return replace(self._finish(as_before), sums=sums, cursor=self.cursor)

    def _finish(self, before: TableEntry) -> Captured:
        counts = self.counts()
        highest = highest_stamp(self.poll, self.engine, self.tables.change, self.table, self.columns)
        known = (before.latest_timestamp, highest.isoformat() if highest else None)
        entry = replace(
            before,
            objects=tuple(self._write_objects(sum(counts.values()) - counts.get("rehash", 0))),
            inserted=counts.get("insert", 0),
            updated=counts.get("update", 0),
            deleted=counts.get("delete", 0),
            latest_row_id=self._latest_row_id() or before.latest_row_id,
            latest_timestamp=max((each for each in known if each), default=None),
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
        with self.engine.working_tables() as working:
            expected = working.of(diff.expected_rows(self.latest.rows, bucket, table.key, self.tables))
            wanted = self.engine.execute(diff.keys_to_read(expected, table.key, self.tables)).fetchall()
            # A row that is gone is in latest and not in the source. One among the changes so far was read in this
            # snapshot.
            gone = working.of(diff.keys_gone(expected, table.key, self.tables))
            # Mostly no row is gone, or a few of one bucket: then little of latest is read.
            if self.engine.count(gone):
                self._delete_absent(self._with_keys_of(gone), self.tables.swept)
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
