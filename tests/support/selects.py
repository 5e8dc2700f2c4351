"""A model's SELECTs over a source's rows, typed as the engine presents them but without the engine."""

from pathlib import Path

import duckdb
import psycopg
from psycopg import sql

KEPT = {"smallint", "integer", "bigint", "boolean", "date"}
RENAMED = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
COLUMNS = """
    select column_name, data_type, numeric_precision, numeric_scale
    from information_schema.columns
    where table_schema = %s and table_name = %s
    order by ordinal_position
"""


def presented_type(name: str, precision: int | None, scale: int | None) -> str:
    """Return DuckDB's type for a column of PostgreSQL's type `name`; what is not listed is text."""
    if name == "numeric":
        return f"decimal({precision}, {scale})" if precision else "decimal(38, 18)"
    return name if name in KEPT else RENAMED.get(name, "varchar")


def present(source: psycopg.Connection, duck: duckdb.DuckDBPyConnection, table: str, folder: Path) -> None:
    """Copy a table, `schema.name` or `name`, with its rows into DuckDB under its plain name."""
    schema, _, name = table.rpartition(".")
    columns = source.execute(COLUMNS, (schema or "public", name)).fetchall()
    file = folder / f"{name}.csv"
    copy = sql.SQL("copy {} to stdout (format csv, header, force_quote *)").format(
        sql.Identifier(schema or "public", name)
    )
    with file.open("wb") as target, source.cursor().copy(copy) as rows:
        target.writelines(rows)
    casts = ", ".join(
        f'cast("{column}" as {presented_type(kind, precision, scale)}) as "{column}"'
        for column, kind, precision, scale in columns
    )
    # An unquoted nothing is null and a quoted one is an empty text, as PostgreSQL wrote them.
    duck.execute(
        f"create table {name} as select {casts} from read_csv(?, header = true, all_varchar = true, delim = ',', "
        """quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false, new_line = '\\n')""",
        [str(file)],
    )


def present_seed(duck: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Make a seed readable by its name, all of it text."""
    duck.execute(
        f"create table {file.stem} as select * from read_csv(?, header = true, all_varchar = true)",
        [str(file)],
    )
