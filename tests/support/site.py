"""A source, a warehouse and the command `tidemark` between them, as a process of its own."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.support.postgres import Postgres
from tidemark.embedded.generator import create_tables, fill

UNTIL = datetime(2024, 11, 15, 12, 0, tzinfo=UTC)
PATIENCE_SECONDS = 60


def filled(url: str) -> None:
    with psycopg.connect(url) as connection:
        create_tables(connection)
        fill(connection, until=UNTIL, scale=0.02)


@dataclass
class Site:
    """A source, a warehouse and the directory that the commands run in."""

    source: str
    warehouse: str
    folder: Path

    @contextmanager
    def started(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; whatever of it is left is killed at the end."""
        urls = {"TIDEMARK_SOURCE_URL": self.source, "TIDEMARK_WAREHOUSE_URL": self.warehouse}
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-W", "error", "-m", "tidemark", *arguments],
            cwd=self.folder,
            env={**os.environ, **urls, **settings},  # noqa: TID251 -- for the child, as a shell would
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str, expect: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
        with self.started(*arguments, **settings) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == expect, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str, expect: int = 0, **settings: str) -> Any:  # noqa: ANN401 -- JSON
        return json.loads(self.run(*arguments, "--json", expect=expect, **settings).stdout)

    def query(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def proxy(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give an address of the database over TCP, to which nobody listens until the second value is called."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    target = f"{options['host'][0]}/.s.PGSQL.{options.get('port', ['5432'])[0]}"
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    over = threading.Event()

    def relay(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(target)
            while not over.is_set():
                for one in select.select([client, server], [], [], 0.2)[0]:
                    block = one.recv(65536)
                    if not block:
                        return
                    (server if one is client else client).sendall(block)

    def serve() -> None:
        listener.listen()
        with suppress(OSError):
            while not over.is_set():
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    try:
        yield (
            f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}{parts.path}",
            lambda: threading.Thread(target=serve, daemon=True).start(),
        )
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE_SECONDS)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read what a command writes to stderr, up to the line that holds these words."""
    assert process.stderr is not None
    read = ""
    for line in process.stderr:
        read += line
        if words in line:
            return read
    raise AssertionError(f"the command ended without {words!r}:\n{read}")


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def batches_loaded(site: Site) -> int:
    [(count,)] = site.query(site.warehouse, "select count(*) from tidemark.batch")
    return int(count)


def new_site(new_database: Callable[..., str], postgres: Postgres, folder: Path) -> Site:
    """Make a small totesys source and an empty warehouse."""
    return Site(new_database(postgres.template("cli_totesys", filled)), new_database(), folder)
