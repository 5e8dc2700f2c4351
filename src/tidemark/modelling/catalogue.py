"""What a source's catalogue says of its tables: columns, keys, references, and what keeps a column of time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tidemark.capture.kinds import FIT, MATERIALIZED, NAMES
from tidemark.capture.snapshot import places as places_of
from tidemark.log.columns import Column, broken_terms
from tidemark.mirror import Scope
from tidemark.model import SourceTable
from tidemark.objects import is_key
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query

Place = tuple[str, str]


@dataclass(frozen=True)
class Reference:
    """A foreign key, from columns of one table to columns of another; both in the order of the constraint."""

    columns: tuple[str, ...]
    table: Place
    other_columns: tuple[str, ...]
    is_valid: bool


@dataclass(frozen=True)
class Relation:
    """A table as the catalogue has it; `stampers` are the texts of the functions that run before a row's update."""

    schema: str
    name: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    is_primary: bool = True
    references: tuple[Reference, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    stampers: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        """Give schema and name."""
        return self.schema, self.name


@dataclass(frozen=True)
class Catalogue:
    """The tables that can be source tables, and those that cannot, each with the reason."""

    database: str
    tables: tuple[Relation, ...]
    left_out: Mapping[Place, str]


def read_catalogue(url: str, scope: Scope) -> Catalogue:
    """Ask a source for its tables; raise TransientError if it cannot be reached."""
    with (
        closing(connect(url, application="tidemark model", only_reads=True, keeps_snapshot=True)) as session,
        translated(f"the source at {where(url)}"),
        session.transaction(),
        session.cursor(row_factory=dict_row) as cursor,
    ):
        # The rows of a partition are those of its table.
        whole = [row for row in asked(cursor, "tables") if not row["is_partition"]]
        rows = [row for row in whole if scope.takes(row["schema_name"], row["table_name"])]
        left_out = {(row["schema_name"], row["table_name"]): why for row in rows if (why := _unfit(row))}
        left_out |= _same_names(rows, left_out)
        fit = [row for row in rows if (row["schema_name"], row["table_name"]) not in left_out]
        found = {relation.place: relation for relation in _relations(cursor, fit)}
        left_out |= {place: why for place, relation in found.items() if (why := _unreadable(relation))}
        database = session.info.dbname
    tables = tuple(relation for place, relation in found.items() if place not in left_out)
    return Catalogue(database, tables, left_out)


def asked(cursor: psycopg.Cursor[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Give the rows of a statement of modelling.sql."""
    return cursor.execute(query("modelling", name)).fetchall()


def _unfit(row: Mapping[str, Any]) -> str:
    """Say why a relation cannot be a source table; empty where it can."""
    kind = str(row["kind"])
    if kind not in FIT:
        return f"it is {NAMES[kind]}, which has no key"
    if kind == MATERIALIZED:
        return "it is a materialised view: add it by hand, with a unique index, if its rows are needed"
    if row["parent"]:
        return f"it inherits from {row['parent']}, which shows its rows as well"
    if not row["may_select"]:
        return "the role may not read it"
    if row["is_filtered"]:
        return "a policy hides rows of it from the role: read it as its owner, or as a role with bypassrls"
    return ""


def _same_names(rows: Sequence[Mapping[str, Any]], left_out: Mapping[Place, str]) -> dict[Place, str]:
    """Find tables whose name another table has: a model tells its source tables apart by name, without case."""
    first: dict[bytes, Place] = {}
    found: dict[Place, str] = {}
    for row in rows:
        place = str(row["schema_name"]), str(row["table_name"])
        if place in left_out:
            continue
        known = first.setdefault(place[1].encode().lower(), place)
        if known != place:
            found[place] = f"{'.'.join(known)} has its name: read one of the two through a table with another name"
        elif place[1].lower() == "calendar":
            found[place] = "the engine's days have its name: read it under another name"
    return found


def _relations(cursor: psycopg.Cursor[dict[str, Any]], fit: Sequence[Mapping[str, Any]]) -> Iterator[Relation]:
    wanted = places_of(SourceTable(row["table_name"], key=(), schema=row["schema_name"]) for row in fit)
    columns: dict[str, list[Column]] = {str(row["table_name"]): [] for row in fit}
    for table, name, kind, is_nullable in cursor.connection.execute(query("source", "columns"), wanted):
        columns[table].append(Column(name, kind, is_nullable))
    keys, defaults = _by_place(asked(cursor, "keys")), _by_place(asked(cursor, "defaults"))
    references, stampers = _by_place(asked(cursor, "references")), _by_place(asked(cursor, "triggers_on_update"))
    for row in fit:
        place = str(row["schema_name"]), str(row["table_name"])
        nullable = {column.name for column in columns[place[1]] if column.nullable}
        key = next((each for each in keys.get(place, ()) if not nullable.intersection(each["columns"])), None)
        yield Relation(
            *place,
            columns=tuple(columns[place[1]]),
            key=tuple(key["columns"]) if key else (),
            is_primary=bool(key and key["is_primary"]),
            references=tuple(
                Reference(
                    tuple(each["columns"]),
                    (each["other_schema"], each["other_table"]),
                    tuple(each["other_columns"]),
                    is_valid=each["is_valid"],
                )
                for each in references.get(place, ())
            ),
            defaults={each["column_name"]: each["default_expression"] for each in defaults.get(place, ())},
            stampers=tuple(each["text"] for each in stampers.get(place, ())),
        )


def _unreadable(relation: Relation) -> str:
    """Say why no poll could read a table; empty where one can."""
    if not is_key(f"latest/{relation.name}"):
        return "its name cannot be that of a folder of the lake: read it under another name"
    if not relation.columns:
        return "it has no columns"
    if not relation.key:
        return "it has no primary key, and no unique index over columns that are not null"
    return "; ".join(broken_terms(relation.name, relation.key, (), relation.columns))


def _by_place(rows: Sequence[dict[str, Any]]) -> dict[Place, list[dict[str, Any]]]:
    found: dict[Place, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((str(row["schema_name"]), str(row["table_name"])), []).append(row)
    return found
