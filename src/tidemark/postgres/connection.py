"""Connections to PostgreSQL and the translation of its errors, for the source and the warehouse alike.

Sessions keep no state that a transaction pooler could lose: no prepared statements, no session settings, no session
locks. What a session sets, and how, is in session.py. A connection to another host is encrypted unless its URL says
otherwise.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict

from tidemark.disclosure import HOW_TO_SEE, are_values_shown, is_of_rows, told
from tidemark.errors import ConfigError, DataError, TidemarkError, TransientError
from tidemark.postgres.session import Session
from tidemark.postgres.sqlstates import AGAIN, CHECK_URL, Family, family_of

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
NO_TLS = "server does not support SSL"
# libpq's default: use TLS if the server offers it, and do without TLS if somebody hides that offer.
LIBPQ_SSLMODE = "prefer"


def connect(url: str, *, application: str, only_reads: bool = False, keeps_snapshot: bool = False) -> Session:
    """Open a session.

    Args:
        url: the database.
        application: what others see in pg_stat_activity.
        only_reads: whether the server refuses what would write.
        keeps_snapshot: whether all statements of a transaction see the same moment.

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
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                application_name=application,
                **demanded,
            )
    except TransientError as exc:
        raise _refusal(exc, is_demanded=bool(demanded)) or exc from exc.__cause__


def _refusal(exc: TransientError, *, is_demanded: bool) -> TidemarkError | None:
    """Give the error of a server that refuses us; None if the server is away.

    When a connection fails, libpq passes on the server's words but no SQLSTATE. If the words are not in English, a
    refusal looks like a server that is away.
    """
    facts: dict[str, Any] = dict(exc.facts)
    if facts.get("sqlstate"):
        return None
    if NO_TLS in exc.message and is_demanded:
        advice = "TLS is demanded of another host: turn it on in the server, or say ?sslmode=disable in the URL"
        message = exc.message.replace(AWAY, " offers no TLS: ")
        return ConfigError(message, advice=advice, **facts)
    if REFUSED.search(exc.message):
        message = exc.message.replace(AWAY, " refuses: ")
        return ConfigError(message, advice=CHECK_URL, is_refusal=True, **facts)
    return None


def demanded_encryption(url: str) -> dict[str, Any]:
    """Give what to add to a URL so that the connection is encrypted: `sslmode`, unless somebody has chosen one.

    Nothing is added if the server is on this machine, or if it would weaken what libpq's variables or a root
    certificate demand.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Connecting raises the same error, and there it is translated.
        return {}
    defaults = {each.keyword.decode(): (each.val or b"").decode() for each in pq.Conninfo.get_defaults()}
    hosts = str(given.get("host") or given.get("hostaddr") or defaults.get("host", "")).split(",")
    is_chosen = "sslmode" in given or defaults.get("sslmode", LIBPQ_SSLMODE) != LIBPQ_SSLMODE
    # With the system's certificates, libpq accepts nothing weaker than verify-full.
    is_strict = "system" in {given.get("sslrootcert"), defaults.get("sslrootcert")}
    if is_chosen or is_strict or all(map(is_local, hosts)):
        return {}
    return {"sslmode": "require"}


def proven_by(url: str, sslrootcert: str) -> str:
    """Add to a URL that its server must prove its identity by these certificates, unless it is on this machine.

    What the URL itself says about encryption stays.

    Raises:
        ConfigError: there is no such file; libpq would report this only as a connection that failed.
    """
    if sslrootcert != "system" and not Path(sslrootcert).is_file():
        message = f"expected a file with the certificates of authorities, got {sslrootcert!r}, which is no file"
        advice = "set TIDEMARK_SSLROOTCERT or --sslrootcert; `system` means the certificates that this machine trusts"
        raise ConfigError(message, advice=advice)
    given = conninfo_to_dict(url)
    if all(map(is_local, str(given.get("host") or given.get("hostaddr") or "").split(","))):
        return url
    added = {"sslmode": "verify-full", "sslrootcert": sslrootcert}
    missing = {name: value for name, value in added.items() if name not in given}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(missing)}" if missing else url


def is_local(host: str) -> bool:
    """Say whether a host of a connection is this machine: a socket, or an address that never leaves it."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def where(url: str) -> str:
    """Name a database by host and name only, for messages: no user, no password."""
    parts = urlsplit(url)
    host = parts.hostname or "local socket"
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
    """Give the error of the family to which an error belongs; None for a mistake in Tidemark."""
    code = exc.sqlstate or ""
    family = family_of(code) if code else _without_code(exc)
    if family is None:
        return None
    details = [told(exc)]
    if issubclass(family.error, DataError):
        details.append(detail_of(exc))
    facts: dict[str, Any] = {"sqlstate": code, "constraint": exc.diag.constraint_name, "table": exc.diag.table_name}
    if code.startswith(CREDENTIALS):
        facts["is_refusal"] = True
    advice = f"{family.advice}; {HOW_TO_SEE}" if hides(exc) else family.advice
    if isinstance(exc, errors.QueryCanceled):
        details += [f"({note})" for note in getattr(exc, "__notes__", ())]
        advice = f"find out who cancels Tidemark's statements (pg_cancel_backend, a pooler's timeout); {AGAIN}"
    message = f"{what}{family.words}{' '.join(filter(None, details))}"
    return family.error(message, advice=advice, **facts)


def detail_of(exc: psycopg.Error) -> str:
    """Give what the server adds to an error: a key that is missing or there twice, else only if values are shown."""
    is_known = are_values_shown() or not is_of_rows(exc) or exc.sqlstate in OF_KEYS
    return "; ".join((exc.diag.message_detail or "").splitlines()) if is_known else ""


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
