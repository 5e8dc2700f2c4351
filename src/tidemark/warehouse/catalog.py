"""What a schema of the warehouse holds, as PostgreSQL's catalogue says, in texts that do not name the schema."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg
from psycopg.rows import dict_row

from tidemark.postgres.queries import query

NAME = r"(?:\"(?:[^\"]|\"\")+\"|\w+)"
INDEX_ON = re.compile(rf" INDEX {NAME} ON (ONLY )?{NAME}\.")
FUNCTION_IN = re.compile(rf"^(CREATE OR REPLACE (?:FUNCTION|PROCEDURE) ){NAME}\.")
# How a DBA stores an index is no business of a model.
STORAGE = re.compile(r" WITH \([^)]*\)")


@dataclass(frozen=True)
class Definition:
    """A view or a function: what it does, and what a replacement must leave as it is (columns; result, arguments)."""

    kind: str
    name: str
    text: str
    shape: Sequence[str]

    def can_become(self, other: "Definition") -> bool:
        """Say whether CREATE OR REPLACE can put another one in its place; a view may get more columns at its end."""
        known = len(self.shape) if self.kind == "view" else len(other.shape)
        return self.kind == other.kind and list(self.shape) == list(other.shape[:known])


class Right(NamedTuple):
    """What a role may do with a table, a view, a column of them, a function, or the schema."""

    kind: str
    name: str
    signature: str
    column: str | None
    grantee: str
    privilege: str
    is_grantable: bool

    def statement(self) -> str:
        """Write the statement that grants it."""
        what = f"{self.privilege.lower()} ({self.column})" if self.column else self.privilege.lower()
        option = " with grant option" if self.is_grantable else ""
        return f"grant {what} on {self.kind} {self.signature} to {self.grantee}{option}"


@dataclass(frozen=True)
class Rights:
    """All rights in a schema, and those of them that somebody has as an owner."""

    everything: frozenset[Right]
    owned: frozenset[Right]


@dataclass(frozen=True)
class Catalog:
    """The tables of a schema, and what belongs to them.

    `indexes` are those that belong to no constraint, each as the statement that makes it without its name; one that is
    not valid has none. `definitions` are the views and functions by signature, `comments` are by place with the name
    of what they are on.
    """

    tables: frozenset[str]
    indexes: Mapping[str, str]
    relations: frozenset[str]
    functions: frozenset[str]
    types: frozenset[str]
    labels: Mapping[str, Sequence[str]]
    columns: Mapping[tuple[str, str], Mapping[str, object]]
    constraints: Mapping[tuple[str, str], str]
    definitions: Mapping[str, Definition]
    comments: Mapping[str, tuple[str, str]]

    @property
    def objects(self) -> frozenset[str]:
        """Give the names of its relations, functions and types."""
        return self.relations | self.functions | self.types

    def form(self, table: str) -> list[tuple[str, object]]:
        """Give the columns of a table and their types, in order."""
        return [(column, each["type"]) for (name, column), each in self.columns.items() if name == table]


def read_catalog(connection: psycopg.Connection, schema: str) -> Catalog:
    """Read what a schema holds."""
    parameters = {"schema": schema}
    with connection.cursor(row_factory=dict_row) as cursor:
        found = {
            name: cursor.execute(query("warehouse", name), parameters).fetchall()
            for name in (
                "tables",
                "indexes",
                "relations",
                "functions",
                "types",
                "columns",
                "constraints",
                "definitions",
                "comments",
            )
        }
    return Catalog(
        frozenset(row["table_name"] for row in found["tables"]),
        {row["index_name"]: _index(row["definition"]) if row["is_valid"] else "" for row in found["indexes"]},
        frozenset(row["relation_name"] for row in found["relations"]),
        frozenset(row["function_name"] for row in found["functions"]),
        frozenset(row["type_name"] for row in found["types"]),
        {row["type_name"]: row["labels"] for row in found["types"] if row["labels"]},
        {(row["table_name"], row["column_name"]): row for row in found["columns"]},
        {(row["table_name"], row["constraint_name"]): row["definition"] for row in found["constraints"]},
        {
            row["signature"]: Definition(
                row["kind"], row["name"], FUNCTION_IN.sub(r"\1", row["definition"]), row["shape"]
            )
            for row in found["definitions"]
        },
        {row["place"]: (row["name"], row["description"]) for row in found["comments"]},
    )


def read_rights(connection: psycopg.Connection, schema: str) -> Rights:
    """Read all rights in a schema."""
    everything: set[Right] = set()
    owned: set[Right] = set()
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query("warehouse", "rights"), {"schema": schema}):
            who, column = row["grantee"], row["column_name"]
            # Who may grant a right to others has it as well.
            for is_grantable in {False, row["is_grantable"]}:
                right = Right(row["kind"], row["name"], row["signature"], column, who, row["privilege"], is_grantable)
                everything.add(right)
                if row["is_owner"]:
                    owned.add(right)
    return Rights(frozenset(everything), frozenset(owned))


def _index(definition: str) -> str:
    return STORAGE.sub("", INDEX_ON.sub(r" INDEX ON \1", definition))
