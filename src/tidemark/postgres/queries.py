"""The statements for PostgreSQL: they come from `sql/*.sql`, and identifiers are filled in here."""

from psycopg import sql

from tidemark.named_sql import named


def identifier(*names: str) -> sql.Composable:
    """Quote an identifier for a query that takes values: psycopg reads a `%` in it as a place for one."""
    return sql.SQL(sql.Identifier(*names).as_string().replace("%", "%%"))


def quoted(name: str) -> str:
    """Quote an identifier for a statement that takes no values."""
    return sql.Identifier(name).as_string()


def query(file: str, name: str, **parts: sql.Composable) -> sql.Composed:
    """Give the query `name` of `sql/<file>.sql` with its {parts} filled in; values go in as parameters, never here."""
    return sql.SQL(named(file)[name]).format(**parts)
