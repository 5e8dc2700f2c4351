"""What others made over the warehouse's tables, and what stands in the way of a change because of it.

A column that a view uses cannot get another type. Tidemark's own views are dropped and made again. What somebody else
made is never dropped: it is named before anything is changed, with the statements to type.
"""

from collections.abc import Sequence

import psycopg
from psycopg.rows import dict_row

from tidemark.errors import ConfigError
from tidemark.postgres.queries import query

DUMP = "pg_dump "


def require_free(
    connection: psycopg.Connection,
    retyped: Sequence[tuple[str, str]],
    views: Sequence[str],
    functions: Sequence[str] = (),
) -> None:
    """Raise ConfigError where something depends on columns that get another type, or on views that are dropped.

    Args:
        connection: the warehouse.
        retyped: the columns, each with its table, which is quoted.
        views: the views, quoted, which do not count as something that depends.
        functions: functions that do not count either, quoted and with the types of their arguments.
    """
    values = {
        "tables": [table for table, _ in retyped],
        "columns": [column for _, column in retyped],
        "views": list(views),
    }
    if not (retyped or views):
        return
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("dependents", "dependents"), values).fetchall()
    rows = [row for row in rows if row["name"] not in functions]
    if not rows:
        return
    columns = ", ".join(f"{table}.{column}".replace('"', "") for table, column in retyped)
    why = f"before {columns} can get another type" if retyped else "before the model's views can be made again"
    named = [
        f"{row['kind']} {row['name']}{' of ' + row['owner'] if row['owner'] else ''} has to go {why}" for row in rows
    ]
    dumped = [row["definition"].removeprefix(DUMP) for row in rows if row["definition"].startswith(DUMP)]
    # Those that others depend on are made again first.
    shown = [f"{row['definition']};" for row in reversed(rows) if not row["definition"].startswith(DUMP)]
    drops = [f"{row['drop_statement']};" for row in rows if row["drop_statement"]]
    keep = [f"{DUMP}{' '.join(dumped)} > kept.sql"] if dumped else []
    advice = (
        f"keep what they are: {' '.join([*keep, *shown])}\n"
        f"then drop them in this order: {' '.join(drops)}\n"
        f"then run this again, and make them again{': psql --file=kept.sql' if dumped else ''}. Nothing was changed"
    )
    raise ConfigError.of(named, advice=advice)


def rights_of(connection: psycopg.Connection, views: Sequence[str]) -> list[str]:
    """Write the statements that give views, which are dropped and made again, the owner and rights that they have."""
    if not views:
        return []
    return [row[0] for row in connection.execute(query("dependents", "rights_of_views"), {"views": list(views)})]


def rights_of_functions(connection: psycopg.Connection, functions: Sequence[str]) -> list[str]:
    """Write the statements that give functions, which are dropped and made again, the owner and rights they have."""
    if not functions:
        return []
    values = {"functions": list(functions)}
    return [row[0] for row in connection.execute(query("dependents", "rights_of_functions"), values)]
