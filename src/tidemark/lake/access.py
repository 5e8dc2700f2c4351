"""What the engine may reach: the files of its stores and of its scratch directory, and nothing else of this machine.

A model's SELECT runs in the engine, and its rows are stored and shown. Without this, `read_text('/etc/hostname')` is a
column like any other. DuckDB compares the place to which a path leads, so a link out of the lake leads to nothing.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tidemark.lake.sqltext import as_pattern

if TYPE_CHECKING:
    import duckdb

# Turned off for good by the last two statements: DuckDB takes back neither of them while the database is open.
SHUT = (
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    "set allow_community_extensions = false",
    # A name in FROM is never a variable of the Python code that runs the statement.
    "set python_enable_replacements = false",
    # The engine takes more memory for a long row, and a first poll runs on one thread.
    "set allowed_configs = ['memory_limit', 'threads']",
    "set enable_external_access = false",
    "set lock_configuration = true",
)


def shut(connection: "duckdb.DuckDBPyConnection", places: Iterable[str] = ()) -> None:
    """Let a database reach only what lies below some directories and URLs, and keep its settings as they are."""
    # A file is looked for by a pattern, and DuckDB asks for the pattern first, as if it were a path.
    allowed = {spelled for place in places for spelled in (place, as_pattern(place))}
    connection.execute("set allowed_directories = ?", [sorted(allowed)])
    for statement in SHUT:
        connection.execute(statement)
