"""Reading the warehouse: few sessions, transactions that only read, and an end to a statement that takes too long."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, LifoQueue
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

import psycopg
from psycopg import errors, sql

from tidemark.disclosure import told
from tidemark.errors import ConfigError, TidemarkError, TransientError
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session
from tidemark.warehouse.history import read_any_day

APPLICATION = "tidemark dashboard"
PATIENCE = timedelta(seconds=20)
SESSIONS = 4
# Whoever looks at a page does not wait for a lock as long as a load would.
LOCK_TIMEOUT = "2s"
# So long a page says at once that a warehouse is away which was away just now: each try may take long.
AWAY_SECONDS = 5.0
QUEUE_SECONDS = 5.0
CANCEL_SECONDS = 2.0
# No chart shows more rows.
MOST_ROWS = 2000

Values = Mapping[str, object] | Sequence[object]
Statement = tuple[sql.Composed | sql.SQL, Values]


@dataclass(frozen=True)
class Answer:
    """What a SELECT yielded; `is_cut` says that there were more rows than a page takes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool = False

    def values(self, column: str) -> list[Any]:
        """Give the values of a column; ConfigError if the SELECT does not yield it."""
        if column not in self.columns:
            message = f"the SELECT yields no column {column!r}, it yields {', '.join(self.columns)}"
            raise ConfigError(message, advice="name one of these in the figure's first comments")
        at = self.columns.index(column)
        return [row[at] for row in self.rows]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Give each row with its values by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Reader:
    """The sessions that the pages have with one warehouse.

    Args:
        url: gives the warehouse's address. It is asked anew for each session, since a password may change.
        patience: after this time the server ends a statement.
        within: after so long in all, nothing more is asked; None: there is no end.
    """

    def __init__(self, url: Callable[[], str], patience: timedelta = PATIENCE, within: timedelta | None = None) -> None:
        self._url = url
        self._patience = patience
        self._ends_at = monotonic() + within.total_seconds() if within is not None else None
        self._idle: LifoQueue[tuple[Session, str]] = LifoQueue()
        self._places = BoundedSemaphore(SESSIONS)
        self._in_hand: set[Session] = set()
        self._is_closed = False
        self._away: tuple[float, TidemarkError] | None = None

    def ask(self, statement: sql.Composed | sql.SQL, values: Values = ()) -> Answer:
        """Run one SELECT; see `ask_all`."""
        return self.ask_all([(statement, values)])[0]

    def ask_all(self, statements: Sequence[Statement]) -> list[Answer]:
        """Run SELECTs in a transaction that only reads, all of the same moment.

        Raises:
            ConfigError: a statement does not fit the warehouse, or the role may not read it.
            TransientError: the warehouse is away, or a statement took too long.
        """
        patience = self._patience_left()
        with self._place():
            while kept := self._kept():
                try:
                    return self._answers(*kept, statements, patience)
                except TransientError:
                    # The server may have ended it long ago, such as by a restart.
                    if not kept[0].broken:
                        raise
            return self._answers(*self._opened(), statements, patience)

    def close(self) -> None:
        """End the statements in hand, and close all sessions."""
        self._is_closed = True
        for session in list(self._in_hand):
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=CANCEL_SECONDS)
        while kept := self._kept():
            kept[0].close()

    def _patience_left(self) -> timedelta:
        left = self._patience if self._ends_at is None else timedelta(seconds=self._ends_at - monotonic())
        if left <= timedelta(milliseconds=1):
            advice = "tidemark dashboard shows it, and takes its time"
            raise TransientError("the warehouse took so long that nothing more was asked", advice=advice)
        return min(self._patience, left)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Wait for one of the few sessions, but not for long: whoever asks for pages keeps nobody else from them."""
        if not self._places.acquire(timeout=QUEUE_SECONDS):
            advice = "load the page again in a moment, or choose fewer days"
            raise TransientError("the warehouse has as many questions in hand as these pages may ask", advice=advice)
        try:
            if self._is_closed:
                raise TransientError("the dashboard is about to stop")
            yield
        finally:
            self._places.release()

    def _opened(self) -> tuple[Session, str]:
        if self._away and monotonic() - self._away[0] < AWAY_SECONDS:
            raise self._away[1].with_traceback(None)
        url = self._url()
        try:
            session = connect(url, application=APPLICATION, only_reads=True, keeps_snapshot=True)
        except TidemarkError as exc:
            self._away = monotonic(), exc
            raise
        session.lock_timeout = LOCK_TIMEOUT
        return session, f"the warehouse at {where(url)}"

    def _kept(self) -> tuple[Session, str] | None:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None

    def _answers(
        self, session: Session, what: str, statements: Sequence[Statement], patience: timedelta
    ) -> list[Answer]:
        self._in_hand.add(session)
        try:
            with translated(what), _worded(what, patience), session.transaction(), session.cursor() as cursor:
                milliseconds = f"{patience / timedelta(milliseconds=1):.0f}"
                cursor.execute(query("dashboard", "patience"), {"patience": milliseconds})
                return [_answer(session, statement, values) for statement, values in statements]
        except BaseException:
            if not session.broken:
                session.close()
            raise
        finally:
            self._in_hand.discard(session)
            if self._is_closed:
                session.close()
            if not session.closed:
                self._idle.put((session, what))


def _answer(session: Session, statement: sql.Composed | sql.SQL, values: Values) -> Answer:
    """Ask by a cursor of the server: it takes one SELECT and nothing else, and rows that no page shows stay there."""
    with session.cursor(name="tidemark_dashboard") as cursor:
        read_any_day(cursor)
        cursor.execute(statement, values)
        rows = cursor.fetchmany(MOST_ROWS + 1)
        columns = tuple(each.name for each in cursor.description or ())
    return Answer(columns, tuple(rows[:MOST_ROWS]), is_cut=len(rows) > MOST_ROWS)


@contextmanager
def _worded(what: str, patience: timedelta) -> Iterator[None]:
    """Say of a SELECT that somebody wrote for a page what `translated` can only say of Tidemark's own statements."""
    try:
        yield
    except errors.QueryCanceled as exc:
        message = f"{what} did not answer within {patience.total_seconds():.3g} s"
        raise TransientError(message, advice="choose fewer days, or ask again when it has less to do") from exc
    except errors.DataError as exc:
        raise ConfigError(f"{what} cannot read a value: {told(exc)}", advice="check what was typed") from exc
    except (
        errors.SyntaxError,
        errors.UndefinedParameter,
        errors.WrongObjectType,
        errors.FeatureNotSupported,
    ) as exc:
        raise ConfigError(f"{what} cannot run the SELECT: {exc.diag.message_primary}", advice="mend its file") from exc
    except psycopg.ProgrammingError as exc:
        if exc.sqlstate:
            raise
        # psycopg itself: a parameter that no filter gives, or a % that stands alone.
        raise ConfigError(f"the SELECT cannot be given its parameters: {exc}", advice="write % as %%") from exc
