"""Full read of a table that latest does not hold yet: it comes in parts, so memory does not grow with the table."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore

from deltalake.transaction import AddAction

from tidemark.capture import diff
from tidemark.capture.poll import Captured, Poll, hashed_by, highest_stamp, put_object, split_lines
from tidemark.lake.engine import Engine
from tidemark.lake.files import add_file
from tidemark.lake.sqltext import Expression, Rows, from_lines, from_parquet, names, quoted, select
from tidemark.lake.table import Change
from tidemark.lake.wide_rows import write_kept_file
from tidemark.log.changelog import LatestFile, LogObject, TableEntry
from tidemark.log.columns import Column
from tidemark.log.latest import LatestTable, columns_of, has_integer_key, statistics_of
from tidemark.model import SourceTable
from tidemark.report import watched

# What a JSON line has for each column, beside its name, that a line of COPY has not: quotes, a colon and a comma.
JSON_BYTES_PER_COLUMN = 6


class Writers:
    """Threads that write parts while the next ones are read; as many parts as threads wait or are written."""

    def __init__(self, executor: Executor, threads: int) -> None:
        self._executor = executor
        self._room = BoundedSemaphore(threads)

    def submit(self, write: Callable[[], "_Part"]) -> "Future[_Part]":
        """Have a part written, once there is room for it."""
        self._room.acquire()
        part = self._executor.submit(write)
        part.add_done_callback(lambda _: self._room.release())
        return part


@dataclass(frozen=True)
class _Part:
    """What was written of a part of a table; `last` is the highest key in it, or its number of rows."""

    rows: int
    hash_sum: int
    last: object
    highest: datetime | None
    written: LogObject
    file: AddAction | None


def capture_whole(
    poll: Poll,
    latest: LatestTable,
    columns: tuple[Column, ...],
    first_ordinal: int,
    writers: Writers,
    seen: Callable[[int, int], None] | None = None,
) -> Callable[[], Captured]:
    """Read a table that latest does not hold yet, part by part: parts are written while the next ones are read.

    `seen` is told how many rows and bytes were read so far.

    Returns:
        A function that waits until all parts are written. It does not read the source, so the next table can be read
        meanwhile. A thread of `writers` may run it, because it comes there after all of its parts.
    """
    table = latest.source
    parts: list[Future[_Part]] = []
    for number, (path, longest, is_last) in enumerate(_files(poll, table, columns, seen), start=1):
        for each in parts:
            if each.done():
                each.result()
        writing = _Writing(poll, poll.engine.worker(table.name), latest, columns)
        shown = None if number == 1 and is_last else number
        parts.append(writers.submit(partial(writing.write_part, path, longest, shown)))
    return partial(_captured, poll, latest, columns, first_ordinal, parts)


def _captured(
    poll: Poll, latest: LatestTable, columns: tuple[Column, ...], first_ordinal: int, written: list[Future[_Part]]
) -> Captured:
    parts = [each.result() for each in written]
    rows = sum(each.rows for each in parts)
    highest = max((each.highest for each in parts if each.highest), default=None)
    is_integer = has_integer_key(latest.source, columns)
    entry = TableEntry(
        columns=columns,
        first_ordinal=first_ordinal,
        rows=rows,
        hash_sum=str(sum(each.hash_sum for each in parts)),
        objects=tuple(each.written for each in parts),
        inserted=rows,
        latest_row_id=str(parts[-1].last) if parts and is_integer else None,
        latest_timestamp=highest.isoformat() if highest else None,
        hashed_by=hashed_by(latest.source, columns, poll.major_version),
        changed_in=poll.batch if rows else 0,
    )
    return Captured(entry, latest, Change(tuple(each.file for each in parts if each.file)), highest)


def _files(
    poll: Poll, table: SourceTable, columns: tuple[Column, ...], seen: Callable[[int, int], None] | None
) -> Iterator[tuple[Path, int, bool]]:
    overhead = sum(len(column.name.encode()) + JSON_BYTES_PER_COLUMN for column in columns)
    return split_lines(poll.engine, watched(poll.snapshot.rows(table), seen), poll.part_bytes, overhead)


@dataclass(frozen=True)
class _Writing:
    """What writes one part, with a connection to the engine of its own."""

    poll: Poll
    engine: Engine
    latest: LatestTable
    columns: tuple[Column, ...]

    def write_part(self, copied: Path, longest: int, number: int | None) -> _Part:
        """Write a part as an object of the log and as a file for latest."""
        with closing(self.engine.connection):
            return self._write_part(copied, longest, number)

    def _write_part(self, copied: Path, longest: int, number: int | None) -> _Part:
        poll, engine, table, types = self.poll, self.engine, self.latest.source, columns_of(self.columns)
        parquet, lines = engine.new_file(".parquet"), engine.new_file(".jsonl")
        write_kept_file(engine, select("files", "all", rows=from_lines([copied], types, longest)), list(types), parquet)
        copied.unlink()
        source = from_parquet([str(parquet)], types)
        self._write_lines(source, lines)
        is_integer = has_integer_key(table, self.columns)
        last = Expression(f"max({quoted(table.key[0])})" if is_integer else "count(*)")
        row = engine.execute(select("capture", "totals_of_part", last=last, rows=source)).fetchone() or (0, "0", 0)
        highest = highest_stamp(poll, engine, source, table, self.columns)
        written = put_object(poll, lines, table, row[2], row[0], number)
        file = add_file(
            engine,
            self.latest.lake,
            parquet,
            batch=poll.batch,
            now_milliseconds=poll.now_milliseconds,
            statistics=statistics_of(table, types),
        )
        if file:
            latest_file = LatestFile(f"{self.latest.lake.path}/{file.path}", file.size, file.sha256)
            written = replace(written, latest_file=latest_file)
        return _Part(row[0], int(row[1]), row[2], highest, written, file)

    def _write_lines(self, rows: Rows, path: Path) -> None:
        columns = [column.name for column in self.columns]
        if self.poll.batch == 1:
            self.engine.write_json(select("files", "fields", fields=names(columns), rows=rows), path)
            return
        inserted = select("capture", "inserted", rows=rows)
        self.engine.write_lines(select("files", "fields", fields=diff.log_line(columns), rows=inserted.rows), path)
