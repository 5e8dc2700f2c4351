"""A person's own query on the warehouse: one statement, in a transaction that only reads and is rolled back.

The text goes to the server as it is, by the extended protocol, which takes one statement. The server first says what it
would give: what gives no rows, such as COPY to a file or DO, is refused before it runs. Values come as PostgreSQL's
text, and rows as they are asked for.
"""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import cast

import psycopg
from psycopg import capabilities, errors, generators
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from tidemark.answers import (
    ONLY_READS,
    Answer,
    AnswerColumn,
    Position,
    Row,
    encoded,
    refused,
    require_one,
    without_parameters,
)
from tidemark.disclosure import HOW_TO_SEE, are_values_shown, is_worded_by_a_function, told
from tidemark.errors import TidemarkError, TransientError
from tidemark.postgres.connection import connect, hides, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session
from tidemark.postgres.sqlstates import family_of
from tidemark.postgres.statements import bare, split_statements
from tidemark.postgres.waits import AGAINST_READERS, naming_holders

# How many rows come at a time, where libpq can do that.
CHUNK_ROWS = 1_000
READ_ONLY = "25006"


@contextmanager
def ask_warehouse(url: str, statement: str) -> Iterator[Answer]:
    """Run a statement that gives rows; if the block ends early, the server stops working on it.

    Raises:
        ConfigError: the server refuses the statement, or it is no single statement that gives rows.
        TransientError: the warehouse is away or busy.
    """
    what = f"the warehouse at {where(url)}"
    text = encoded(statement)
    if not bare(statement):
        require_one(what, 0)
    with closing(connect(url, application="tidemark sql", only_reads=True)) as session:
        waiting = naming_holders(session, what, modes=AGAINST_READERS)
        # A setting that the statement changes, even for the session, is taken back as well.
        with translated(what), waiting, _refused(what, statement), session.transaction(force_rollback=True):
            columns = _described(session, what, text)
            cursor = session.cursor()
            _read_as_text(cursor)
            size = CHUNK_ROWS if capabilities.has_stream_chunked() else 1
            with closing(cast("Generator[Row]", cursor.stream(text, size=size))) as rows:
                yield Answer(columns, rows)


def _described(session: Session, what: str, text: bytes) -> tuple[AnswerColumn, ...]:
    """Have the server read the statement, which does not run it, and say which columns it would give."""
    connection = session.pgconn
    connection.send_prepare(b"", text)
    _checked(session.wait(generators.execute(connection)))
    connection.send_describe_prepared(b"")
    found = _checked(session.wait(generators.execute(connection)))
    without_parameters(what, found.nparams)
    if not found.nfields:
        raise refused(what, "it gives no rows", position=None, advice=ONLY_READS)
    numbers = range(found.nfields)
    types = {"oids": [found.ftype(each) for each in numbers], "modifiers": [found.fmod(each) for each in numbers]}
    kinds = session.execute(query("asking", "type_names"), types).fetchall()
    names = [(found.fname(each) or b"").decode("utf-8", "backslashreplace") for each in numbers]
    return tuple(AnswerColumn(name, kind) for name, (kind,) in zip(names, kinds, strict=True))


def _checked(results: list[PGresult]) -> PGresult:
    if results[0].status == ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(results[0])
    return results[0]


class _Text(Loader):
    """A value as the server wrote it; bytes that are no text, as a database in SQL_ASCII may hold, are escaped."""

    def load(self, data: Buffer) -> str:
        """Read a value."""
        return bytes(data).decode("utf-8", "backslashreplace")


def _read_as_text(cursor: psycopg.Cursor[Row]) -> None:
    # What has no loader of its own, such as a type of the database's, has that of 0.
    kinds = {0, *(oid for kind in cursor.adapters.types for oid in (kind.oid, kind.array_oid))}
    for oid in kinds:
        cursor.adapters.register_loader(oid, _Text)


@contextmanager
def _refused(what: str, statement: str) -> Iterator[None]:
    """Turn an error of the statement into a ConfigError with the server's words and the place of the mistake."""
    try:
        yield
    except psycopg.Error as exc:
        error = _refusal(exc, what, statement)
        if error is None:
            raise
        raise error from exc


def _refusal(exc: psycopg.Error, what: str, statement: str) -> TidemarkError | None:
    """Give the error; None for one that has another cause than the statement, such as a server that shuts down."""
    code = exc.sqlstate or ""
    family = family_of(code)
    if not code or (family and issubclass(family.error, TransientError) and code != READ_ONLY):
        return None
    at = exc.diag.statement_position
    if isinstance(exc, errors.SyntaxError) and not at:
        # So the server speaks of a second statement, in its own language.
        require_one(what, max(2, len(list(split_statements(statement)))))
    is_own = bool(at) and not is_worded_by_a_function(exc)
    # With a place in the statement, the server quotes the statement; otherwise it may quote a row.
    said = " ".join((exc.diag.message_primary or "").split()) if is_own else told(exc)
    advice = exc.diag.message_hint if is_own or are_values_shown() else None
    if code == READ_ONLY:
        advice = ONLY_READS
    elif not is_own and hides(exc):
        advice = HOW_TO_SEE
    position = Position.of(statement, int(at)) if at else None
    return refused(what, said, position=position, advice=advice or "", sqlstate=code)
