"""Derivation: the columns of a star table in the warehouse, with their types, as they follow from its SELECT.

A column that comes from the source as it is keeps the source's type. What the SELECT computes has the type that DuckDB
gives it. DuckDB binds each SELECT to empty tables, so no row is needed, and none is read.
"""

import csv
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tidemark.disclosure import told
from tidemark.lake.access import shut
from tidemark.lake.sqltext import Select, empty, quoted, select, statement, text
from tidemark.log.columns import Column
from tidemark.model import StarTable
from tidemark.tables.column_types import type_of_select, type_of_source
from tidemark.tables.faults import HISTORY, MARK, faults_of
from tidemark.tables.lineage import Columns, Yielded, lineage

if TYPE_CHECKING:
    import duckdb

CALENDAR, DAY = "calendar", "date_id"


@dataclass(frozen=True)
class TableColumn:
    """A column of a table of the warehouse, with PostgreSQL's type."""

    name: str
    type: str
    is_required: bool


@dataclass(frozen=True)
class Derivation:
    """The columns of each table that could be derived, and in one sentence each why another could not be."""

    tables: dict[str, tuple[TableColumn, ...]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@functools.lru_cache(maxsize=8)
def derive(
    stars: tuple[StarTable, ...],
    columns: tuple[tuple[str, tuple[Column, ...]], ...],
    seeds: tuple[tuple[str, Path], ...],
) -> Derivation:
    """Derive the tables of star tables.

    Args:
        stars: the star tables whose tables are derived, dimensions before facts.
        columns: the columns of source tables by their names; a table that is not known has none.
        seeds: the constant tables with their files.
    """
    import duckdb  # noqa: PLC0415 -- as the engine does it

    found = Derivation()
    known = {name: each for name, each in columns if each}
    with duckdb.connect() as connection:
        shut(connection)
        readable = dict(_presented(connection, known, seeds))
        for star in stars:
            unknown = [name for name in star.reads if name not in known]
            if unknown:
                found.faults.append(f"{star.name}: the columns of the source's {', '.join(unknown)} are not known")
                continue
            try:
                kinds, origins = _bound(connection, star, readable)
            except duckdb.Error as exc:
                found.faults.append(
                    f"{star.path}.sql cannot read the source's columns as the model has them: {told(exc)}"
                )
                continue
            faults = faults_of(star, kinds, [each.name for each in origins])
            found.faults.extend(faults)
            if not faults:
                columns_of = _Resolver(known, found.tables, {each.name: each.row_key for each in stars}).columns
                found.tables[star.name] = (*_surrogate(star), *columns_of(star, kinds, origins), *_history(star))
    return found


def _presented(
    connection: "duckdb.DuckDBPyConnection",
    known: Mapping[str, Sequence[Column]],
    seeds: Sequence[tuple[str, Path]],
) -> Iterator[tuple[str, Columns]]:
    """Make the tables that a SELECT may read, without rows, and say what is known of their columns."""
    made: dict[str, dict[str, str]] = {CALENDAR: {DAY: "DATE"}}
    for name, columns in known.items():
        made[name] = {each.name: each.typed for each in columns}
        yield name.lower(), tuple(Yielded(each.name, (name, each.name), not each.nullable) for each in columns)
    for name, path in seeds:
        with path.open(encoding="utf-8-sig", newline="") as file:
            made[name] = dict.fromkeys(next(csv.reader(file), []), "VARCHAR")
        yield name.lower(), tuple(map(Yielded, made[name]))
    if CALENDAR not in known:
        yield CALENDAR, (Yielded(DAY, None, is_required=True),)
    for name, kinds in made.items():
        connection.execute(statement("tables", "present", name=quoted(name), rows=empty(kinds)))


def _bound(
    connection: "duckdb.DuckDBPyConnection", star: StarTable, readable: Mapping[str, Columns]
) -> tuple[Mapping[str, str], Columns]:
    """Give the columns of a SELECT with DuckDB's types, and what is known of where each comes from."""
    (tree,) = connection.execute(select("star", "tree", text=text(star.sql))).fetchone() or ("{}",)
    parsed = json.loads(tree)
    statements = parsed.get("statements", ())
    if len(statements) != 1 and parsed.get("error_type") != "parser":
        return {}, ()
    # Of what is no SQL this raises the parser's own error.
    rows = connection.execute(select("engine", "describe", select=Select(star.sql))).fetchall()
    origins = lineage(statements[0]["node"], readable) or ()
    if [each.name.lower() for each in origins] != [name.lower() for name, *_ in rows]:
        origins = tuple(Yielded(name) for name, *_ in rows)
    return {name: kind for name, kind, *_ in rows}, origins


@dataclass(frozen=True)
class _Resolver:
    """Gives the columns that a SELECT fills; `tables` are those that were derived before it, `keys` their keys."""

    known: Mapping[str, Sequence[Column]]
    tables: Mapping[str, Sequence[TableColumn]]
    keys: Mapping[str, tuple[str, ...]]

    def columns(self, star: StarTable, kinds: Mapping[str, str], origins: Columns) -> Iterator[TableColumn]:
        for (name, kind), origin in zip(kinds.items(), origins, strict=True):
            is_key = name in star.row_key
            is_required = is_key or name in star.not_null or (origin.is_required and name not in star.nullable)
            written = star.types.get(name) or self._referred(star, name) or self._source(origin, is_key=is_key)
            yield TableColumn(name, written or type_of_select(kind) or "text", is_required)

    def _referred(self, star: StarTable, name: str) -> str:
        """Give the type of the key to which a column refers: without it there could be no foreign key."""
        dimension = star.references.get(name, "")
        key = self.keys.get(dimension, ())
        return next((each.type for each in self.tables.get(dimension, ()) if (each.name,) == key), "")

    def _source(self, origin: Yielded, *, is_key: bool) -> str:
        table, name = origin.origin or ("", "")
        found = next((each for each in self.known.get(table, ()) if each.name == name), None)
        return type_of_source(found, is_key=is_key) if found else ""


def _surrogate(star: StarTable) -> Iterator[TableColumn]:
    if star.is_versioned:
        yield TableColumn(star.key[0], "bigint", is_required=True)


def _history(star: StarTable) -> Iterator[TableColumn]:
    """Give the columns by which a row is a version, or is marked as deleted."""
    columns = HISTORY if star.is_versioned else MARK if star.soft_delete else {}
    yield from (TableColumn(name, kind, name != "valid_to") for name, kind in columns.items())
