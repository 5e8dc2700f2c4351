"""The warehouse's schema: the statements that a database needs to have the tables that a model describes.

To find out what the model's file asks for, it is run in a schema of its own, which is rolled back. What every fact has
beside its table is generated. Nothing else that a warehouse holds is ever dropped.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.errors import ConfigError
from tidemark.faults import effect
from tidemark.model import Model
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.statements import created, made_view, split_statements
from tidemark.postgres.waits import AGAINST_CHANGES, naming_holders
from tidemark.warehouse.column_types import made_exact, require_keys, typed, widens
from tidemark.warehouse.fact_views import Generated, generated
from tidemark.warehouse.marks import require_fit, require_path
from tidemark.warehouse.model_file import Present, located, needed, recorded

SCRATCH = "tidemark_plan"


@dataclass(frozen=True)
class _Catalog:
    """What a schema holds, as the catalog says."""

    tables: frozenset[str]
    indexes: frozenset[str]
    relations: frozenset[str]
    functions: frozenset[str]
    types: frozenset[str]
    labels: Mapping[str, Sequence[str]]
    columns: Mapping[tuple[str, str], Mapping[str, object]]
    constraints: Mapping[tuple[str, str], str]


def plan_init(url: str, model: Model) -> list[str]:
    """List the statements that a warehouse still needs, in order, each without its semicolon.

    Raises:
        ConfigError: the warehouse's tables cannot become those of the model without losing rows.
    """
    connection = connect(url, application="tidemark init")
    with connection, translated(f"the warehouse at {where(url)}"):
        statements = _plan(connection, model)
        if statements:
            _check(connection, model)
        return statements


def init(url: str, model: Model) -> list[str]:
    """Create or upgrade the warehouse's tables in one transaction, and return the statements that were run.

    Raises:
        ConfigError: the tables cannot become those of the model without losing rows.
        StateError: the tables do not hold what the ledger says. Those that were gone are made, but not filled.
    """
    what, stars = f"the warehouse at {where(url)}", list(model.stars.values())
    connection = connect(url, application="tidemark init")
    with connection, translated(what):
        # Not beside tables that the search path leads past.
        if _one(connection, query("warehouse", "ledger_is_complete")):
            require_path(connection, stars, what)
        waiting = naming_holders(connection, what, modes=AGAINST_CHANGES)
        with waiting, effect("tables-commit"), connection.transaction():
            statements = make_ready(connection, model)
        require_fit(connection, stars, what)
    return statements


def make_ready(connection: psycopg.Connection, model: Model) -> list[str]:
    """Run the statements that a warehouse still needs, in the caller's transaction, and return them."""
    statements = _plan(connection, model)
    for statement in statements:
        with located(model, statement):
            connection.execute(statement.encode())
    require_keys(connection, model, _current_schema(connection))
    return statements


def _plan(connection: psycopg.Connection, model: Model) -> list[str]:
    present = _catalog(connection, _current_schema(connection))
    ledger = list(_ledger_statements(connection))
    own = generated(model)
    tables = {
        made[1] for each in split_statements(model.warehouse_sql) if (made := created(each)) and made[0] == "table"
    }
    upgrades = (
        [] if present.tables.isdisjoint(tables) else _upgrades(connection, model, present, _wanted(connection, model))
    )
    changes_type = any(each.startswith("alter table") and " type " in each for each in upgrades)
    file = needed(
        model,
        Present(
            present.tables,
            present.indexes,
            present.relations | present.functions | present.types,
            _statements_run(connection),
        ),
        has_new_shape=changes_type or any(" add column " in statement for statement in upgrades),
    )
    stale = _stale(connection, own, present)
    lacking = [each for each in own if not _is_there(present, each) or each.name in stale]
    if not any((ledger, upgrades, lacking, file.early, file.late, file.record)):
        return []
    indexes = _statements_of(each for each in lacking if each.kind == "index")
    # The model's own views may use the generated ones, so they come after those.
    again = [each for each in own if each.kind != "index" and (upgrades or each in lacking)]
    drops = [f"drop function {signature}" for signature in stale.values() if signature]
    if changes_type:
        views = [view for each in split_statements(model.warehouse_sql) if (view := made_view(each))]
        drops += _drops_of_views([*(each.name for each in again if each.kind == "view"), *views])
    else:
        drops += _drops_of_views(file.views)
    after = [*upgrades, *indexes, *_statements_of(again), *file.late, *recorded(file.record)]
    return [*ledger, *file.early, *drops, *after]


def _statements_run(connection: psycopg.Connection) -> set[str] | None:
    """Give the digests of the statements that were run; None if the role may not read them."""
    if not _one(connection, query("warehouse", "statements_exist")):
        return set()
    if not _one(connection, query("warehouse", "may_read_statements")):
        return None
    return {row[0] for row in connection.execute(query("warehouse", "statements_run"))}


def _current_schema(connection: psycopg.Connection) -> str:
    schema = _one(connection, "select current_schema()")
    if schema is None:
        message = "the warehouse's search_path names no schema that exists"
        raise ConfigError(message, advice="create the schema, or set search_path in the URL's options")
    return str(schema)


def _drops_of_views(names: Sequence[str]) -> list[str]:
    """Drop views, the last one first: while a view uses a column, its type cannot change."""
    return [f"drop view if exists {_quoted(name)}" for name in reversed(names)]


def _statements_of(made: Iterable[Generated]) -> list[str]:
    return [statement for each in made for statement in each.statements]


def _is_there(present: _Catalog, wanted: Generated) -> bool:
    places = {"index": present.indexes, "view": present.relations, "function": present.functions}
    return wanted.name in places[wanted.kind]


def _stale(connection: psycopg.Connection, own: Sequence[Generated], present: _Catalog) -> dict[str, str | None]:
    """Name the views and functions that belong to a table which is no longer the fact, with a function's signature."""
    made = [each for each in own if each.kind != "index" and each.fact in present.tables]
    parameters = {"names": [each.name for each in made], "facts": [_quoted(each.fact) for each in made]}
    return dict(connection.execute(query("warehouse", "stale"), parameters).fetchall())


def _ledger_statements(connection: psycopg.Connection) -> Iterator[str]:
    if not _one(connection, query("warehouse", "ledger_exists")):
        yield from split_statements(query("warehouse", "create_ledger").as_string())
        yield query("warehouse", "create_statements").as_string()
        return
    if not _one(connection, query("warehouse", "ledger_is_complete")):
        yield query("warehouse", "upgrade_ledger").as_string()
    if not _one(connection, query("warehouse", "statements_exist")):
        yield query("warehouse", "create_statements").as_string()


def _wanted(connection: psycopg.Connection, model: Model) -> _Catalog:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(SCRATCH)))
            # The types that somebody made, or an extension, are found where the search path leads.
            connection.execute(query("warehouse", "search_path_behind", schema=sql.Literal(SCRATCH)))
            for statement in _in_order(model):
                with located(model, statement):
                    connection.execute(statement.encode())
            require_keys(connection, model, SCRATCH)
            return _catalog(connection, SCRATCH)
    except psycopg.errors.InsufficientPrivilege as exc:
        message = "comparing the warehouse with the model needs the right to create a schema, which is rolled back"
        raise ConfigError(message, advice="run tidemark init as the owner of the database") from exc


def _check(connection: psycopg.Connection, model: Model) -> None:
    """Run the model's file for its errors, which nobody would see before the printed SQL is run, if the role may."""
    if _one(connection, query("warehouse", "may_create_schema")):
        _wanted(connection, model)


def _in_order(model: Model) -> list[str]:
    """Put what is generated after the last table of the model's file: what follows there may use it."""
    statements = list(split_statements(model.warehouse_sql))
    tables = [at for at, each in enumerate(statements, start=1) if (created(each) or ("",))[0] == "table"]
    behind = tables[-1] if tables else 0
    return [*statements[:behind], *_statements_of(generated(model)), *statements[behind:]]


def _catalog(connection: psycopg.Connection, schema: str) -> _Catalog:
    with connection.cursor(row_factory=dict_row) as cursor:
        parameters = {"schema": schema}
        tables = cursor.execute(query("warehouse", "tables"), parameters).fetchall()
        indexes = cursor.execute(query("warehouse", "indexes"), parameters).fetchall()
        relations = cursor.execute(query("warehouse", "relations"), parameters).fetchall()
        functions = cursor.execute(query("warehouse", "functions"), parameters).fetchall()
        types = cursor.execute(query("warehouse", "types"), parameters).fetchall()
        columns = cursor.execute(query("warehouse", "columns"), parameters).fetchall()
        constraints = cursor.execute(query("warehouse", "constraints"), parameters).fetchall()
    return _Catalog(
        frozenset(row["table_name"] for row in tables),
        frozenset(row["index_name"] for row in indexes),
        frozenset(row["relation_name"] for row in relations),
        frozenset(row["function_name"] for row in functions),
        frozenset(row["type_name"] for row in types),
        {row["type_name"]: row["labels"] for row in types if row["labels"]},
        {(row["table_name"], row["column_name"]): row for row in columns},
        {(row["table_name"], row["constraint_name"]): row["definition"] for row in constraints},
    )


def _upgrades(connection: psycopg.Connection, model: Model, present: _Catalog, wanted: _Catalog) -> list[str]:
    statements: list[str] = []
    problems: list[str] = []
    exact = made_exact(connection, model, present.columns, wanted.columns)
    for name, labels in wanted.labels.items():
        statements += _add_labels(name, present.labels.get(name, labels), labels)
    for (table, name), column in wanted.columns.items():
        if table not in present.tables:
            continue
        before = present.columns.get((table, name))
        found: list[str] = []
        change = _add_column(table, name, column, found)
        if before is not None:
            found = []
            change = list(_alter_column((table, name), before, column, found, is_made_exact=(table, name) in exact))
        # Where there are no rows, none can be lost.
        problems += found if found and not _is_empty(connection, table) else []
        statements += change
    # By what they say: a table that was copied has its constraints under other names.
    there = {(table, definition) for (table, _), definition in present.constraints.items()}
    statements = _between_references(statements, present, wanted) if exact else statements
    for (table, name), definition in wanted.constraints.items():
        known = present.constraints.get((table, name))
        if table in present.tables and (table, definition) not in there:
            if known is not None:
                statements.append(f"alter table {_quoted(table)} drop constraint {_quoted(name)}")
            statements.append(f"alter table {_quoted(table)} add constraint {_quoted(name)} {definition}")
    if problems:
        raise ConfigError.of(problems, advice="change warehouse.sql, or make a new warehouse from the log")
    return statements


def _between_references(statements: Sequence[str], present: _Catalog, wanted: _Catalog) -> list[str]:
    """Take the foreign keys away meanwhile: a text cannot refer to a column that is none yet, nor the other way round.

    They come back as they were.
    """
    known = {(table, definition) for (table, _), definition in wanted.constraints.items()}
    apart = [
        (_quoted(table), _quoted(name), definition)
        for (table, name), definition in present.constraints.items()
        if definition.startswith("FOREIGN KEY") and (table, definition) in known
    ]
    drops = [f"alter table {table} drop constraint {name}" for table, name, _ in apart]
    adds = [f"alter table {table} add constraint {name} {definition}" for table, name, definition in apart]
    return [*drops, *statements, *adds]


def _is_empty(connection: psycopg.Connection, table: str) -> bool:
    return bool(_one(connection, query("warehouse", "is_empty", table=sql.Identifier(table))))


def _add_labels(name: str, before: Sequence[str], labels: Sequence[str]) -> Iterator[str]:
    """Add the values that an enum has gained, each behind the one that it follows in the model."""
    for at, label in enumerate(labels):
        if label not in before:
            place = f" after {sql.Literal(labels[at - 1]).as_string()}" if at else ""
            place = place or f" before {sql.Literal(before[0]).as_string()}"
            yield f"alter type {_quoted(name)} add value {sql.Literal(label).as_string()}{place}"


def _add_column(table: str, name: str, column: Mapping[str, object], problems: list[str]) -> list[str]:
    default = f" default {column['default_expression']}" if column["default_expression"] else ""
    if column["is_not_null"] and not default:
        problems.append(f"{table}.{name} is new and not null: give it a default, or let it be null")
    not_null = " not null" if column["is_not_null"] else ""
    return [f"alter table {_quoted(table)} add column {_quoted(name)} {typed(column)}{default}{not_null}"]


def _alter_column(
    at: tuple[str, str],
    before: Mapping[str, object],
    column: Mapping[str, object],
    problems: list[str],
    *,
    is_made_exact: bool,
) -> Iterator[str]:
    table, name = at
    alter = f"alter table {_quoted(table)} alter column {_quoted(name)}"
    if is_made_exact:
        yield f"{alter} type {typed(column)}"
    elif before["type"] != column["type"]:
        if widens(str(before["type"]), str(column["type"])):
            yield f"{alter} type {typed(column)}"
        else:
            problems.append(f"{table}.{name} is {before['type']}, not {column['type']}: values might be lost")
            yield f"{alter} type {column['type']} using {_quoted(name)}::text::{column['type']}"
    if before["is_not_null"] != column["is_not_null"]:
        yield f"{alter} {'set' if column['is_not_null'] else 'drop'} not null"


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()


def _one(connection: psycopg.Connection, statement: sql.Composed | str) -> object:
    row = connection.execute(statement.encode() if isinstance(statement, str) else statement).fetchone()
    return row[0] if row else None
