"""A poll: what the capture of all tables has in common, and the functions that full read and comparison share."""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tidemark.capture.sweep import Sums
from tidemark.capture.watermark import to_utc
from tidemark.errors import OvertakenError
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import Rows, quoted, select, tried
from tidemark.lake.table import Change
from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry, object_key
from tidemark.log.columns import Column
from tidemark.log.latest import LatestTable
from tidemark.model import Model, SourceTable
from tidemark.objects import measured
from tidemark.postgres.session_settings import ENCODING, SETTINGS

if TYPE_CHECKING:
    # Verifications of the star use `split_lines` too, where no driver of PostgreSQL is installed.
    from tidemark.capture.snapshot import Snapshot
    from tidemark.capture.source import SourceIdentity

logger = logging.getLogger(__name__)
PART_BYTES = 256 << 20
BEFORE_ROWS = b"rows of COPY\n"
# The number of the way in which postgres/row_hash.py hashes a row. 2: timestamps go in whole.
WAY_OF_HASHING = 2


@dataclass(frozen=True)
class Poll:
    """What all tables of one poll have in common.

    Two tables may be staged at the same time, but of those with many changes only one, the holder of `turn`: to stage
    them takes much memory.
    """

    engine: Engine
    log: ChangeLog
    snapshot: "Snapshot"
    batch: int
    now_milliseconds: int
    major_version: int
    timezone: ZoneInfo
    part_bytes: int = PART_BYTES
    turn: threading.Lock = field(default_factory=threading.Lock, compare=False)

    @classmethod
    def after(  # noqa: PLR0913, PLR0917 -- all that a poll is made of
        cls,
        head: Manifest | None,
        engine: Engine,
        log: ChangeLog,
        snapshot: "Snapshot",
        identity: "SourceIdentity",
        model: Model,
        now: datetime,
    ) -> "Poll":
        """Begin the poll that makes the batch after the newest, `head`."""
        return cls(
            engine=engine,
            log=log,
            snapshot=snapshot,
            batch=head.batch + 1 if head else 1,
            now_milliseconds=int(now.timestamp() * 1000),
            major_version=identity.major_version,
            timezone=model.timezone,
        )


@dataclass(frozen=True)
class TableOfLatest:
    """A table of latest that is opened when its rows are needed.

    `sums` are those of its rows, None if not known. `cursor` is the digest of rows that it is known to hold, None for
    none: those that the cursor read last; see `digested`.
    """

    source: SourceTable
    open: Callable[[], LatestTable]
    sums: Sums | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class Captured:
    """One table's part of a batch; `change` is applied to latest once the batch exists.

    `latest` is None if the table was not opened, since nothing changed. `sums` are those of latest after the change,
    None if they are not known, and `cursor` is the digest of the rows that the cursor read.
    """

    entry: TableEntry
    latest: LatestTable | None
    change: Change
    highest: datetime | None = None
    seconds: float = 0.0
    sums: Sums | None = None
    cursor: str | None = None


def hashed_by(table: SourceTable, columns: Iterable[Column], major_version: int) -> str:
    """Name everything that a row's hash depends on but the row; hashes with different names cannot be compared."""
    form = [f"{name} {value}" for name, value in {"client_encoding": ENCODING, **SETTINGS}.items()]
    shape = [f"{column.name} {column.type}" for column in columns]
    listed = ",".join([*shape, "", *table.key, "", *form, "", str(WAY_OF_HASHING)])
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    chosen = table.choice.fingerprint
    return f"{table.sweep}:{major_version}:{digest}{f':{chosen}' if chosen else ''}"


def is_other_choice(known: str, table: SourceTable) -> bool:
    """Say whether the model chose other rows or masked in another way when rows were hashed in the way `known`."""
    return known.split(":")[3:] != ([table.choice.fingerprint] if table.choice.fingerprint else [])


def split_lines(
    engine: Engine, blocks: Iterable[bytes], part_bytes: int, overhead: int
) -> Iterator[tuple[Path, int, bool]]:
    """Write blocks of lines into scratch files of about `part_bytes` each, counting `overhead` more for each line.

    Each file is as `from_lines` reads it. It ends with the line that reaches `part_bytes`, however the lines came in
    blocks.

    Yields for each file its path, the length of its longest block, which no line exceeds, and whether it is the last
    file.
    """
    rest = iter(blocks)
    block = next(rest, None)
    while block is not None:
        path = engine.new_file(".lines")
        size = longest = 0
        with path.open("wb") as file:
            file.write(BEFORE_ROWS)
            while block is not None and size < part_bytes:
                lines, left = _lines_of(block, part_bytes - size, overhead)
                file.write(lines)
                size += len(lines) + overhead * lines.count(b"\n")
                longest = max(longest, len(lines))
                block = left or next(rest, None)
        yield path, longest, block is None


def _lines_of(block: bytes, wanted_bytes: int, overhead: int) -> tuple[bytes, bytes]:
    """Cut a block after the line with which its size reaches `wanted_bytes`."""
    if len(block) + overhead * block.count(b"\n") < wanted_bytes:
        return block, b""
    end = size = 0
    while size < wanted_bytes:
        begin, end = end, block.index(b"\n", end) + 1
        size += end - begin + overhead
    return block[:end], block[end:]


def apply_captured(captured: Captured, batch: int) -> bool:
    """Apply a table's changes to latest; return False if another commit came in between, of a recovery or `compact`."""
    if captured.latest is None:
        return True
    if not captured.change.added and not captured.change.removed and captured.latest.batch:
        return True
    try:
        captured.latest.lake.commit(captured.change, batch=batch)
    except OvertakenError:
        logger.info("latest %s was changed by another run at the same time", captured.latest.source.name)
        return False
    return True


def put_object(poll: Poll, path: Path, table: SourceTable, last: object, rows: int, part: int | None) -> LogObject:
    """Put a scratch file as an object of the log; `last` is the highest key in it, or its number of rows."""
    key = object_key(poll.batch, table.name, last, poll.snapshot.captured_at, part)
    size_bytes, sha256 = measured(path)
    poll.log.objects.put_file_new(key, path)
    path.unlink(missing_ok=True)
    return LogObject(key, rows, size_bytes, sha256)


def highest_stamp(
    poll: Poll,
    engine: Engine,
    rows: Rows,
    table: SourceTable,
    columns: tuple[Column, ...],
) -> datetime | None:
    """Find the highest `updated` of some rows in UTC; a stamp in the future counts as the snapshot's own time."""
    column = next((column for column in columns if column.name == table.updated), None)
    if column is None:
        return None
    zoned = "with time zone" in column.type
    bound = poll.snapshot.captured_at.astimezone(UTC if zoned else poll.timezone).replace(tzinfo=None)
    # `tried` and not `converted`, so that a value which is no time for DuckDB is skipped, as infinity and BC dates are.
    # The result has no zone (the engine's zone is UTC): DuckDB hands times with a zone to Python through pytz, which
    # nothing else needs.
    moment = tried(tried(quoted(column.name), "timestamptz" if zoned else "timestamp"), "timestamp")
    found = engine.value(select("capture", "highest_stamp", moment=moment, rows=rows), [bound])
    if not isinstance(found, datetime):
        return None
    return found.replace(tzinfo=UTC) if zoned else to_utc(found, poll.timezone)
