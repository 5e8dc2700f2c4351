"""Pieces of DuckDB's SQL as text: identifiers, literals, and the SELECTs that read a file with given columns.

A value reaches a statement as a parameter; what cannot be one (a path, a type, a name) is quoted here.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

LONGEST_LINE_BYTES = 2_097_152
# A row with its state before. Twice as much is allocated for each thread that reads, out of the engine's memory.
LONGEST_JSON_BYTES = 16 << 20


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
        f"read_csv({_list(map(str, paths))}, auto_detect = false, header = false, new_line = '\\n',"
        " delim = ',', quote = '\"', escape = '\"',"
        f" nullstr = '', allow_quoted_nulls = false, columns = {_struct(columns)}{longest})"
    )


def from_json(uris: Sequence[str], columns: Mapping[str, str], longest_line_bytes: int = LONGEST_JSON_BYTES) -> str:
    """Read objects of the change log."""
    if not uris:
        return empty(columns)
    return (
        f"read_json({_list(uris)}, format = 'newline_delimited', columns = {_struct(columns)},"
        f" maximum_object_size = {longest_line_bytes})"
    )


def from_parquet(uris: Sequence[str], columns: Mapping[str, str]) -> str:
    """Read data files of a Delta table; a column that an older file lacks is null in its rows."""
    if not uris:
        return empty(columns)
    fields = names(columns)
    files = f"read_parquet([{_literals(uris)}], union_by_name = true, hive_partitioning = false)"
    # Where all of the files lack it, the rows that are none name it.
    return f"(select {fields} from (from {files} union all by name from {empty(columns)}))"


def _list(values: Iterable[str]) -> str:
    return f"[{_literals(values)}]"


def _literals(values: Iterable[str]) -> str:
    return ", ".join(text(value) for value in values)


def _struct(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items()) + "}"
