"""A session with PostgreSQL whose every transaction begins with the same settings, whoever set others.

Role, database, server, URL and PG* variables all give a session settings, and many of them change the bytes of a value
or a rule by which a statement runs. Each transaction sets them for itself (`set local`), and its BEGIN names isolation
and access. So a pooler in transaction mode can neither lose them nor hand them on to another client. The encoding alone
is a parameter of the connection; poolers keep that one for each client (decision 0016).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Self

import psycopg
from psycopg import IsolationLevel, errors, sql
from psycopg.abc import ConnParam, Params, QueryNoTemplate
from psycopg.conninfo import make_conninfo
from psycopg.copy import Writer
from psycopg.pq import TransactionStatus
from psycopg.rows import Row, TupleRow

from tidemark.postgres import queries
from tidemark.postgres.session_settings import ENCODING, SETTINGS, SINCE

LOCK_TIMEOUT = "5min"
SHOWN_LETTERS = 80


class SessionCursor(psycopg.Cursor[Row]):
    """A cursor that runs nothing outside of a transaction, and notes in an error which statement failed."""

    def execute(  # type: ignore[override]  # a Template needs Python 3.14
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Run a statement; outside of a transaction, in one of its own."""
        with self._settled(), _noting(query):
            return super().execute(query, params, prepare=prepare, binary=binary)

    @contextmanager
    def copy(  # type: ignore[override]  # as above
        self, statement: QueryNoTemplate, params: Params | None = None, *, writer: Writer | None = None
    ) -> Iterator[psycopg.Copy]:
        """Run a COPY; outside of a transaction, in one of its own."""
        with self._settled(), _noting(statement), super().copy(statement, params, writer=writer) as copy:
            yield copy

    def _settled(self) -> AbstractContextManager[object]:
        is_within = self.connection.info.transaction_status != TransactionStatus.IDLE
        return nullcontext() if is_within else self.connection.transaction()


class Session(psycopg.Connection[TupleRow]):
    """A connection in autocommit mode with the settings above.

    `lock_timeout` is how long a statement waits for a lock. `search_path` names the schemas in which names are looked
    up after PostgreSQL's own; None leaves that to the database, whose owner says there where tables lie.
    """

    lock_timeout: str = LOCK_TIMEOUT
    search_path: Sequence[str] | None = None

    @classmethod
    def opened(cls, url: str, *, only_reads: bool, keeps_snapshot: bool, **parameters: ConnParam) -> Self:
        """Connect.

        Args:
            url: the database.
            only_reads: whether the server refuses what would write.
            keeps_snapshot: whether all statements of a transaction see the same moment.
            parameters: what libpq takes beside the URL.
        """
        conninfo = make_conninfo(url, **(parameters | {"client_encoding": ENCODING}))
        session = cls.connect(conninfo, autocommit=True, prepare_threshold=None, cursor_factory=SessionCursor)
        is_standby = session.info.parameter_status("in_hot_standby") == "on"
        session.read_only = only_reads or is_standby
        session.isolation_level = IsolationLevel.REPEATABLE_READ if keeps_snapshot else IsolationLevel.READ_COMMITTED
        return session

    @contextmanager
    def transaction(
        self,
        savepoint_name: str | None = None,
        force_rollback: bool = False,  # noqa: FBT001, FBT002 -- the signature is psycopg's
    ) -> Iterator[psycopg.Transaction]:
        """Open a transaction with the settings; within one, set a savepoint."""
        is_outermost = self.info.transaction_status == TransactionStatus.IDLE
        with ExitStack() as stack:
            try:
                transaction = stack.enter_context(super().transaction(savepoint_name, force_rollback))
            except errors.FeatureNotSupported as exc:
                # Behind a pooler we do not hear that the server is a standby, until it refuses `read write`.
                raise errors.ReadOnlySqlTransaction(str(exc)) from exc
            if is_outermost:
                self.execute(self._settings())
            yield transaction

    @contextmanager
    def one_snapshot(self, lock_timeout: str) -> Iterator[None]:
        """Open a transaction that only reads and whose statements all see the same moment."""
        before = self.isolation_level, self.read_only, self.lock_timeout
        self.isolation_level, self.read_only, self.lock_timeout = IsolationLevel.REPEATABLE_READ, True, lock_timeout
        try:
            with self.transaction():
                yield
        finally:
            if not self.closed:
                self.isolation_level, self.read_only, self.lock_timeout = before

    def _settings(self) -> sql.Composed:
        """Write the statements that set everything; SET takes no snapshot, so a poll can still lock its tables."""
        major = self.info.server_version // 10000
        known = {name: value for name, value in SETTINGS.items() if major >= SINCE.get(name, 0)}
        values: dict[str, sql.Composable] = {name: sql.Literal(value) for name, value in known.items()}
        values["lock_timeout"] = sql.Literal(self.lock_timeout)
        if self.search_path is not None:
            values["search_path"] = sql.SQL(", ").join(map(sql.Identifier, self.search_path))
        each = [
            queries.query("session", "set_local", setting=sql.SQL(name), value=value) for name, value in values.items()
        ]
        if self.search_path is None:
            each.append(queries.query("session", "builtins_first"))
        if not self.read_only:
            each.append(queries.query("session", "commit_durably"))
        return sql.SQL("; ").join(each)


@contextmanager
def _noting(statement: object) -> Iterator[None]:
    """Add to an error the first words of the statement that failed."""
    try:
        yield
    except psycopg.Error as exc:
        if not getattr(exc, "__notes__", ()):
            exc.add_note(first_words(statement))
        raise


def first_words(statement: object) -> str:
    """Give the beginning of a statement on one line, for a message."""
    text = statement.as_string() if isinstance(statement, sql.Composable) else statement
    words = " ".join((text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).split())
    return words if len(words) <= SHOWN_LETTERS else f"{words[: SHOWN_LETTERS - 1]}…"
