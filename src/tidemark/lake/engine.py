"""The engine: one DuckDB connection with its scratch directory.

Memory is bounded, so what does not fit spills into the scratch directory, which belongs to one run and is removed with
it. DuckDB is loaded and the connection opened when something is first asked of it, since both take a fifth of the time
of a run that finds nothing to do.
"""

import csv
import logging
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidemark.disclosure import told
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.access import shut
from tidemark.lake.engine_errors import beginning, out_of_memory, translated
from tidemark.lake.scratch import MEGABYTE, scratch_folder
from tidemark.lake.shared import Shared
from tidemark.lake.sqltext import (
    SCHEMA,
    Condition,
    Expression,
    Rows,
    Select,
    Sql,
    Statement,
    Table,
    from_seed,
    listed,
    number,
    quoted,
    select,
    statement,
    text,
)
from tidemark.memory import memory_limit, more_memory
from tidemark.objects import Objects, local_places

if TYPE_CHECKING:
    import duckdb

# Imports within functions load DuckDB or boto3.
# ruff: noqa: PLC0415
logger = logging.getLogger(__name__)
# DuckDB's default is three times as many. With fewer, it writes 9 % faster and skips more of what a key is not in; with
# still fewer, what describes them becomes longer than what is read at once of a file's end.
ROW_GROUP_ROWS = 40_960
EVERY = Condition("true")


@contextmanager
def open_engine(stores: Collection[Objects], *, threads: int = 2) -> Iterator["Engine"]:
    """Open an engine that can read the files of `stores`, with a scratch directory that is removed with it.

    It can read no other file, whatever a model's SELECT asks for.
    """
    failures: list[TidemarkError] = []
    # The connection is closed before the folder is removed: DuckDB writes there.
    with scratch_folder("engine") as scratch, ExitStack() as opened, translated(scratch, failures):

        def connect() -> "duckdb.DuckDBPyConnection":
            import duckdb

            connection = opened.enter_context(closing(duckdb.connect()))
            connection.execute("set threads = ?", [threads])
            connection.execute("set memory_limit = ?", [memory_limit()])
            connection.execute("set temp_directory = ?", [str(scratch / "spill")])
            connection.execute("set timezone = 'UTC'")
            # So that it counts how far a statement is; it prints nothing.
            connection.execute("set enable_progress_bar = true")
            connection.execute("set enable_progress_bar_print = false")
            connection.execute(statement("engine", "create_schema"))
            connection.execute(statement("copy", "create_unescaped"))
            connection.execute(statement("files", "create_wall_clock"))
            connection.execute(statement("files", "create_utc_moment"))
            _register(connection, stores, failures)
            shut(connection, [*local_places(scratch), *(place for store in stores for place in store.places())])
            return connection

        yield Engine(connect, scratch, failures, Shared(threads))


def _register(
    connection: "duckdb.DuckDBPyConnection", stores: Iterable[Objects], failures: list[TidemarkError]
) -> None:
    remote = [store for store in stores if not store.are_local]
    if remote:
        # Loading fsspec and boto3 takes a tenth of a second, which a run on directories does not need.
        from tidemark.objects.filesystem import ObjectFileSystem
        from tidemark.objects.s3 import S3Objects

        roots = {store.root: store for store in remote if isinstance(store, S3Objects)}
        connection.register_filesystem(ObjectFileSystem(roots, failures))


@dataclass
class Answer:
    """The rows that a statement gave, which are few: rows of tables go to files."""

    rows: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give all rows."""
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Give the first row, None if there is none."""
        return self.rows[0] if self.rows else None


class Engine:
    """A DuckDB connection and its scratch directory.

    `failures` holds the errors that reading S3 has raised so far. `what` is the table that the engine works on, as an
    error names it.
    """

    def __init__(
        self,
        connect: "Callable[[], duckdb.DuckDBPyConnection]",
        scratch: Path,
        failures: Sequence[TidemarkError] = (),
        shared: Shared | None = None,
        what: str = "",
    ) -> None:
        self._connect = connect
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self.scratch = scratch
        self.failures = failures
        self.what = what
        self._files = 0
        self._shared = shared or Shared()

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """Give the connection; it is opened when it is first asked for, by whichever thread does so."""
        with self._opening:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    def percent(self) -> float:
        """Say how far the statement in hand is; below zero if nobody knows. Any thread may ask, at any time."""
        # While a statement runs, nobody closes the connection.
        return self._connection.query_progress() if self._connection and self._shared.running else -1.0

    @contextmanager
    def working_on(self, what: str) -> Iterator[None]:
        """Name the table that the engine works on until the block ends."""
        before, self.what = self.what, what
        try:
            yield
        finally:
            self.what = before

    def execute(self, statement: Sql, parameters: Sequence[object] = ()) -> Answer:
        """Run one statement and fetch its rows.

        If memory does not suffice, run it again alone and on one thread, then with more memory: one that fails has done
        nothing.

        Raises:
            ConfigError: the engine may not take as much memory as the statement needs.
        """
        import duckdb

        try:
            with self._shared.beside_others():
                return self._answer(statement, parameters)
        except duckdb.OutOfMemoryException as exc:
            logger.info("%s: out of memory, so the step runs again alone: %s", self.what or "a table", told(exc))
        with self._shared.alone(self.connection):
            while True:
                try:
                    return self._answer(statement, parameters)
                except duckdb.OutOfMemoryException as exc:
                    if not self._took_more():
                        raise out_of_memory(exc, self.what, self._shared.taken_bytes) from exc

    def _answer(self, statement: Sql, parameters: Sequence[object]) -> Answer:
        # DuckDB may compute rows only when they are fetched, and run out of memory then.
        return Answer(self.connection.execute(statement, list(parameters)).fetchall())

    def _took_more(self) -> bool:
        """Take more memory, while this statement runs alone; False if there is no more."""
        more_bytes = more_memory(self._shared.taken_bytes)
        if more_bytes is None:
            return False
        shown = (self.what or "a table", memory_limit(), more_bytes // MEGABYTE)
        logger.warning("%s: a row or a step needs more than %s of memory: the engine may take %d MB now", *shown)
        self.connection.execute("set memory_limit = ?", [f"{more_bytes}B"])
        self._shared.taken_bytes = more_bytes
        return True

    def value(self, statement: Sql, parameters: Sequence[object] = ()) -> object:
        """Run a statement that gives one row of one column."""
        row = self.execute(statement, parameters).fetchone()
        return row[0] if row else None

    def count(self, rows: Rows, where: Expression = EVERY) -> int:
        """Count the rows of a FROM item for which a condition holds."""
        return int(str(self.value(select("engine", "count", rows=rows, where=where))))

    def working_tables(self) -> "WorkingTables":
        """Make working tables that exist for the length of a block; no name that a user gives can be one of them."""
        return WorkingTables(self, self._shared.numbers)

    def view(self, name: str, select: Select) -> None:
        """Make a SELECT readable by a name that the model uses."""
        self.execute(statement("engine", "create_view", name=quoted(name), select=select))

    def readable(self, place: Sequence[str], rows: Rows) -> None:
        """Make a FROM item readable by a name, which may have a schema before it."""
        *schemas, name = map(quoted, place)
        for schema in schemas:
            self.execute(statement("engine", "create_schema_of", schema=schema))
        whole = Expression(".".join([*schemas, name]))
        self.execute(statement("engine", "create_named_view", name=whole, select=select("files", "all", rows=rows)))

    def seeds(self, paths: Mapping[str, Path]) -> None:
        """Make the model's seeds readable by their names."""
        import duckdb

        for name, path in paths.items():
            with path.open(encoding="utf-8-sig", newline="") as file:
                columns = next(csv.reader(file), [])
            # The engine can read only what lies in its scratch directory.
            copy = Path(shutil.copyfile(path, self.new_file(".csv")))
            try:
                rows = from_seed(copy, columns)
                self.execute(statement("engine", "create_seed", name=quoted(name), rows=rows))
            except duckdb.Error as exc:
                message = f"the seed {path} is no CSV with a header and as many fields in each line: {beginning(exc)}"
                raise ConfigError(message, advice="separate fields by commas, and quote with double quotes") from exc

    def new_file(self, suffix: str) -> Path:
        """Name a scratch file that does not exist yet."""
        self._files += 1
        return self.scratch / f"{self._files:06d}{suffix}"

    def worker(self, what: str) -> "Engine":
        """Open a second connection to the same database for another thread, with a scratch directory of its own."""
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        cursor = self.connection.cursor()
        return Engine(lambda: cursor, scratch, self.failures, self._shared, what)

    def write_lines(self, select: Select, path: Path) -> int:
        """Write each value of a one-column SELECT as a line, and return how many there are."""
        return int(str(self.value(_copied("into_lines", select, path))))

    def write_json(self, select: Select, path: Path) -> None:
        """Write each row of a SELECT as a line of JSON."""
        self.execute(_copied("into_json", select, path))

    def write_parquet(self, select: Select, path: Path, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        """Write the rows of a SELECT as a scratch file, which is written fast rather than small."""
        self.execute(_copied("into_parquet", select, path, rows=number(row_group_rows)))

    def write_small_parquet(self, select: Select, path: Path, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        """Write the rows of a SELECT as a file that is kept, which is written small rather than fast."""
        self.execute(_copied("into_small_parquet", select, path, rows=number(row_group_rows)))

    def describe(self, select: Select) -> dict[str, str]:
        """Give the columns of a SELECT with their DuckDB types; ConfigError when two columns have one name."""
        rows = self.execute(statement("engine", "describe", select=select)).fetchall()
        counts = Counter(row[0].lower() for row in rows)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            message = f"a SELECT yields two columns {', '.join(twice)}"
            raise ConfigError(message, advice="give one of them another name: upper and lower case are the same")
        return {row[0]: row[1] for row in rows}


def _copied(name: str, select: Select, path: Path, **options: Sql) -> Statement:
    return statement("copy", name, select=select, path=text(str(path)), **options)


class WorkingTables:
    """The working tables of one block, in a schema of their own, apart from the views that a model's SELECT reads."""

    def __init__(self, engine: Engine, numbers: Iterator[int]) -> None:
        self._engine = engine
        self._numbers = numbers
        self._tables: list[Table] = []
        self._folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def empty(self, columns: Mapping[str, str]) -> Table:
        """Make a table without rows; `columns` are DuckDB types by name."""
        definitions = listed(Sql(f"{quoted(name)} {kind}") for name, kind in columns.items())
        return self._made("create_table", definitions=definitions)

    def of(self, select: Select) -> Table:
        """Make a table from the rows of a SELECT."""
        return self._made("create_table_as", select=select)

    def keep(self, folder: Path) -> None:
        """Keep a scratch folder as long as the tables; it need not exist yet."""
        self._folders.append(folder)

    def drop(self) -> None:
        """Drop all working tables of the block."""
        while self._tables:
            self._engine.execute(statement("engine", "drop_table", table=self._tables.pop()))
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)

    def _made(self, name: str, **parts: Sql) -> Table:
        table = Table(f"{SCHEMA}.t{next(self._numbers)}")
        self._engine.execute(statement("engine", name, table=table, **parts))
        self._tables.append(table)
        return table
