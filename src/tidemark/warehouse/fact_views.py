"""What every table of versions has: two indexes, a view of its live rows, a function of its rows at a moment.

They follow from the model, so its warehouse.sql need not define them. What warehouse.sql defines under one of these
names is used instead.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from tidemark.model import Model, StarTable
from tidemark.postgres.queries import query
from tidemark.postgres.statements import created, defined, split_statements

CURRENT, AS_OF = "_current", "_as_of"
# The name of each index is the table's name and one of these.
INDEXES = ("history_key", "current_key")
# PostgreSQL cuts off a longer name, and then the name may already belong to something else.
LONGEST_NAME_BYTES = 63
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Generated:
    """An index, view or function that Tidemark makes for a table of versions, and the statements that make it."""

    kind: Literal["index", "view", "function"]
    name: str
    statements: tuple[str, ...]
    table: str


def generated(model: Model) -> list[Generated]:
    """Give what a model's tables of versions need beyond its warehouse.sql, in the order of creation."""
    statements = list(split_statements(model.warehouse_sql))
    makes = {made for statement in statements for made in (created(statement), defined(statement)) if made}
    return [
        each
        for star in model.versioned
        if not star.mirror
        for each in (*_indexes(star), _current(star), _as_of(star))
        if (each.kind, each.name) not in makes and is_possible(each.name)
    ]


def is_possible(name: str) -> bool:
    """Say whether PostgreSQL keeps the whole name."""
    return len(name.encode()) <= LONGEST_NAME_BYTES


def _indexes(star: StarTable) -> Iterator[Generated]:
    key = sql.SQL(", ").join(map(sql.Identifier, star.source_key))
    for index in INDEXES:
        name = f"{star.name}_{index}"
        statement = query("fact_views", index, index=_name(name), fact=_name(star.name), source_key=key)
        yield Generated("index", name, (statement.as_string(),), star.name)


def _current(star: StarTable) -> Generated:
    name = star.name + CURRENT
    text = f"The live rows of {star.name} as they stand now, one for each {_row(star)}."
    return Generated(
        "view",
        name,
        (
            query("fact_views", "current", view=_name(name), fact=_name(star.name)).as_string(),
            query("fact_views", "comment_on_current", view=_name(name), text=sql.Literal(text)).as_string(),
        ),
        star.name,
    )


def _as_of(star: StarTable) -> Generated:
    name = star.name + AS_OF
    text = f"The live rows of {star.name} as they stood at a moment, given in UTC."
    return Generated(
        "function",
        name,
        (
            query("fact_views", "as_of", function=_name(name), fact=_name(star.name)).as_string(),
            query("fact_views", "comment_on_as_of", function=_name(name), text=sql.Literal(text)).as_string(),
        ),
        star.name,
    )


def _row(star: StarTable) -> str:
    """Say in words what the versions are of: a row of a fact's driving table, or of the dimension."""
    return (star.driving or star.short_name).replace("_", " ")


def _name(name: str) -> sql.Composable:
    """Write a name as a person would, in quotes only where it needs them; none that begins like these is a keyword."""
    return sql.SQL(name) if PLAIN.fullmatch(name) else sql.Identifier(name)
