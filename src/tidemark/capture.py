"""Capture: what one poll finds in one table, as objects of the log and as files for latest that no commit names yet.

A table that latest knows nothing of is read whole, in parts, so that memory does not grow with it. Any other is compared:
the cursor's rows first, then whatever the sweep finds to differ beyond them.
"""

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tidemark import diff
from tidemark.changelog import ChangeLog, LogObject, TableEntry, carried_over, object_key
from tidemark.contract import Column
from tidemark.engine import Engine
from tidemark.lake import Change, add_file
from tidemark.latest import LatestTable, columns_of, has_integer_key, stage_changes, statistics_of
from tidemark.model import SourceTable
from tidemark.source import Snapshot
from tidemark.sqltext import from_csv, from_parquet, names, quoted, text
from tidemark.sweep import SCAN_SHARE, Bucketing, Sum, bucketing_for, differing, ranges, total
from tidemark.watermark import to_utc

PART_BYTES = 256 << 20
# What a JSON line has beyond its CSV line: for each column quotes, colon and comma beside its name.
JSON_BYTES_PER_COLUMN = 6


@dataclass(frozen=True)
class Poll:
    """What all tables of one poll have in common."""

    engine: Engine
    log: ChangeLog
    snapshot: Snapshot
    batch: int
    now_milliseconds: int
    major_version: int
    timezone: ZoneInfo
    part_bytes: int = PART_BYTES


@dataclass(frozen=True)
class Captured:
    """One table's part of a batch; `change` is for latest, once the batch exists."""

    entry: TableEntry
    latest: LatestTable
    change: Change
    highest: datetime | None = None
    read_rows: int = 0

    @property
    def has_changes(self) -> bool:
        """Say whether the batch holds changes of this table."""
        return self.entry.changes > 0


@dataclass
class _Whole:
    """What the parts of a table that is read whole add up to."""

    rows: int = 0
    hash_sum: int = 0
    objects: list[LogObject] = field(default_factory=list)
    change: Change = field(default_factory=Change)
    latest_row_id: str | None = None
    highest: datetime | None = None


def capture_whole(poll: Poll, latest: LatestTable, columns: tuple[Column, ...], first_ordinal: int) -> Captured:
    """Read a table of which latest holds nothing, part by part: one part is written while the next is read."""
    table = latest.source
    found = _Whole()
    with ThreadPoolExecutor(max_workers=1) as executor:
        worker = poll.engine.worker()
        pending: Future[None] | None = None
        for number, (path, longest, is_last) in enumerate(_parts(poll, table, columns), start=1):
            if pending:
                pending.result()
            part = None if number == 1 and is_last else number
            pending = executor.submit(_write_part, poll, worker, latest, columns, path, longest, part, found)
        if pending:
            pending.result()
    entry = TableEntry(
        columns=columns,
        first_ordinal=first_ordinal,
        rows=found.rows,
        hash_sum=str(found.hash_sum),
        objects=tuple(found.objects),
        inserted=found.rows,
        latest_row_id=found.latest_row_id,
        latest_timestamp=found.highest.isoformat() if found.highest else None,
        hashed_by=hashed_by(table, columns, poll.major_version),
    )
    return Captured(entry, latest, found.change, found.highest, found.rows)


def capture_changes(
    poll: Poll,
    latest: LatestTable,
    columns: tuple[Column, ...],
    before: TableEntry,
    *,
    since: datetime | None,
    sweeps: bool,
) -> Captured:
    """Compare a table with latest: by the cursor from `since` on, then by the sweep if this poll `sweeps`."""
    comparison = _Comparison(poll, latest, columns)
    is_comparable = before.hashed_by == hashed_by(latest.source, columns, poll.major_version)
    if not is_comparable:
        comparison.read_all()
        rows = comparison.expected_total()
    else:
        if since is not None and latest.source.updated:
            comparison.read(poll.snapshot.rows_since(latest.source, since))
        rows = comparison.sweep() if sweeps else comparison.expected_total()
    return comparison.finish(before, rows, swept=sweeps or not is_comparable)


def hashed_by(table: SourceTable, columns: Iterable[Column], major_version: int) -> str:
    """Name all that a row's hash depends on beside the row; hashes of another name cannot be compared."""
    listed = ",".join(f"{column.name} {column.type}" for column in columns)
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return f"{table.sweep}:{major_version}:{digest}"


class _Comparison:
    def __init__(self, poll: Poll, latest: LatestTable, columns: tuple[Column, ...]) -> None:
        self.poll, self.latest, self.columns = poll, latest, columns
        self.table = latest.source
        self.engine = poll.engine
        self.names = [column.name for column in columns]
        self.types = {column.name: column.log_type for column in columns}
        self.by_key = has_integer_key(self.table, columns)
        self.read_rows = 0
        for statement in diff.create_tables(self.types, self.table.key):
            self.engine.execute(statement)

    def read(self, lines: Iterable[bytes]) -> None:
        """Stage rows of the source and put those that differ from latest among the changes."""
        self.engine.execute(f"delete from {diff.STAGED}")
        rows = self._copy_in(diff.STAGED, lines, columns_of(self.columns))
        self.read_rows += rows
        if rows:
            self.engine.execute(diff.compare_staged(self.latest.rows, self.names, self.table.key))

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
        if None in expected:
            self._sweep_buckets(bucketing, None)
            return whole
        buckets = differing({bucket: each for bucket, each in expected.items() if bucket is not None}, found)
        if buckets:
            is_scan = not self.by_key or len(buckets) > SCAN_SHARE * len(found)
            self._sweep_buckets(bucketing, buckets, is_scan=is_scan)
        return whole

    def expected_total(self) -> Sum:
        """Return the count and sum of the whole table that latest and the changes imply."""
        return total(self._expected(Bucketing(by_key=False, mask=0)))

    def finish(self, before: TableEntry, rows: Sum, *, swept: bool) -> Captured:
        """Write the changes as objects of the log and as files for latest."""
        counts = dict(self.engine.execute(f"select _op, count(*) from {diff.CHANGE} group by 1").fetchall())
        if not counts:
            return Captured(
                replace(carried_over(before), swept=swept, rows=rows.rows, hash_sum=str(rows.hashes)),
                self.latest,
                Change(),
                None,
                self.read_rows,
            )
        staged = stage_changes(
            self.engine,
            self.latest,
            diff.CHANGE,
            batch=self.poll.batch,
            now_milliseconds=self.poll.now_milliseconds,
        )
        highest = _highest(self.poll, self.engine, diff.CHANGE, self.table, self.columns)
        last_row = self._latest_row_id()
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
            latest_row_id=last_row or before.latest_row_id,
            latest_timestamp=max((each for each in known if each), default=None),
            swept=swept,
            hashed_by=hashed_by(self.table, self.columns, self.poll.major_version),
        )
        return Captured(entry, self.latest, staged, highest, self.read_rows)

    def _bucketing(self) -> Bucketing:
        key = quoted(self.table.key[0])
        if not self.by_key:
            rows = int(str(self.engine.value(f"select count(*) from {self.latest.rows}")))
            return bucketing_for(None, rows, by_key=False)
        low, high, rows = self.engine.execute(f"select min({key}), max({key}), count(*) from {self.latest.rows}").fetchone() or ()
        bounds = [each for each in ((low, high) if rows else None, self.poll.snapshot.key_range(self.table)) if each]
        span = (min(each[0] for each in bounds), max(each[1] for each in bounds)) if bounds else None
        return bucketing_for(span, rows, by_key=True)

    def _expected(self, bucketing: Bucketing) -> dict[int, Sum]:
        bucket = bucketing.expression(quoted(self.table.key[0]))
        before = bucket.replace("_hash", "_hash_before")
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
        for path, longest, _ in _split(self.engine, lines, self.poll.part_bytes, 0):
            source = from_csv([path], columns, longest)
            rows += int(str(self.engine.value(f"insert into {target} select * from {source}")))
            path.unlink()
        return rows

    def _latest_row_id(self) -> str | None:
        if not self.by_key:
            return None
        found = self.engine.value(f"select max({quoted(self.table.key[0])}) from {diff.CHANGE} where _op <> 'rehash'")
        return None if found is None else str(found)

    def _write_objects(self, changes: int) -> Iterator[LogObject]:
        if not changes:
            return
        key, line = names(self.table.key), diff.log_line(self.names, with_operation=True)
        lines = f"select {key}, {line} as line from {diff.CHANGE} where _op <> 'rehash'"
        size = int(str(self.engine.value(f"select coalesce(sum(strlen(line)), 0) from ({lines})")))
        parts = 1 + size // self.poll.part_bytes
        for part in range(parts):
            path = self.engine.new_file(".jsonl")
            numbered = f"select *, ntile({parts}) over (order by {key}) as part from ({lines})" if parts > 1 else lines
            where = f" where part = {part + 1}" if parts > 1 else ""
            rows = _write_lines(self.engine, f"select line from ({numbered}){where} order by {key}", path)
            last = self.engine.value(f"select max({key}) from ({numbered}){where}") if self.by_key else rows
            yield _put(self.poll, path, self.table, last, rows, part + 1 if parts > 1 else None)


def _parts(poll: Poll, table: SourceTable, columns: tuple[Column, ...]) -> Iterator[tuple[Path, int, bool]]:
    overhead = sum(len(column.name.encode()) + JSON_BYTES_PER_COLUMN for column in columns)
    return _split(poll.engine, poll.snapshot.rows(table), poll.part_bytes, overhead)


def _split(engine: Engine, lines: Iterable[bytes], part_bytes: int, overhead: int) -> Iterator[tuple[Path, int, bool]]:
    """Write lines into scratch files of about `part_bytes` each; give path, longest line and whether it is the last."""
    rest = iter(lines)
    line = next(rest, None)
    while line is not None:
        path = engine.new_file(".csv")
        size = longest = 0
        with path.open("wb") as file:
            write = file.write
            while line is not None and size < part_bytes:
                write(line)
                length = len(line)
                size += length + overhead
                longest = max(longest, length)
                line = next(rest, None)
        yield path, longest, line is None


def _write_part(
    poll: Poll,
    engine: Engine,
    latest: LatestTable,
    columns: tuple[Column, ...],
    csv: Path,
    longest: int,
    part: int | None,
    found: _Whole,
) -> None:
    table = latest.source
    types = columns_of(columns)
    parquet, lines = engine.new_file(".parquet"), engine.new_file(".jsonl")
    engine.execute(
        f"copy (select * from {from_csv([csv], types, longest)}) to {text(str(parquet))} (format parquet, compression zstd)",
    )
    csv.unlink()
    source = from_parquet([str(parquet)], types)
    listed = names(column.name for column in columns)
    if poll.batch == 1:
        engine.execute(f"copy (select {listed} from {source}) to {text(str(lines))} (format json)")
    else:
        line = diff.log_line([column.name for column in columns], with_operation=True)
        _write_lines(engine, f"select {line} from (select *, 'insert' as _op, null as _before from {source})", lines)
    is_integer = has_integer_key(table, columns)
    last = f"max({quoted(table.key[0])})" if is_integer else "count(*)"
    row = engine.execute(f"select count(*), sum(_hash)::varchar, {last} from {source}").fetchone() or (0, "0", 0)
    highest = _highest(poll, engine, source, table, columns)
    found.rows += row[0]
    found.hash_sum += int(row[1])
    found.latest_row_id = str(row[2]) if is_integer else None
    found.highest = max((each for each in (found.highest, highest) if each), default=None)
    found.objects.append(_put(poll, lines, table, row[2], row[0], part))
    action = add_file(
        engine,
        latest.lake,
        parquet,
        batch=poll.batch,
        now_milliseconds=poll.now_milliseconds,
        statistics=statistics_of(table, types),
    )
    found.change = Change((*found.change.added, *([action] if action else [])))


def _write_lines(engine: Engine, select: str, path: Path) -> int:
    # Neither quote nor escape, and a delimiter that JSON text cannot hold: each value is written as it is.
    options = "format csv, header false, quote '', escape '', delimiter E'\\x01'"
    return int(str(engine.value(f"copy ({select}) to {text(str(path))} ({options})")))


def _put(poll: Poll, path: Path, table: SourceTable, last: object, rows: int, part: int | None) -> LogObject:
    key = object_key(poll.batch, table.name, last, poll.snapshot.captured_at, part)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    poll.log.objects.put_file_new(key, path)
    path.unlink(missing_ok=True)
    return LogObject(key, rows, size, digest)


def _highest(
    poll: Poll,
    engine: Engine,
    source: str,
    table: SourceTable,
    columns: tuple[Column, ...],
) -> datetime | None:
    """Find the highest `updated` of some rows in UTC; a stamp in the future counts as the snapshot's own time."""
    column = next((column for column in columns if column.name == table.updated), None)
    if column is None:
        return None
    captured_at = poll.snapshot.captured_at
    zoned = "with time zone" in column.type
    kind = "timestamptz" if zoned else "timestamp"
    bound = captured_at if zoned else captured_at.astimezone(poll.timezone).replace(tzinfo=None)
    # Tried and not cast, so that a value which is no time for DuckDB is passed over, and infinity with the BC dates.
    moment = f"try_cast({quoted(column.name)} as {kind})"
    statement = f"select max(least({moment}, ?::{kind})) from {source} where {moment} >= '0002-01-01'::{kind}"
    found = engine.value(statement, [bound])
    if not isinstance(found, datetime):
        return None
    return found.astimezone(UTC) if zoned else to_utc(found, poll.timezone)
