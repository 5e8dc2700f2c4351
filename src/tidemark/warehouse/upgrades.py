"""What the columns and constraints of tables that are there need to become those of the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.postgres.queries import query, quoted
from tidemark.postgres.widening import widens
from tidemark.warehouse.catalog import Catalog
from tidemark.warehouse.column_types import made_exact, typed

VALID_TO = "valid_to"
FOREIGN_KEY = "FOREIGN KEY"


@dataclass(frozen=True)
class Upgrade:
    """How tables that are there become those of the model; `retyped` names the columns that get another type."""

    shape: list[str] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    retyped: list[tuple[str, str]] = field(default_factory=list)
    unfilled: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def upgrades_of(connection: psycopg.Connection, model: Model, present: Catalog, makes: Catalog) -> Upgrade:
    """Say how the tables that are there become those of the model.

    Raises:
        ConfigError: a change could lose values of rows that are there.
    """
    upgrade = Upgrade()
    exact = made_exact(connection, model, present.columns, makes.columns)
    references = _references(present, makes) if exact else {}
    # Meanwhile: a column of text cannot refer to a column of another type, and the other way round.
    upgrade.shape.extend(f"alter table {table} drop constraint {name}" for table, name in references)
    for name, labels in makes.labels.items():
        upgrade.shape.extend(_add_labels(name, present.labels.get(name, labels), labels))
    for at, column in makes.columns.items():
        if at[0] in present.tables:
            _take_column(connection, upgrade, at, present.columns.get(at), column, is_made_exact=at in exact)
    _take_constraints(upgrade, present, makes)
    upgrade.shape.extend(_let_be_null(present, makes))
    for (table, name), definition in references.items():
        upgrade.bounds.append(f"alter table {table} add constraint {name} {definition}")
    if upgrade.problems:
        raise ConfigError.of(upgrade.problems, advice="change warehouse.sql, or make a new warehouse from the log")
    return upgrade


def _take_column(
    connection: psycopg.Connection,
    upgrade: Upgrade,
    at: tuple[str, str],
    before: Mapping[str, object] | None,
    column: Mapping[str, object],
    *,
    is_made_exact: bool,
) -> None:
    found = Upgrade()
    if before is None:
        _add_column(at, column, found)
    else:
        _alter_column(at, before, column, found, is_made_exact=is_made_exact)
    upgrade.shape.extend(found.shape)
    upgrade.bounds.extend(found.bounds)
    upgrade.retyped.extend(found.retyped)
    # Where there are no rows, none can be lost.
    if (found.problems or found.unfilled) and not _is_empty(connection, at[0]):
        upgrade.problems.extend(found.problems)
        upgrade.unfilled.extend(found.unfilled)


def _take_constraints(upgrade: Upgrade, present: Catalog, makes: Catalog) -> None:
    # By what they say: a table that was copied has its constraints under other names.
    there, known = _by_definition(present), _by_definition(makes)
    lacking = {at: each for at, each in makes.constraints.items() if at[0] in present.tables}
    lacking = {(table, name): each for (table, name), each in lacking.items() if (table, each) not in there}
    drops = [at for at in present.constraints if at in lacking]
    # A reference of the model's tables that is in the model no more keeps the key that it refers to from changing.
    changing = tuple(f" REFERENCES {form}(" for table, _ in drops for form in (table, quoted(table)))
    drops += [
        at
        for at, each in present.constraints.items()
        if at not in lacking and at[0] in makes.tables and (at[0], each) not in known
        if each.startswith(FOREIGN_KEY) and any(form in each for form in changing)
    ]
    drops.sort(key=lambda at: not present.constraints[at].startswith(FOREIGN_KEY))
    upgrade.shape.extend(f"alter table {quoted(table)} drop constraint {quoted(name)}" for table, name in drops)
    for (table, name), definition in lacking.items():
        upgrade.bounds.append(f"alter table {quoted(table)} add constraint {quoted(name)} {definition}")


def _by_definition(catalog: Catalog) -> set[tuple[str, str]]:
    return {(table, definition) for (table, _), definition in catalog.constraints.items()}


def _let_be_null(present: Catalog, makes: Catalog) -> Iterator[str]:
    """Let the columns be null that the model does not have (any more), and that nothing fills in a new row."""
    for (table, name), column in present.columns.items():
        is_own = table not in makes.tables or (table, name) in makes.columns
        is_filled = column["default_expression"] or column["is_generated"] or column["may_be_filled"]
        if column["is_not_null"] and not is_own and not is_filled:
            yield f"alter table {quoted(table)} alter column {quoted(name)} drop not null"


def _references(present: Catalog, makes: Catalog) -> dict[tuple[str, str], str]:
    """Give the foreign keys that are there and stay, by table and name as SQL writes them."""
    known = _by_definition(makes)
    return {
        (quoted(table), quoted(name)): definition
        for (table, name), definition in present.constraints.items()
        if definition.startswith(FOREIGN_KEY) and (table, definition) in known
    }


def _is_empty(connection: psycopg.Connection, table: str) -> bool:
    return connection.execute(query("warehouse", "is_empty", table=sql.Identifier(table))).fetchone() == (True,)


def _add_labels(name: str, before: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """Add the values that an enum has gained, each behind the one that it follows in the model."""
    for at, label in enumerate(labels):
        if label not in before:
            place = f" after {sql.Literal(labels[at - 1]).as_string()}" if at else ""
            place = place or f" before {sql.Literal(before[0]).as_string()}"
            yield f"alter type {quoted(name)} add value {sql.Literal(label).as_string()}{place}"


def _add_column(at: tuple[str, str], column: Mapping[str, object], found: Upgrade) -> None:
    table, name = at
    default = f" default {column['default_expression']}" if column["default_expression"] else ""
    # The end of a version may be null, but without it no version is known to be the current one.
    if (column["is_not_null"] and not default) or name == VALID_TO:
        found.unfilled.append(f"{table}.{name} is to be added, and the rows that are there need a value in it")
    if column["is_not_null"]:
        found.bounds.append(f"alter table {quoted(table)} alter column {quoted(name)} set not null")
    found.shape.append(f"alter table {quoted(table)} add column {quoted(name)} {typed(column)}{default}")


def _alter_column(
    at: tuple[str, str],
    before: Mapping[str, object],
    column: Mapping[str, object],
    found: Upgrade,
    *,
    is_made_exact: bool,
) -> None:
    table, name = at
    alter = f"alter table {quoted(table)} alter column {quoted(name)}"
    if is_made_exact or before["type"] != column["type"]:
        found.retyped.append(at)
        using = ""
        if not is_made_exact and not widens(str(before["type"]), str(column["type"])):
            found.problems.append(f"{table}.{name} is {before['type']}, not {column['type']}: values might be lost")
            using = f" using {quoted(name)}::text::{column['type']}"
        found.shape.append(f"{alter} type {typed(column)}{using}")
    default = column["default_expression"]
    if default and default != before["default_expression"] and not column["is_generated"]:
        found.shape.append(f"{alter} set default {default}")
    if column["is_not_null"] and not before["is_not_null"]:
        found.bounds.append(f"{alter} set not null")
    elif before["is_not_null"] and not column["is_not_null"]:
        found.shape.append(f"{alter} drop not null")
