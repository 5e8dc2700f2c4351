"""Full read of a table that latest does not hold yet: it comes in parts, so memory does not grow with the table."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from deltalake.transaction import AddAction

from tidemark.capture import diff
from tidemark.capture.poll import Captured, Poll, hashed_by, highest_stamp, put_object, split_lines
from tidemark.lake.engine import Engine
from tidemark.lake.files import add_file
from tidemark.lake.sqltext import Expression, Rows, from_lines, from_parquet, names, quoted, select
from tidemark.lake.table import Change
from tidemark.lake.wide_rows import write_kept_file
from tidemark.log.changelog import LatestFile, LogObject, TableEntry, measured
from tidemark.log.columns import Column
from tidemark.log.latest import LatestTable, columns_of, has_integer_key, statistics_of
from tidemark.model import SourceTable

# What a JSON line has for each column, beside its name, that a line of COPY has not: quotes, a colon and a comma.
JSON_BYTES_PER_COLUMN = 6


def capture_whole(poll: Poll, latest: LatestTable, columns: tuple[Column, ...], first_ordinal: int) -> Captured:
    """Read a table that latest does not hold yet, part by part: one part is written while the next is read."""
    table = latest.source
    whole = _Whole(poll, poll.engine.worker(table.name), latest, columns)
    with ThreadPoolExecutor(max_workers=1) as executor:
        pending: Future[None] | None = None
        for number, (path, longest, is_last) in enumerate(_parts(poll, table, columns), start=1):
            if pending:
                pending.result()
            pending = executor.submit(whole.write_part, path, longest, None if number == 1 and is_last else number)
        if pending:
            pending.result()
    entry = TableEntry(
        columns=columns,
        first_ordinal=first_ordinal,
        rows=whole.rows,
        hash_sum=str(whole.hash_sum),
        objects=tuple(whole.objects),
        inserted=whole.rows,
        latest_row_id=whole.latest_row_id,
        latest_timestamp=whole.highest.isoformat() if whole.highest else None,
        hashed_by=hashed_by(table, columns, poll.major_version),
        changed_in=poll.batch if whole.rows else 0,
    )
    return Captured(entry, latest, Change(tuple(whole.files)), whole.highest)


def _parts(poll: Poll, table: SourceTable, columns: tuple[Column, ...]) -> Iterator[tuple[Path, int, bool]]:
    overhead = sum(len(column.name.encode()) + JSON_BYTES_PER_COLUMN for column in columns)
    return split_lines(poll.engine, poll.snapshot.rows(table), poll.part_bytes, overhead)


@dataclass
class _Whole:
    """The writer of the parts of a table that is read whole, with the totals of the parts so far."""

    poll: Poll
    engine: Engine
    latest: LatestTable
    columns: tuple[Column, ...]
    rows: int = 0
    hash_sum: int = 0
    objects: list[LogObject] = field(default_factory=list)
    files: list[AddAction] = field(default_factory=list)
    latest_row_id: str | None = None
    highest: datetime | None = None

    def write_part(self, copied: Path, longest: int, part: int | None) -> None:
        """Write one part as an object of the log and as a file for latest."""
        poll, engine, table, types = self.poll, self.engine, self.latest.source, columns_of(self.columns)
        parquet, lines = engine.new_file(".parquet"), engine.new_file(".jsonl")
        write_kept_file(engine, select("files", "all", rows=from_lines([copied], types, longest)), list(types), parquet)
        copied.unlink()
        source = from_parquet([str(parquet)], types)
        self._write_lines(source, lines)
        is_integer = has_integer_key(table, self.columns)
        last = Expression(f"max({quoted(table.key[0])})" if is_integer else "count(*)")
        row = engine.execute(select("capture", "totals_of_part", last=last, rows=source)).fetchone() or (0, "0", 0)
        stamp = highest_stamp(poll, engine, source, table, self.columns)
        self.rows += row[0]
        self.hash_sum += int(row[1])
        self.latest_row_id = str(row[2]) if is_integer else None
        self.highest = max((each for each in (self.highest, stamp) if each), default=None)
        written = put_object(poll, lines, table, row[2], row[0], part)
        size_bytes, sha256 = measured(parquet)
        action = add_file(
            engine,
            self.latest.lake,
            parquet,
            batch=poll.batch,
            now_milliseconds=poll.now_milliseconds,
            statistics=statistics_of(table, types),
        )
        if action:
            self.files.append(action)
            written = replace(
                written, latest_file=LatestFile(f"{self.latest.lake.path}/{action.path}", size_bytes, sha256)
            )
        self.objects.append(written)

    def _write_lines(self, rows: Rows, path: Path) -> None:
        columns = [column.name for column in self.columns]
        if self.poll.batch == 1:
            self.engine.write_json(select("files", "fields", fields=names(columns), rows=rows), path)
            return
        inserted = select("capture", "inserted", rows=rows)
        self.engine.write_lines(select("files", "fields", fields=diff.log_line(columns), rows=inserted.rows), path)
