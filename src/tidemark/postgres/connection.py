"""Connections to PostgreSQL and the translation of its errors, for the source and the warehouse alike.

Sessions keep no state that a transaction pooler could lose: no prepared statements, no session settings, no session
locks. What a session sets, and how, is in session.py. A connection to another host is encrypted unless its URL says
otherwise.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import errors

from tidemark.disclosure import (
    HOW_TO_SEE,
    are_values_shown,
    is_of_a_function,
    is_of_rows,
    is_worded_by_a_function,
    told,
    with_known_keys,
)
from tidemark.errors import ConfigError, DataError, TidemarkError, TransientError
from tidemark.postgres.encryption import NO_TLS, advice_on_certificate, demanded_encryption, named_elsewhere
from tidemark.postgres.session import Session
from tidemark.postgres.sqlstates import AGAIN, CHECK_URL, CODE, Family, family_of

CONNECT_TIMEOUT_SECONDS = 10
CREDENTIALS = ("28", "3D")
# PostgreSQL's words for SQLSTATE 28 and 3D000, and libpq's for a server that asks for a password when there is none.
REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|(role|database) \".*\" does not exist|not permitted to log in"
    r"|no password supplied"
)
AWAY = " is away, busy or full: "
# Their detail names a key: a reference without its row, a key that is there already.
OF_KEYS = (errors.ForeignKeyViolation.sqlstate, errors.UniqueViolation.sqlstate)


def connect(
    url: str,
    *,
    application: str,
    only_reads: bool = False,
    keeps_snapshot: bool = False,
    patience_seconds: int = CONNECT_TIMEOUT_SECONDS,
) -> Session:
    """Open a session.

    Args:
        url: the database.
        application: what others see in pg_stat_activity.
        only_reads: whether the server refuses what would write.
        keeps_snapshot: whether all statements of a transaction see the same moment.
        patience_seconds: how long to wait for a server that does not answer.

    Raises:
        ConfigError: the server refuses the role, its password or the database.
        TransientError: the server cannot be reached at present.
    """
    demanded = demanded_encryption(url)
    try:
        with translated(f"the database at {where(url)}"):
            return Session.opened(
                url,
                only_reads=only_reads,
                keeps_snapshot=keeps_snapshot,
                connect_timeout=patience_seconds,
                application_name=application,
                **demanded,
            )
    except TransientError as exc:
        raise _refusal(exc, url) or exc from exc.__cause__


def _refusal(exc: TransientError, url: str) -> TidemarkError | None:
    """Give the error of a server that refuses us; None if the server is away.

    When a connection fails, libpq passes on the server's words but no SQLSTATE. If the words are not in English, a
    refusal looks like a server that is away.
    """
    facts: dict[str, Any] = dict(exc.facts)
    if facts.get("sqlstate"):
        return None
    if NO_TLS in exc.message:
        advice = "TLS is demanded of another host: turn it on in the server, or say ?sslmode=disable in the URL"
        message = exc.message.replace(AWAY, " offers no TLS: ")
        return ConfigError(message, advice=advice, **facts)
    if advice := advice_on_certificate(url, exc.message):
        return ConfigError(exc.message.replace(AWAY, " does not prove who it is: "), advice=advice, **facts)
    if REFUSED.search(exc.message):
        message = exc.message.replace(AWAY, " refuses: ")
        return ConfigError(message, advice=CHECK_URL, is_refusal=True, **facts)
    return None


def where(url: str) -> str:
    """Name a database by host and name only, for messages: no user, no password."""
    parts = urlsplit(url)
    host = parts.hostname or named_elsewhere(url) or "local socket"
    return f"{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn psycopg's errors into Tidemark's families, by SQLSTATE; in messages, `what` names the database."""
    try:
        yield
    except psycopg.Error as exc:
        error = _of_family(exc, what)
        if error is None:
            raise
        raise error from exc


def _of_family(exc: psycopg.Error, what: str) -> TidemarkError | None:
    """Translate an error into one of its family; None for a mistake in Tidemark."""
    code = exc.sqlstate or ""
    family = family_of(code) if code else _without_code(exc)
    if family is None and is_of_a_function(exc):
        family = CODE
    if family is None:
        return None
    details = [told(exc)]
    if issubclass(family.error, DataError):
        details.append(detail_of(exc))
    facts: dict[str, Any] = {"sqlstate": code}
    if are_values_shown() or not is_worded_by_a_function(exc):
        facts |= {"constraint": exc.diag.constraint_name, "table": exc.diag.table_name}
    if code.startswith(CREDENTIALS):
        facts["is_refusal"] = True
    advice = f"{family.advice}; {HOW_TO_SEE}" if hides(exc) else family.advice
    if isinstance(exc, errors.QueryCanceled):
        details += [f"({note})" for note in getattr(exc, "__notes__", ())]
        advice = f"find out who cancels Tidemark's statements (pg_cancel_backend, a pooler's timeout); {AGAIN}"
    message = f"{what}{family.words}{' '.join(filter(None, details))}"
    return family.error(message, advice=advice, **facts)


def detail_of(exc: psycopg.Error) -> str:
    """Give what the server adds to an error: a key that is missing or there twice, else only if values are shown.

    Of a key that is none of the model, such as a unique address, the values are hidden as well.
    """
    names_a_key = exc.sqlstate in OF_KEYS and not is_worded_by_a_function(exc)
    is_known = are_values_shown() or not is_of_rows(exc) or names_a_key
    detail = (exc.diag.message_detail or "") if is_known else ""
    if names_a_key:
        table = exc.diag.table_name if isinstance(exc, errors.UniqueViolation) else None
        detail = with_known_keys(detail, table or None)
    return "; ".join(detail.splitlines())


def hides(exc: psycopg.Error) -> bool:
    """Say whether the text of an error is shown without the values that it quotes."""
    said = (told(exc), detail_of(exc)) != (exc.diag.message_primary or told(exc), exc.diag.message_detail or "")
    return is_of_rows(exc) and not are_values_shown() and said


def _without_code(exc: psycopg.Error) -> Family | None:
    """Give the family of an error that libpq or psycopg found, so that no server gave it an SQLSTATE."""
    if isinstance(exc, psycopg.OperationalError):
        return family_of(errors.ConnectionException.sqlstate or "")
    if isinstance(exc, psycopg.DataError):
        return family_of(errors.DataException.sqlstate or "")
    return None
