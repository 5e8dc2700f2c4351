"""Waits for locks: who holds what a statement waits for, in the words of a message.

PostgreSQL does not say whom a statement waited for once it has given up, so the locks are looked at just afterwards.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from tidemark.disclosure import without_literals
from tidemark.errors import TransientError
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session, first_words

# What shuts out a reader; what shuts out a writer; what shuts out an ALTER.
AGAINST_READERS = ("AccessExclusiveLock",)
AGAINST_WRITERS = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", *AGAINST_READERS)
AGAINST_CHANGES = ("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", *AGAINST_WRITERS)
# What PostgreSQL shows as the statement of a session that the role may not look into.
HIDDEN = "<insufficient privilege>"


@contextmanager
def naming_holders(
    session: Session, what: str, tables: Sequence[str] | None = None, modes: Sequence[str] = AGAINST_WRITERS
) -> Iterator[None]:
    """When a lock was not granted in time, say who holds it and what to do.

    Args:
        session: the session that waits; its transaction has to end within the block.
        what: names the database.
        tables: as SQL names them; None for all tables of the current schema and the ledger.
        modes: the modes of other sessions' locks that are in the way.

    Raises:
        TransientError: the lock was not to be had.
    """
    try:
        yield
    except errors.LockNotAvailable as exc:
        rows = _asked(session, "holders_of_tables", tables=None if tables is None else list(tables), modes=list(modes))
        if not rows:
            raise
        raise _error(session, what, rows[0]) from exc


def holder_of_turn(session: Session) -> str:
    """Describe the session whose turn it is to write into the warehouse."""
    # Within one transaction PostgreSQL shows the same sessions again and again, as they were.
    session.execute("select pg_stat_clear_snapshot()")
    rows = _asked(session, "holder_of_turn")
    return described(rows[0]) if rows else "a session that is gone by now"


def described(row: Mapping[str, Any]) -> str:
    """Describe who holds a lock: a session, or a transaction that was prepared."""
    since = f"since {row['since']:%Y-%m-%d %H:%M:%S} UTC" if row["since"] else ""
    if row["gid"] is not None:
        return f"the prepared transaction {row['gid']!r} ({since})"
    statement = row["statement"] or ""
    shown = (
        "its statement is hidden from this role"
        if statement == HIDDEN
        else f"`{first_words(without_literals(statement))}`"
    )
    role = f"role {row['role']!r}" if row.get("role") else ""
    facts = [f"application {row['application_name'] or 'unnamed'!r}", role, since, shown if statement else ""]
    return f"the session with pid {row['pid']} ({', '.join(filter(None, facts))})"


def _error(session: Session, what: str, row: Mapping[str, Any]) -> TransientError:
    others = _asked(session, "sessions", pids=row["waits_for"]) if row["waits_for"] else []
    culprit = others[0] if others else row
    verb = "is locked by" if row["granted"] else "is awaited by"
    message = (
        f"{what} is busy: lock timeout after {session.lock_timeout}: table {row['locked']} {verb} {described(row)}"
    )
    if others:
        message += f", which waits for {described(culprit)}"
    end = (
        f"select pg_terminate_backend({culprit['pid']})"
        if culprit["gid"] is None
        else f"commit prepared or rollback prepared '{culprit['gid']}'"
    )
    advice = f"let it finish, or end it: {end}; then run again, nothing was lost"
    return TransientError(message, advice=advice, sqlstate="55P03", table=row["locked"], pid=culprit["pid"])


def _asked(session: Session, name: str, **values: object) -> list[dict[str, Any]]:
    """Ask who is in the way; nobody, if that cannot be asked: then the first error stands."""
    try:
        with session.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query("waits", name), values).fetchall()
    except psycopg.Error:
        return []
