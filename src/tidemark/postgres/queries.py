"""The engine's own SQL for PostgreSQL, kept in `sql/*.sql` under names and composed with identifiers here."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from psycopg import sql

MARK = "-- name: "


@cache
def _queries(file: str) -> Mapping[str, str]:
    text = (resources.files("tidemark") / "sql" / f"{file}.sql").read_text("utf-8")
    found = {}
    for block in text.split(MARK)[1:]:
        name, _, query = block.partition("\n")
        found[name.strip()] = query.strip().removesuffix(";")
    return found


def identifier(name: str) -> sql.Composable:
    """Quote an identifier for a query that takes values: psycopg reads a `%` in it as a place for one."""
    return sql.SQL(sql.Identifier(name).as_string().replace("%", "%%"))


def query(file: str, name: str, **parts: sql.Composable) -> sql.Composed:
    """Give the query `name` of `sql/<file>.sql` with its {parts} filled in; values go in as parameters, never here."""
    return sql.SQL(_queries(file)[name]).format(**parts)
