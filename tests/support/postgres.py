"""A PostgreSQL server for the tests, and databases cloned from templates.

The server never waits for the disk (fsync off): a crash of the machine would destroy it, a test never notices.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.scratch import GIBIBYTE, folder_in_memory
from tidemark.embedded import EmbeddedServer

FAST_AND_VOLATILE = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_prepared_transactions": "20",
    "max_connections": "100",
}


class Postgres:
    """A running server whose databases are made, cloned and dropped by name."""

    def __init__(self, server: EmbeddedServer, administrator: psycopg.Connection) -> None:
        self._server = server
        self._administrator = administrator
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    @property
    def programs(self) -> Path:
        """Return the folder of psql and the server's other programs."""
        return self._server.psql_path.parent

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, as the superuser `postgres`."""
        return self._server.url(database)

    def create(self, template: str | None = None, *, name: str | None = None) -> str:
        """Create a database as a copy of `template`, to which nobody may be connected, and return its name."""
        name = name or f"test_{next(self._numbers)}"
        # Copying the files takes a quarter of the time in which the server would copy and log each block.
        statement = sql.SQL("create database {} template {} strategy file_copy")
        self._administrator.execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template1")))
        return name

    def drop(self, name: str) -> None:
        """Drop a database whoever is connected to it."""
        self._administrator.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def template(self, name: str, build: Callable[[str], object]) -> str:
        """Return the database that `build`, given its address, has filled; it is built once for a name."""
        if name not in self._templates:
            database = self.create()
            build(self.url(database))
            self._templates[name] = database
        return self._templates[name]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server in a directory of its own; both are gone afterwards."""
    # Not below pytest's own: as root, another pytest that starts closes that to the user that the server runs as.
    with (
        tempfile.TemporaryDirectory(
            prefix="tidemark-pg-", dir=folder_in_memory(4 * GIBIBYTE), ignore_cleanup_errors=True
        ) as folder,
        EmbeddedServer(folder) as server,
    ):
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            for name, value in FAST_AND_VOLATILE.items():
                connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        server.stop()  # some of them are read at the start alone
        server.start()
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            yield Postgres(server, connection)
