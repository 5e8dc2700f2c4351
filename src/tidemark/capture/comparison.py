"""Comparing a table with latest: the cursor's rows first, then whatever the sweep finds to differ beyond them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tidemark.capture import diff
from tidemark.capture.poll import Captured, Poll, hashed_by, highest_stamp, put_object, split_lines
from tidemark.capture.sweep import SCAN_SHARE, Bucketing, Sum, bucketing_for, differing, ranges, total
from tidemark.capture.watermark import Span
from tidemark.lake.sqltext import from_csv, names, quoted
from tidemark.lake.table import Change
from tidemark.log.change import CHANGE
from tidemark.log.changelog import LogObject, TableEntry, carried_over
from tidemark.log.columns import Column
from tidemark.log.latest import LatestTable, columns_of, has_integer_key, stage_changes


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
        What is left to do without the source: write the changes. It may run in another thread, while the next table is
        read.
    """
    comparison = _Comparison(poll, latest, columns)
    is_comparable = before.hashed_by == hashed_by(latest.source, columns, poll.major_version)
    if not is_comparable:
        comparison.read_all()
        rows = comparison.expected_total()
    else:
        if since is not None and latest.source.updated:
            comparison.read(poll.snapshot.rows_since(latest.source, since))
        rows = comparison.sweep() if sweeps else comparison.expected_total()
    return partial(comparison.finish, before, rows, swept=sweeps or not is_comparable)


@dataclass(frozen=True)
class Reread:
    """What reading some rows of a table again has shown; `write` writes the changes, for once, without the source."""

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
    """Compare the rows of which a time lies in its span, in the source or in latest."""
    comparison = _Comparison(poll, latest, columns)
    read = comparison.read(poll.snapshot.rows_within(latest.source, spans))
    read += comparison.read_beyond(diff.within(spans))
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
        self.engine = poll.engine.worker()
        self.names = [column.name for column in columns]
        self.types = {column.name: column.log_type for column in columns}
        self.by_key = has_integer_key(self.table, columns)
        for statement in diff.create_tables(self.types, self.table.key):
            self.engine.execute(statement)

    def read(self, lines: Iterable[bytes]) -> int:
        """Stage rows of the source, put those that differ from latest among the changes, and count them all."""
        self.engine.execute(f"delete from {diff.STAGED}")
        rows = self._copy_in(diff.STAGED, lines, columns_of(self.columns))
        if rows:
            self.engine.execute(diff.compare_staged(self.latest.rows, self.names, self.table.key))
        return rows

    def read_beyond(self, where: str) -> int:
        """Read by their keys the rows of latest that ought to have come: their times have changed, or they are gone."""
        keys = names(self.table.key)
        beyond = f"select {keys}, _hash from {self.latest.rows} anti join {diff.STAGED} using ({keys}) where {where}"
        self.engine.execute(f"insert into {diff.SWEPT} {beyond}")
        wanted = self.engine.execute(f"select columns(* exclude (_hash))::varchar from {diff.SWEPT}").fetchall()
        read = self.read(self.poll.snapshot.rows_of_keys(self.table, wanted))
        missed = f"(select * from {self.latest.rows} semi join {diff.SWEPT} using ({keys}))"
        self.engine.execute(diff.delete_absent(missed, diff.STAGED, self.names, self.table.key))
        return read

    def counts(self) -> dict[str, int]:
        """Count the changes by operation."""
        return dict(self.engine.execute(f"select _op, count(*) from {CHANGE} group by 1").fetchall())

    def read_all(self) -> None:
        """Compare every row, because the hashes in latest are of another kind."""
        self.read(self.poll.snapshot.rows(self.table))
        self.engine.execute(diff.delete_absent(self.latest.rows, diff.STAGED, self.names, self.table.key))

    def sweep(self) -> Sum:
        """Find what the cursor missed, and return the count and sum of the whole table in the source."""
        bucketing = self._bucketing()
        found = self.poll.snapshot.sums(self.table, bucketing)
        expected = self._expected(bucketing)
        whole = total(found)
        # Rows without a hash, which were restored from the log, fall into no bucket by hash.
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
        try:
            return self._finish(before, rows, swept=swept)
        finally:
            self.engine.connection.close()

    def _finish(self, before: TableEntry, rows: Sum, *, swept: bool) -> Captured:
        counts = self.counts()
        highest = highest_stamp(self.poll, self.engine, CHANGE, self.table, self.columns)
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
        return stage_changes(self.engine, self.latest, CHANGE, batch=batch, now_milliseconds=now)

    def _bucketing(self) -> Bucketing:
        key = quoted(self.table.key[0])
        if not self.by_key:
            rows = int(str(self.engine.value(f"select count(*) from {self.latest.rows}")))
            return bucketing_for(None, rows, by_key=False)
        bounds_and_count = f"select min({key}), max({key}), count(*) from {self.latest.rows}"
        low, high, rows = self.engine.execute(bounds_and_count).fetchone() or (None, None, 0)
        bounds = [each for each in ((low, high) if rows else None, self.poll.snapshot.key_range(self.table)) if each]
        span = (min(each[0] for each in bounds), max(each[1] for each in bounds)) if bounds else None
        return bucketing_for(span, rows, by_key=True)

    def _expected(self, bucketing: Bucketing) -> dict[int | None, Sum]:
        key = quoted(self.table.key[0])
        bucket, before = bucketing.expression(key), bucketing.expression(key, "_hash_before")
        statement = diff.expected_sums(self.latest.rows, bucket, before, self.table.key)
        return {row[0]: Sum(row[1], int(row[2])) for row in self.engine.execute(statement).fetchall()}

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
            self.engine.execute(f"insert into {diff.DIFFERING} select unnest(?::bigint[])", [buckets])
        key_types = {name: self.types[name] for name in table.key}
        self._copy_in(diff.SWEPT, lines, key_types | {"_hash": "BIGINT"})
        expected = diff.expected_rows(self.latest.rows, bucket, table.key)
        wanted = self.engine.execute(diff.keys_to_read(expected, table.key)).fetchall()
        # A row that is gone is in latest and not in the source; one among the changes so far was read in this snapshot.
        keys = names(table.key)
        gone = f"(select * from {self.latest.rows} semi join (select {keys} from {expected}) using ({keys}))"
        self.engine.execute(diff.delete_absent(gone, diff.SWEPT, self.names, table.key))
        if wanted:
            self.read(snapshot.rows_of_keys(table, wanted))

    def _copy_in(self, target: str, lines: Iterable[bytes], columns: dict[str, str]) -> int:
        rows = 0
        for path, longest, _ in split_lines(self.engine, lines, self.poll.part_bytes, 0):
            source = from_csv([path], columns, longest)
            rows += int(str(self.engine.value(f"insert into {target} select * from {source}")))
            path.unlink()
        return rows

    def _latest_row_id(self) -> str | None:
        if not self.by_key:
            return None
        found = self.engine.value(f"select max({quoted(self.table.key[0])}) from {CHANGE} where _op <> 'rehash'")
        return None if found is None else str(found)

    def _write_objects(self, changes: int) -> Iterator[LogObject]:
        if not changes:
            return
        # Names that no column of a source has: an underscore before what is the log's own.
        key, line = names(self.table.key), diff.log_line(self.names, with_operation=True)
        lines = f"select {key}, {line} as _line from {CHANGE} where _op <> 'rehash'"
        size = int(str(self.engine.value(f"select coalesce(sum(strlen(_line)), 0) from ({lines})")))
        parts = 1 + size // self.poll.part_bytes
        for part in range(parts):
            path = self.engine.new_file(".jsonl")
            numbered = f"select *, ntile({parts}) over (order by {key}) as _part from ({lines})" if parts > 1 else lines
            where = f" where _part = {part + 1}" if parts > 1 else ""
            rows = self.engine.write_lines(f"select _line from ({numbered}){where} order by {key}", path)
            last = self.engine.value(f"select max({key}) from ({numbered}){where}") if self.by_key else rows
            yield put_object(self.poll, path, self.table, last, rows, part + 1 if parts > 1 else None)
