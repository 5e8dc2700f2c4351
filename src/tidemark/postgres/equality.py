"""Equality: the columns in which PostgreSQL may call two values equal though their texts differ.

Tidemark tells values apart by their text, so it has to know where a database does not. The catalog of the database
knows, so there is no list of types here. The exceptions are numbers, which Tidemark compares as numbers too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.postgres.queries import query

NUMBERS = {"numeric", "real", "double precision"}


@dataclass(frozen=True)
class Unlike:
    """A column whose equality is not that of its text, and why."""

    schema: str
    table: str
    column: str
    reason: str


def unlike_text(connection: psycopg.Connection, columns: Iterable[tuple[str, str, str]]) -> list[Unlike]:
    """Find those columns whose equal values may differ in text, in the order of their names.

    Args:
        connection: a session with the database.
        columns: schema, table and name of each column in question.
    """
    schemas, tables, names = map(list, zip(*columns, strict=True)) if (columns := list(columns)) else ([], [], [])
    parameters = {"schemas": schemas, "tables": tables, "columns": names}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("equality", "unlike_text"), parameters).fetchall()
    found: dict[tuple[str, str, str], str] = {}
    for row in rows:
        if row["collation"] is not None:
            collation = sql.Identifier(row["collation"]).as_string()
            reason = f"has the collation {collation}, under which texts that differ may be equal"
        elif row["is_whole"] and row["part"] in NUMBERS:
            continue
        else:
            reason = f"is {row['type']}, and equal values of {row['part']} may differ in text"
        found.setdefault((row["schema_name"], row["table_name"], row["column_name"]), reason)
    return [Unlike(*at, reason) for at, reason in found.items()]
