"""What every fact has beside its table: two indexes, a view of its live rows, a function of its rows at a moment.

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
# The name of each index is the fact's name and one of these.
INDEXES = ("history_key", "current_key")
# PostgreSQL cuts off a longer name, and then the name may already belong to something else.
LONGEST_NAME_BYTES = 63
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Generated:
    """An index, view or function that Tidemark makes for a fact, and the statements that make it."""

    kind: Literal["index", "view", "function"]
    name: str
    statements: tuple[str, ...]
    fact: str


def generated(model: Model) -> list[Generated]:
    """Give what a model's facts need beyond the statements of its warehouse.sql, in the order of creation."""
    statements = list(split_statements(model.warehouse_sql))
    makes = {made for statement in statements for made in (created(statement), defined(statement)) if made}
    return [
        each
        for fact in model.facts
        for each in (*_indexes(fact), _current(fact), _as_of(fact))
        if (each.kind, each.name) not in makes and is_possible(each.name)
    ]


def is_possible(name: str) -> bool:
    """Say whether PostgreSQL keeps the whole name."""
    return len(name.encode()) <= LONGEST_NAME_BYTES


def _indexes(fact: StarTable) -> Iterator[Generated]:
    key = sql.SQL(", ").join(map(sql.Identifier, fact.source_key))
    for index in INDEXES:
        name = f"{fact.name}_{index}"
        statement = query("fact_views", index, index=_name(name), fact=_name(fact.name), source_key=key)
        yield Generated("index", name, (statement.as_string(),), fact.name)


def _current(fact: StarTable) -> Generated:
    name = fact.name + CURRENT
    text = f"The live rows of {fact.name} as they stand now, one for each {_row(fact)}."
    return Generated(
        "view",
        name,
        (
            query("fact_views", "current", view=_name(name), fact=_name(fact.name)).as_string(),
            query("fact_views", "comment_on_current", view=_name(name), text=sql.Literal(text)).as_string(),
        ),
        fact.name,
    )


def _as_of(fact: StarTable) -> Generated:
    name = fact.name + AS_OF
    text = f"The live rows of {fact.name} as they stood at a moment, given in UTC."
    return Generated(
        "function",
        name,
        (
            query("fact_views", "as_of", function=_name(name), fact=_name(fact.name)).as_string(),
            query("fact_views", "comment_on_as_of", function=_name(name), text=sql.Literal(text)).as_string(),
        ),
        fact.name,
    )


def _row(fact: StarTable) -> str:
    """Say in words what one row of the fact's driving table is."""
    return fact.driving.replace("_", " ")


def _name(name: str) -> sql.Composable:
    """Write a name as a person would, in quotes only where it needs them; none that begins like these is a keyword."""
    return sql.SQL(name) if PLAIN.fullmatch(name) else sql.Identifier(name)
