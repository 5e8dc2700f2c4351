"""The locks of a snapshot: they keep the tables' shape, and are taken without keeping a migration waiting.

ACCESS SHARE shuts out only what changes a table's shape. But whoever waits for one table has the locks of others
already, and a migration may wait for these.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import errors, sql

from tidemark.errors import ContractError
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session

# A poll that waits for one lock lets go of the others this often: before PostgreSQL, after its deadlock_timeout of 1 s,
# ends a migration that waits for the poll while the poll waits for it.
LETTING_GO_SECONDS = 0.4
# PostgreSQL takes a timeout of 0 for none.
SHORTEST_SECONDS = 0.001


@contextmanager
def locked(session: Session, tables: Sequence[sql.Identifier], longest_seconds: float) -> Iterator[None]:
    """Open a transaction that has locked the tables, and roll it back at the end.

    Raises:
        ContractError: a table is missing, or is something that cannot be locked.
        LockNotAvailable: a lock was not to be had within `longest_seconds`.
    """
    until = time.monotonic() + longest_seconds
    while True:
        seconds = max(min(until - time.monotonic(), LETTING_GO_SECONDS), SHORTEST_SECONDS)
        with session.transaction(force_rollback=True):
            try:
                lock(session, tables, seconds)
            except errors.LockNotAvailable:
                if time.monotonic() >= until:
                    raise
                continue
            yield
            return


def lock(session: Session, tables: Sequence[sql.Identifier], seconds: float) -> None:
    """Lock the tables within the transaction that the session has.

    Raises:
        ContractError: a table is missing, or is something that cannot be locked.
        LockNotAvailable: a lock was not to be had within `seconds`.
    """
    if not tables:
        return
    waits = sql.Literal(f"{seconds * 1000:.0f}ms"), sql.Literal(session.lock_timeout)
    before, after = (query("session", "set_local", setting=sql.SQL("lock_timeout"), value=each) for each in waits)
    locking = query("source", "lock", tables=sql.SQL(", ").join(tables))
    try:
        session.execute(sql.SQL("; ").join([before, locking, after]))
    except (errors.UndefinedTable, errors.InvalidSchemaName, errors.WrongObjectType) as exc:
        message = f"a source table of the model is missing or has become something else: {exc.diag.message_primary}"
        raise ContractError(
            message, advice="bring it back, mend the model, or name another one: TIDEMARK_MODEL"
        ) from exc
