"""Measuring: the time and memory of a process, and the floor, which is what any copy of the source costs at least."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from tidemark.embedded import EmbeddedServer
from tidemark.embedded.generator import TABLES, create_tables

MEBIBYTE_KIBIBYTES = 1024


class FailedError(SystemExit):
    """A command that was to be measured failed; this ends the benchmark, unless it goes on without what failed.

    `ended` is its exit code, minus the number of the signal if that ended it, and `output` what it wrote.
    """

    def __init__(self, message: str, ended: int = 1, output: str = "") -> None:
        super().__init__(message)
        self.ended, self.output = ended, output


@dataclass(frozen=True)
class Measured:
    """What one process took, or several that ran one after the other; `peak_mib` is that of the largest."""

    wall_seconds: float
    cpu_seconds: float | None = None
    peak_mib: float | None = None
    rows: int = 0


def added(parts: Sequence[Measured]) -> Measured:
    """Add up processes that ran one after the other; the rows are those of the first."""
    return Measured(
        wall_seconds=sum(each.wall_seconds for each in parts),
        cpu_seconds=sum(each.cpu_seconds or 0 for each in parts),
        peak_mib=max(each.peak_mib or 0 for each in parts),
        rows=parts[0].rows,
    )


def median(runs: Sequence[Measured]) -> Measured:
    """Take the median of each figure over runs of the same work, but of memory the maximum."""
    return Measured(
        wall_seconds=statistics.median(each.wall_seconds for each in runs),
        cpu_seconds=statistics.median(each.cpu_seconds or 0 for each in runs),
        peak_mib=max(each.peak_mib or 0 for each in runs),
        rows=runs[0].rows,
    )


def run_process(command: Sequence[str], log: IO[str] | None = None) -> tuple[Measured, str]:
    """Run a command to its end; return what it took and its stdout. Its stderr goes to `log`, or to ours.

    The time is that of the whole process, with the start of the interpreter and the imports. CPU and memory are what
    the kernel counted (`wait4`), with the processes that it started and waited for, and without the database server.
    Modules are kept compiled, as on a user's machine, whatever the environment of the benchmark says.
    """
    # The processes get what this one has; nothing is read of it.
    inherited = os.environ.items()  # noqa: TID251
    environment = {name: value for name, value in inherited if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 -- our own commands, as a list
            command, stdout=output, stderr=log, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        message = f"{' '.join(command)} ended with {process.returncode}:\n{text}"
        raise FailedError(message, process.returncode, text)
    # ru_maxrss counts KiB on Linux.
    peak_mib = usage.ru_maxrss / MEBIBYTE_KIBIBYTES
    return Measured(wall_seconds, usage.ru_utime + usage.ru_stime, peak_mib), text


def drop_database(server: EmbeddedServer, name: str) -> None:
    """Drop a database if it exists, and end all connections to it."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def floor(server: EmbeddedServer, source: str, *, keys_first: bool) -> Measured:
    """Copy all tables with `psql | psql` into a database of their own, and drop it again.

    Args:
        server: Holds source and copy.
        source: The source's database.
        keys_first: Whether the foreign keys are in place while rows arrive, so that each is checked row by row.
            Otherwise they are added at the end, so that each is checked by one join. The primary keys are in place in
            both cases.
    """
    copy = "floor"
    drop_database(server, copy)
    server.create_database(copy)
    with psycopg.connect(server.url(copy), autocommit=True) as connection:
        create_tables(connection)
        restore = _take_foreign_keys(connection) if not keys_first else lambda: None
        server_is_calm(server)
        started = time.perf_counter()
        # Parents first, as `TABLES` has them.
        for table in TABLES:
            _pipe(server, source, copy, table)
        restore()
        wall_seconds = time.perf_counter() - started
        rows = sum(count(connection, table) for table in TABLES)
    drop_database(server, copy)
    return Measured(wall_seconds, rows=rows)


def count(connection: psycopg.Connection, table: str) -> int:
    """Count a table's rows."""
    row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
    return int(row[0]) if row else 0


def server_is_calm(server: EmbeddedServer) -> None:
    """Make the server write out what earlier work left behind, so that no later work pays for it."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("checkpoint")


def _pipe(server: EmbeddedServer, source: str, copy: str, table: str) -> None:
    out = [str(server.psql_path), "-qXc", f"copy {table} to stdout", server.url(source)]
    into = [str(server.psql_path), "-qXc", f"copy {table} from stdin", server.url(copy)]
    with subprocess.Popen(out, stdout=subprocess.PIPE) as reading:  # noqa: S603 -- as above
        subprocess.run(into, stdin=reading.stdout, check=True)  # noqa: S603 -- as above
    if reading.returncode:
        sys.exit(f"copying {table} out of the source ended with {reading.returncode}")


def _take_foreign_keys(connection: psycopg.Connection) -> Callable[[], None]:
    keys = connection.execute(
        "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint where contype = 'f'"
    ).fetchall()
    for table, name, _ in keys:
        connection.execute(_alter(table, "drop constraint {}", name))

    def restore() -> None:
        for table, name, definition in keys:
            connection.execute(_alter(table, f"add constraint {{}} {definition}", name))

    return restore


def _alter(table: str, what: str, name: str) -> sql.Composed:
    return sql.SQL(f"alter table {{}} {what}").format(sql.Identifier(table), sql.Identifier(name))


def size_mib(directory: Path) -> float:
    """Add up the sizes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20
