"""What the checks of source and warehouse share: a session that only reads, and names as people paste them."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.doctor.finding import Finding
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.encryption import is_local
from tidemark.postgres.queries import query

# SQL's keywords need quotes too. They are not looked for, because hardly anybody gives a table such a name.
PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*")


@contextmanager
def connected(url: str, name: str) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
    """Open a session that only reads; errors name the database, `source` or `warehouse`, and where it is."""
    connection = connect(url, application="tidemark doctor", only_reads=True)
    with (
        closing(connection),
        translated(f"the {name} at {where(url)}"),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        yield cursor


def one_row(cursor: psycopg.Cursor[dict[str, Any]], name: str) -> Mapping[str, Any]:
    """Give the row of one of the statements of doctor.sql that give one row."""
    return cursor.execute(query("doctor", name)).fetchone() or {}


def too_much(
    area: Literal["source", "warehouse"], cursor: psycopg.Cursor[dict[str, Any]], server: Mapping[str, Any]
) -> Iterator[Finding]:
    """Hint at a role that may do anything, and at a connection that anybody on the way can read."""
    role, connection = sql_name(server["role"]), cursor.connection
    if server["is_superuser"]:
        found = f"the role {role} is a superuser, which may do anything at all"
        yield Finding(area, "hint", found, f"tidemark doctor --sql {area} prints a role with just the rights it needs")
    # The address itself, whatever name was given for it; empty for a socket.
    if not connection.pgconn.ssl_in_use and not is_local(connection.info.hostaddr):
        found = "the connection is not encrypted: anybody on the way can read it"
        yield Finding(area, "hint", found, "take sslmode out of the URL, or set it to verify-full")


def sql_name(*parts: str) -> str:
    """Write an identifier as SQL takes it, in quotes only where it needs them: people paste what is printed here."""
    return ".".join(part if PLAIN_NAME.fullmatch(part) else sql.Identifier(part).as_string() for part in parts)
