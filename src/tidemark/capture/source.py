"""The source: one read-only transaction over all of the model's tables, whose rows stream out with their hashes.

The order of the statements before the snapshot is the guarantee: clock, oldest transaction, locks, and only then the
snapshot. TRUNCATE and ALTERs that rewrite a table are not MVCC-safe: a snapshot that is older would see an empty table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, dict_row

from tidemark.capture.kinds import LOCKABLE, Relation
from tidemark.capture.readers import Readers
from tidemark.capture.relation import identifier, take_salt
from tidemark.capture.snapshot import Kind, Snapshot, places
from tidemark.capture.table_locks import LETTING_GO_SECONDS, lock, locked
from tidemark.capture.watermark import Floor
from tidemark.model import SourceTable
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.giving_way import giving_way
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session
from tidemark.postgres.waits import AGAINST_READERS, naming_holders

# What shuts a poll out for longer than this is a migration: who runs it is said, and the next run tries again.
LOCK_TIMEOUT_SECONDS = 15.0
APPLICATION = "tidemark ingest"
# A session asks for a range of about so many bytes of a table at a time.
RANGE_BYTES = 8 << 20


@dataclass(frozen=True)
class SourceIdentity:
    """Which database this is: a copy that was restored on another server has another identity, even under its name."""

    system_identifier: str
    database: str
    major_version: int


class Source:
    """An open connection to the source.

    `yield_after` is how long others may wait for a lock that a snapshot holds; None for as long as it takes. `workers`
    sessions at most read a large table, in ranges of about `range_bytes`.
    """

    def __init__(
        self, connection: Session, url: str, yield_after: timedelta | None, workers: int, range_bytes: int
    ) -> None:
        self._connection, self._url, self._yield_after = connection, url, yield_after
        self._workers, self._range_bytes = workers, range_bytes
        self._what = f"the source ({connection.info.host or 'local socket'}/{connection.info.dbname})"

    def identity(self) -> SourceIdentity:
        """Ask the server which system and database it is."""
        with translated(self._what), self._connection.cursor(row_factory=dict_row) as cursor:
            return SourceIdentity(**cursor.execute(query("source", "identity")).fetchone() or {})

    def relations(self, schemas: Sequence[str]) -> list[Relation]:
        """List what the catalogue has in some schemas."""
        with translated(self._what), self._connection.cursor(row_factory=class_row(Relation)) as cursor:
            return cursor.execute(query("source", "catalogue"), {"schemas": list(schemas)}).fetchall()

    def floor(self) -> Floor:
        """Find the oldest moment at which a transaction may have begun that a later snapshot cannot see."""
        with translated(self._what), self._connection.cursor(row_factory=dict_row) as cursor:
            clock: datetime = _one(cursor, query("source", "clock"))["clock_timestamp"]
            # In this order both queries see a transaction that is prepared in between; in the other order neither does.
            oldest = cursor.execute(query("source", "oldest_transaction")).fetchone()
            state = _one(cursor, query("source", "visibility"))
        reasons = {
            "the role may not see other sessions (it lacks pg_read_all_stats)": not state["may_see"],
            "the server is a replica": state["is_replica"],
            "a subscription feeds this database": state["is_subscriber"],
            "a session does not track its activity": state["has_untracked"],
        }
        reason = next((reason for reason, holds in reasons.items() if holds), "")
        if reason:
            return Floor(at=None, reason=reason)
        if oldest and oldest["xact_start"] < clock:
            return Floor(oldest["xact_start"], stays=state["has_prepared"], holder_pid=oldest["pid"])
        return Floor(clock, stays=state["has_prepared"])

    def about_rows(self, tables: Sequence[SourceTable]) -> int:
        """Say about how many rows some tables have; one that was never analysed counts by its size."""
        with translated(self._what), self._connection.cursor(row_factory=dict_row) as cursor:
            names = [identifier(table).as_string() for table in tables]
            found: int = _one(cursor, query("source", "about_rows"), {"tables": names})["about_rows"]
            return found

    @contextmanager
    def snapshot(self, tables: Iterable[SourceTable]) -> Iterator[Snapshot]:
        """Lock the tables against rewriting, take one snapshot and hold it until the block ends.

        Raises:
            TransientError: a lock was not to be had, or somebody waited too long for a lock that the snapshot holds.
        """
        wanted = list(tables)
        kinds = self._kinds(wanted)
        names = [identifier(table).as_string() for table in wanted]
        waiting = naming_holders(self._connection, self._what, names, AGAINST_READERS)
        lockable = [identifier(table) for table in wanted if kinds.get(table.name, ("r",))[0] in LOCKABLE]
        with translated(self._what), waiting, locked(self._connection, lockable, LOCK_TIMEOUT_SECONDS):
            try:
                with self._connection.cursor(row_factory=dict_row) as cursor:
                    taken = _one(cursor, query("source", "take_snapshot"))
                take_salt(self._connection, wanted)
                with (
                    giving_way(self._connection, self._url, self._what, self._yield_after) as watch,
                    self._readers(lockable, wanted, watch) as readers,
                ):
                    parts = (self._connection, readers, self._range_bytes, wanted)
                    yield Snapshot(*parts, taken["snapshot"], taken["captured_at"], kinds)
            finally:
                if self._connection.info.transaction_status == TransactionStatus.ACTIVE:
                    # A row stream was left in the middle. It holds the connection's lock for as long as somebody holds
                    # the error that interrupted it, so a rollback would wait for ever. Closing ends the transaction.
                    self._connection.close()

    @contextmanager
    def _readers(
        self, lockable: Sequence[sql.Identifier], tables: Sequence[SourceTable], watch: Callable[[Session], None]
    ) -> Iterator[Readers]:
        """Give the readers of the snapshot that the transaction has; those beside it are closed at the end."""
        with ExitStack() as opened:

            def open_other() -> Session:
                session = connect(self._url, application=APPLICATION, only_reads=True, keeps_snapshot=True)
                opened.enter_context(closing(session))
                session.lock_timeout, session.search_path = self._connection.lock_timeout, self._connection.search_path
                (name,) = self._connection.execute(query("source", "export_snapshot")).fetchone() or ("",)
                opened.enter_context(session.transaction(force_rollback=True))
                taken_over = sql.SQL("transaction snapshot {}").format(sql.Literal(name))
                session.execute(query("source", "import_snapshot", taken_over=taken_over))
                # Who waits for a lock of ours already must not wait for one that we await behind it.
                lock(session, lockable, LETTING_GO_SECONDS)
                take_salt(session, tables)
                watch(session)
                return session

            yield Readers(self._connection, self._workers, open_other)

    def _kinds(self, tables: Sequence[SourceTable]) -> dict[str, Kind]:
        with translated(self._what):
            rows = self._connection.execute(query("source", "kinds"), places(tables)).fetchall()
        return {name: (kind, is_populated) for name, kind, is_populated in rows}


@contextmanager
def open_source(
    url: str, yield_after: timedelta | None = None, workers: int = 1, range_bytes: int = RANGE_BYTES
) -> Iterator[Source]:
    """Connect to the source for the length of a block; see `Source`."""
    with closing(connect(url, application=APPLICATION, only_reads=True, keeps_snapshot=True)) as session:
        session.lock_timeout = f"{LOCK_TIMEOUT_SECONDS:g}s"
        with translated(f"the source at {where(url)}"):
            schemas = [name for (name,) in session.execute(query("source", "schemas_of_extensions"))]
        session.search_path = ["public", *schemas]
        yield Source(session, url, yield_after, workers, range_bytes)


def _one(
    cursor: psycopg.Cursor[dict[str, Any]], statement: sql.Composed, parameters: Mapping[str, object] | None = None
) -> Mapping[str, Any]:
    row = cursor.execute(statement, parameters).fetchone()
    if row is None:  # pragma: no cover - these statements always give a row
        message = "a statement that always gives a row gave none"
        raise LookupError(message)
    return row
