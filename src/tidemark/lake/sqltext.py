"""Pieces of DuckDB's SQL, each of a type that says where it can stand: FROM item, SELECT and condition are different.

Whole statements lie under names in `sql/duckdb/*.sql`, and such pieces are filled into them here. A value reaches a
statement as a parameter; what cannot be a parameter (a path, a type, a name) is quoted here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tidemark.named_sql import filled

# The schema of working tables and of the engine's own functions.
SCHEMA = "working"
# The characters that have a meaning in a pattern of file names.
PATTERN = re.compile(r"[\[*?]")
# What a reader of lines is prepared for, whatever it is told, and how much it reads at a time.
LONGEST_LINE_BYTES = 2_097_152
BUFFER_BYTES = 8 << 20
# Every reader is prepared for such a line, which holds a row and its state before. For each thread that reads, DuckDB
# takes twice as much of the engine's memory.
LONGEST_JSON_BYTES = 16 << 20

# The beginning of each column's name that a statement puts beside a user's columns. A user's column with such a name is
# refused where it comes in, so no statement has to think of it.
OWN = "_tidemark_"


class Sql(str):
    """A piece of SQL; text becomes one only where the code says so."""

    __slots__ = ()


class Expression(Sql):
    """What gives one value for a row."""

    __slots__ = ()


class Condition(Expression):
    """An expression that is true, false or null."""

    __slots__ = ()


class Fields(Sql):
    """Columns or expressions with commas between, as a SELECT, a GROUP BY or a USING lists them."""

    __slots__ = ()


class Rows(Sql):
    """What can stand after FROM: a table, a function that reads files, a SELECT in parentheses."""

    __slots__ = ()


class Table(Rows):
    """A table that can be written to as well."""

    __slots__ = ()


class Statement(Sql):
    """What can be run."""

    __slots__ = ()


class Select(Statement):
    """A statement that yields rows."""

    __slots__ = ()

    @property
    def rows(self) -> Rows:
        """Give it as a FROM item."""
        return Rows(f"({self})")


def statement(file: str, name: str, /, **parts: Sql) -> Statement:
    """Give the statement `name` of `sql/duckdb/<file>.sql` with its {parts} filled in."""
    return Statement(filled(f"duckdb/{file}", name, parts))


def select(file: str, name: str, /, **parts: Sql) -> Select:
    """Give the SELECT `name` of `sql/duckdb/<file>.sql` with its {parts} filled in."""
    return Select(filled(f"duckdb/{file}", name, parts))


def quoted(name: str, prefix: str = "") -> Expression:
    """Quote an identifier, with `prefix` (such as `"l."`) before it."""
    escaped = name.replace('"', '""')
    return Expression(f'{prefix}"{escaped}"')


def names(columns: Iterable[str], prefix: str = "") -> Fields:
    """Quote and list identifiers, each with `prefix` (such as `"l."`) before it."""
    return listed(quoted(column, prefix) for column in columns)


def listed(parts: Iterable[Sql]) -> Fields:
    """List columns or expressions."""
    return Fields(", ".join(parts))


def named_as(expression: Sql, name: str) -> Fields:
    """Give an expression a column's name."""
    return Fields(f"{expression} as {quoted(name)}")


def tried(expression: Sql, kind: str) -> Expression:
    """Write the conversion that gives null if a value does not fit the type."""
    return Expression(f"try_cast({expression} as {kind})")


def converted(expression: Sql, kind: str) -> Expression:
    """Write the conversion that fails if a value does not fit the type."""
    return Expression(f"cast({expression} as {kind})")


def wall_clock(column: Expression) -> Expression:
    """Write a TIMESTAMP out of what a data file has for it: a moment in UTC, or in an older file the same TIMESTAMP."""
    return Expression(f"{SCHEMA}.wall_clock({column})")


def utc_moment(value: Expression) -> Expression:
    """Write what a data file has for a TIMESTAMP: the moment at which a clock in UTC shows it."""
    return Expression(f"{SCHEMA}.utc_moment({value})")


def same(key: Iterable[str], left: str, right: str) -> Condition:
    """Write the condition that the columns of a key are equal under two prefixes (such as `"l."`)."""
    return Condition(" and ".join(f"{quoted(name, left)} = {quoted(name, right)}" for name in key))


def identical(columns: Iterable[str], left: str, right: str) -> Condition:
    """Write the condition that columns are equal under two prefixes, or null under both."""
    return all_of(Condition(f"{quoted(name, left)} is not distinct from {quoted(name, right)}") for name in columns)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Join conditions that must all hold; without any, the result is true."""
    return Condition(" and ".join(each for each in conditions if each != "true") or "true")


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Join conditions, one of which is enough; without any, the result is false.

    A `false` among others is left out: beside it, DuckDB plans a join that takes half as much memory again.
    """
    return Condition(" or ".join(each for each in conditions if each != "false") or "false")


def exists(rows: Rows, alias: str, where: Condition) -> Condition:
    """Write the condition that there is a row for which `where` holds, which calls that row `alias`."""
    return Condition(f"exists ({select('files', 'one', rows=Rows(f'{rows} as {alias}'), where=where)})")


def text(value: str) -> Expression:
    """Write a text literal."""
    escaped = value.replace("'", "''")
    return Expression(f"'{escaped}'")


def number(value: int) -> Expression:
    """Write an integer."""
    return Expression(str(int(value)))


def numbers(values: Iterable[int]) -> Expression:
    """Write a list of integers."""
    return Expression(f"[{', '.join(map(number, values))}]")


def among(expression: Sql, values: Iterable[int]) -> Condition:
    """Write the condition that an integer is one of a list, which may be long."""
    return Condition(f"{expression} in (select unnest({numbers(values)}::bigint[]))")


def union_all(selects: Iterable[Select]) -> Select:
    """Write the SELECT of all rows of some SELECTs, at least one."""
    return Select(" union all ".join(selects))


def packed(columns: Iterable[str], prefix: str = "") -> Expression:
    """Write the expression that packs columns into a struct."""
    fields = ", ".join(f"{quoted(name)} := {quoted(name, prefix)}" for name in columns)
    return Expression(f"struct_pack({fields})")


def digest(columns: Iterable[str], prefix: str = "") -> Expression:
    """Write the expression of a digest of columns, which are equal only where their digests are."""
    texts = listed(converted(quoted(name, prefix), "varchar") for name in columns)
    return Expression(f"sha256(to_json([{texts}])::varchar)")


def empty(columns: Mapping[str, str]) -> Rows:
    """Write a FROM item that has the columns and no rows."""
    fields = listed(named_as(converted(Expression("null"), kind), name) for name, kind in columns.items())
    return select("files", "nothing", fields=fields).rows


def from_lines(paths: Sequence[Path], columns: Mapping[str, str], longest_line_bytes: int = 0) -> Rows:
    """Read files of lines in the text form of Postgres's COPY, each file with one line before its rows."""
    if not paths:
        return empty(columns)
    texts = {name for name, kind in columns.items() if kind == "VARCHAR"}
    values = (Expression(f"{SCHEMA}.unescaped({quoted(name)})") if name in texts else quoted(name) for name in columns)
    fields = listed(map(named_as, values, columns))
    return select("files", "fields", fields=fields, rows=from_escaped_lines(paths, columns, longest_line_bytes)).rows


def from_escaped_lines(paths: Sequence[Path], columns: Mapping[str, str], longest_line_bytes: int = 0) -> Rows:
    """Read such files with each text as it stands there, its line breaks, tabs and backslashes escaped.

    DuckDB has nothing to guess. Each line is a row, wherever a thread begins to read. The line before the rows keeps a
    row's first bytes from being taken for a mark of the file's encoding.
    """
    most = max(longest_line_bytes + 1, LONGEST_LINE_BYTES)
    # DuckDB's own buffers are 16 times as long as the longest line, and it holds several of them.
    buffer_bytes = max(BUFFER_BYTES, 2 * most)
    return Rows(
        f"read_csv({_files(map(str, paths))}, auto_detect = false, header = false, skip = 1, new_line = '\\n',"
        " delim = '\t', quote = '', escape = '', nullstr = '\\N', compression = 'none', hive_partitioning = false,"
        f" columns = {_struct(columns)}, max_line_size = {most}, buffer_size = {buffer_bytes})"
    )


def from_seed(path: Path, columns: Sequence[str]) -> Rows:
    """Read a model's constant table: a CSV file with a header, all of it text."""
    return Rows(
        f"read_csv({_files([str(path)])}, auto_detect = false, header = true, delim = ',', quote = '\"',"
        f" escape = '\"', columns = {_struct(dict.fromkeys(columns, 'VARCHAR'))}, hive_partitioning = false)"
    )


def from_json(uris: Sequence[str], columns: Mapping[str, str], longest_line_bytes: int = LONGEST_JSON_BYTES) -> Rows:
    """Read objects of the change log."""
    if not uris:
        return empty(columns)
    return Rows(
        f"read_json({_files(uris)}, format = 'newline_delimited', columns = {_struct(columns)},"
        f" compression = 'none', hive_partitioning = false, maximum_object_size = {longest_line_bytes})"
    )


def from_parquet(uris: Sequence[str], columns: Mapping[str, str]) -> Rows:
    """Read data files of a Delta table; a column that an older file lacks is null in its rows.

    A TIMESTAMP is one again, whichever way the files have it.
    """
    if not uris:
        return empty(columns)
    files = Rows(f"read_parquet({_files(uris)}, union_by_name = true, hive_partitioning = false)")
    # If all files lack a column, the FROM item without rows still names it.
    return select("files", "data_files", fields=as_kept(columns), files=files, nothing=empty(columns)).rows


def as_kept(columns: Mapping[str, str]) -> Fields:
    """List columns of a data file with the types that its table says."""
    return listed(
        named_as(wall_clock(quoted(name)), name) if kind == "TIMESTAMP" else quoted(name)
        for name, kind in columns.items()
    )


def hidden(columns: Iterable[str]) -> Fields:
    """List columns under other names, for a scratch file to which DuckDB adds a column of its own; see `shown`."""
    return listed(named_as(quoted(column), OWN + column) for column in columns)


def shown(columns: Iterable[str]) -> Fields:
    """List the columns that `hidden` renamed under their own names."""
    return listed(named_as(quoted(OWN + column), column) for column in columns)


def numbered_parquet(path: Path) -> Rows:
    """Read a scratch file of hidden columns with each row's place in it, counted from 0, as `file_row_number`."""
    return Rows(f"read_parquet({_files([str(path)])}, file_row_number = true, hive_partitioning = false)")


def scratch_parquet(paths: Iterable[Path]) -> Rows:
    """Read scratch files that have the same columns."""
    return Rows(f"read_parquet({_files(map(str, paths))}, hive_partitioning = false)")


def named_parquet(uris: Iterable[str]) -> Rows:
    """Read data files with the address of each row's file as `_tidemark_file`."""
    return Rows(
        f"read_parquet({_files(uris)}, filename = '{OWN}file', union_by_name = true, hive_partitioning = false)"
    )


def as_pattern(address: str) -> str:
    """Give the pattern that matches an address and nothing else."""
    return PATTERN.sub(r"[\g<0>]", address)


def _files(addresses: Iterable[str]) -> str:
    """List files, each by a pattern that no other file matches, because DuckDB takes every address for a pattern."""
    return f"[{listed(map(text, map(as_pattern, addresses)))}]"


def _struct(columns: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{text(name)}: {text(kind)}" for name, kind in columns.items()) + "}"
