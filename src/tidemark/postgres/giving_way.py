"""Giving way: a transaction that only reads ends when somebody has waited too long for a lock that it holds.

Such a transaction shuts out no reader and no writer, only an ALTER TABLE and its like; but all who come to the table
after the ALTER wait behind it. PostgreSQL tells no session that others wait for it, so a second connection looks at the
locks and terminates the session. A cancellation would not reach a session that is idle between two statements, or that
waits for its client to take rows.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tidemark.disclosure import told
from tidemark.errors import TidemarkError, TransientError
from tidemark.postgres.connection import connect
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session
from tidemark.postgres.waits import described

logger = logging.getLogger(__name__)
# How often the locks are looked at within the time that others may wait, and how seldom at most.
LOOKS = 4
LONGEST_PERIOD_SECONDS = 1.0
# A connection of the onlooker that fails is made again after this time.
AGAIN_SECONDS = 5.0
# An onlooker takes longer to end only if it hangs in the network or in the queue of a pooler. Then it ends by itself.
PATIENCE_SECONDS = 1.0
TOLD = "%s: whether somebody waits for our locks cannot be seen, so we give way to nobody: %s"
ONLOOKER_LOCK_TIMEOUT = "1s"
# A migration often has several statements, each with a wait of its own: let it come through.
RETRY_AFTER_SECONDS = 30.0


@contextmanager
def giving_way(session: Session, url: str, what: str, after: timedelta | None) -> Iterator[Callable[[Session], None]]:
    """Within a transaction that only reads, let others wait no longer than `after` for a lock that it holds.

    The block gets a function that makes the transaction of another session, on the same server, part of it: who waits
    for one of them waits for all, and they end together.

    The onlooker connects only when the transaction has lasted that long: before, nobody can have waited longer. If it
    fails, it says so once, and the transaction goes on. A block that asks nothing more of the session ends well.

    Args:
        session: the session with the transaction, which began before the block and ends after it.
        url: the address of the session's database.
        what: names the database.
        after: how long others may wait; None for as long as the transaction takes.

    Raises:
        TransientError: somebody had waited that long; it names who, and for what.
    """
    if after is None:
        yield lambda _: None
        return
    onlooker = _Onlooker(url, what, min(after.total_seconds(), threading.TIMEOUT_MAX))
    onlooker.watch(session)
    onlooker.start()
    try:
        yield onlooker.watch
    except psycopg.Error as exc:
        onlooker.end()
        if onlooker.error is None:
            raise
        raise onlooker.error from exc
    finally:
        # The transaction must not end before: then its session may be somebody else's, behind a pooler.
        onlooker.end()
        if onlooker.error is not None:
            session.close()


class _Onlooker(threading.Thread):
    """Looks who waits for some transactions; `error` is what they ended with, if they were made to give way."""

    def __init__(self, url: str, what: str, after_seconds: float) -> None:
        super().__init__(name="tidemark onlooker", daemon=True)
        self.error: TransientError | None = None
        self._url, self._what, self._after_seconds = url, what, after_seconds
        self._transactions: list[Mapping[str, Any]] = []
        self._began = time.monotonic()
        self._is_over = threading.Event()

    def watch(self, session: Session) -> None:
        """Look at the transaction of a session too."""
        found = session.cursor(row_factory=dict_row).execute(query("waits", "own_transaction")).fetchall()
        self._transactions += found

    def end(self) -> None:
        """Let it end, and wait until it has."""
        if self._is_over.is_set():
            return
        self._is_over.set()
        self.join(PATIENCE_SECONDS)
        if self.is_alive():
            logger.warning(TOLD, self._what, "its connection does not answer (a pooler may have no second one for it)")

    def run(self) -> None:
        """Look until the transaction is over, or has been ended."""
        pause_seconds, is_told = self._after_seconds, False
        while not self._is_over.wait(pause_seconds):
            try:
                with closing(connect(self._url, application="tidemark onlooker", only_reads=True)) as session:
                    session.lock_timeout = ONLOOKER_LOCK_TIMEOUT
                    self._look(session)
                    return
            except (psycopg.Error, TidemarkError) as exc:
                if not is_told and not self._is_over.is_set():
                    logger.warning(TOLD, self._what, told(exc))
                is_told, pause_seconds = True, AGAIN_SECONDS

    def _look(self, session: Session) -> None:
        period_seconds = min(self._after_seconds / LOOKS, LONGEST_PERIOD_SECONDS)
        with session.cursor(row_factory=dict_row) as cursor:
            while not self._is_over.is_set():
                own = list(self._transactions)
                values = {
                    "pids": [each["pid"] for each in own],
                    "transaction_names": [each["transaction_name"] for each in own],
                    "seconds": self._after_seconds,
                }
                row = cursor.execute(query("waits", "waiter"), values).fetchone() or {}
                if not row["is_seen"]:
                    message = "the connection leads to another server than the one before"
                    raise TransientError(message)
                if row["pid"] is not None and self._ended(cursor, values, self._error(row)):
                    return
                self._is_over.wait(period_seconds)

    def _ended(self, cursor: psycopg.Cursor[dict[str, Any]], values: Mapping[str, Any], error: TransientError) -> bool:
        """End the transaction; its thread may meet the end before we hear of it, so the error is there before."""
        self.error = error
        try:
            row = cursor.execute(query("waits", "end_transactions"), values).fetchone()
        except psycopg.Error:
            self.error = None
            raise
        if row != {"is_ended": True}:
            self.error = None
        return self.error is not None

    def _error(self, row: Mapping[str, Any]) -> TransientError:
        who = "the replay of the primary's changes" if row["is_replay"] else described(row)
        lock = f"for {row['mode']} on {row['locked']}" if row["locked"] else "for this transaction to end"
        message = (
            f"{self._what} is needed by others: {who} waits {lock}, so this command gave way"
            f" after {time.monotonic() - self._began:.1f} s"
        )
        advice = (
            "nothing was lost: run again when that is done. If it happens again and again, as it may to a long first"
            f" poll: choose a quiet hour, raise TIDEMARK_YIELD_AFTER (now {self._after_seconds:g}s), or read a replica"
        )
        facts = {"table": row["locked"], "mode": row["mode"], "pid": row["pid"], "role": row["role"]}
        return TransientError(message, advice=advice, retry_after_seconds=RETRY_AFTER_SECONDS, **facts)
