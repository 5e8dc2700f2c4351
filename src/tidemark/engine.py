"""The engine: one DuckDB connection, and the few pieces of its SQL that every stage needs.

Memory is bounded, so what does not fit spills into the scratch directory, which belongs to one run and is removed with it.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from tidemark.objects import Objects

MEMORY_LIMIT = "256MB"
LONGEST_LINE_BYTES = 2_097_152
PROBE = "probe"


@contextmanager
def open_engine(stores: Iterable[Objects], *, threads: int = 2, memory_limit: str = MEMORY_LIMIT) -> Iterator["Engine"]:
    """Open an engine that can read the files of `stores`, with a scratch directory that lives as long."""
    scratch = Path(tempfile.mkdtemp(prefix="tidemark-"))
    connection = duckdb.connect()
    try:
        connection.execute("set threads = ?", [threads])
        connection.execute("set memory_limit = ?", [memory_limit])
        connection.execute("set temp_directory = ?", [str(scratch / "spill")])
        connection.execute("set timezone = 'UTC'")
        connection.execute("set autoinstall_known_extensions = false")
        _register(connection, stores)
        yield Engine(connection, scratch)
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _register(connection: duckdb.DuckDBPyConnection, stores: Iterable[Objects]) -> None:
    remote = [store for store in stores if store.local_path(PROBE) is None]
    if remote:
        # fsspec and boto3 cost a tenth of a second, which a run on directories need not pay.
        from tidemark.objects.filesystem import ObjectFileSystem  # noqa: PLC0415
        from tidemark.objects.s3 import S3Objects  # noqa: PLC0415

        roots = {store.root: store for store in remote if isinstance(store, S3Objects)}
        connection.register_filesystem(ObjectFileSystem(roots))


class Engine:
    """A DuckDB connection and the scratch directory that goes with it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        self.connection = connection
        self.scratch = scratch
        self._files = 0

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement."""
        return self.connection.execute(statement, list(parameters))

    def value(self, statement: str, parameters: Sequence[object] = ()) -> object:
        """Run a statement that gives one row of one column."""
        row = self.execute(statement, parameters).fetchone()
        return row[0] if row else None

    def new_file(self, suffix: str) -> Path:
        """Name a scratch file that does not exist yet."""
        self._files += 1
        return self.scratch / f"{self._files:06d}{suffix}"

    def worker(self) -> "Engine":
        """Open a second connection to the same database for another thread, with names of its own for scratch files."""
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        return Engine(self.connection.cursor(), scratch)

    def describe(self, select: str) -> dict[str, str]:
        """Give the columns of a SELECT with their DuckDB types."""
        return {row[0]: row[1] for row in self.execute(f"describe {select}").fetchall()}


def quoted(name: str) -> str:
    """Quote an identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def names(columns: Iterable[str], prefix: str = "") -> str:
    """Quote and list identifiers, each behind `prefix` (`"l."`)."""
    return ", ".join(prefix + quoted(column) for column in columns)


def text(value: str) -> str:
    """Write a text literal."""
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def empty(columns: Mapping[str, str]) -> str:
    """Write a SELECT that has the columns and no rows."""
    fields = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in columns.items())
    return f"(select {fields} where false)"


def from_csv(paths: Sequence[Path], columns: Mapping[str, str], longest_line_bytes: int = 0) -> str:
    """Read Postgres's CSV, in which an empty field is null and a quoted empty one a text."""
    if not paths:
        return empty(columns)
    longest = f", max_line_size = {longest_line_bytes + 1}" if longest_line_bytes >= LONGEST_LINE_BYTES else ""
    return (
        f"read_csv({_list(map(str, paths))}, auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"',"
        f" nullstr = '', allow_quoted_nulls = false, new_line = '\\n', columns = {_struct(columns)}{longest})"
    )


def from_json(uris: Sequence[str], columns: Mapping[str, str]) -> str:
    """Read objects of the change log."""
    if not uris:
        return empty(columns)
    return f"read_json({_list(uris)}, format = 'newline_delimited', columns = {_struct(columns)})"


def from_parquet(uris: Sequence[str], columns: Mapping[str, str]) -> str:
    """Read data files of a Delta table; a column that an older file lacks is null in its rows."""
    if not uris:
        return empty(columns)
    fields = names(columns)
    return f"(select {fields} from read_parquet([{_literals(uris)}], union_by_name = true, hive_partitioning = false))"


def _list(values: Iterable[str]) -> str:
    return f"[{_literals(values)}]"


def _literals(values: Iterable[str]) -> str:
    return ", ".join(text(value) for value in values)


def _struct(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items()) + "}"
