"""The model's objects, made in a schema of their own that is rolled back: the warehouse is compared with them.

A role that may not create a schema makes them as temporary ones. PostgreSQL finds no function among these by its name,
so comments on functions and rights to call them are not compared then.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.postgres.queries import query
from tidemark.postgres.statements import EARLY, bare, created, defined, made_type, split_statements
from tidemark.tables.statements import warehouse_sql
from tidemark.warehouse.catalog import Catalog, Definition, Right, read_catalog, read_rights
from tidemark.warehouse.column_types import require_keys
from tidemark.warehouse.fact_views import generated
from tidemark.warehouse.model_file import digest, located

NO_RIGHT = "42501"
SCHEMA, TEMPORARY = "tidemark_plan", "pg_temp"
RIGHTS = re.compile(r"(?:grant|revoke)\b", re.IGNORECASE)
OF_FUNCTIONS = re.compile(r"(?:comment|grant|revoke)\b[^']*\bon\s+(?:function|routine|procedure)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What the model's statements make of an empty schema, and which rights they grant and revoke."""

    catalog: Catalog
    granted: frozenset[Right]
    revoked: frozenset[Right]


def wanted(connection: psycopg.Connection, model: Model, schema: str, run: Collection[str] | None) -> Wanted:
    """Run all of the model's statements, and read what they made.

    Args:
        connection: a session with the warehouse.
        model: the model.
        schema: the schema of the warehouse's tables; a statement may speak of that as well.
        run: the digests of the statements that were run in this database; None if nobody may read them.
    """
    with _own_schema(connection) as name:
        statements = _statements(model, name, run)
        of_rights = [each for each in statements if RIGHTS.match(bare(each))]
        _run(connection, model, (each for each in statements if each not in of_rights))
        place = _place(connection, name)
        require_keys(connection, model, place)
        granted, revoked = _changed_rights(connection, model, of_rights, (place, schema))
        return Wanted(read_catalog(connection, place), granted, revoked)


def _changed_rights(
    connection: psycopg.Connection, model: Model, statements: Sequence[str], schemas: Sequence[str]
) -> tuple[frozenset[Right], frozenset[Right]]:
    """Run what grants and revokes, and read what it grants and revokes: default rights are no matter of the model."""
    if not statements:
        return frozenset(), frozenset()
    before = [read_rights(connection, schema).everything for schema in schemas]
    _run(connection, model, statements)
    after = [read_rights(connection, schema).everything for schema in schemas]
    granted = (now - then for then, now in zip(before, after, strict=True))
    revoked = (then - now for then, now in zip(before, after, strict=True))
    return frozenset[Right]().union(*granted), frozenset[Right]().union(*revoked)


def reshaped(
    connection: psycopg.Connection,
    model: Model,
    schema: str,
    run: Collection[str] | None,
    tables: Mapping[str, Sequence[str]],
) -> Mapping[str, Definition]:
    """Make the model's views and functions over tables whose columns stand as they do in the warehouse.

    Args:
        connection: a session with the warehouse.
        model: the model.
        schema: the schema of the warehouse's tables.
        run: the digests of the statements that were run in this database.
        tables: the tables whose columns do not stand as in the model, with the statements that add what they lack.
    """
    with _own_schema(connection) as name:
        statements = _statements(model, name, run)
        made = [each for each in statements if (created(each) or ("",))[0] == "table" or EARLY.match(bare(each))]
        _run(connection, model, made)
        for table, upgrades in tables.items():
            names = {"table": sql.Identifier(table), "original": sql.Identifier(schema, table)}
            connection.execute(query("warehouse", "drop_table", **names))
            connection.execute(query("warehouse", "like_the_table", **names))
            _run(connection, model, upgrades)
        _run(connection, model, (each for each in statements if defined(each)))
        return read_catalog(connection, _place(connection, name)).definitions


def may_compare(connection: psycopg.Connection) -> bool:
    """Say whether the role may create the schema in which the model's objects are made for the comparison."""
    return connection.execute(query("warehouse", "may_create_schema")).fetchone() == (True,)


@contextmanager
def _own_schema(connection: psycopg.Connection) -> Iterator[str]:
    may_create = may_compare(connection)
    name = SCHEMA if may_create else TEMPORARY
    try:
        with connection.transaction(force_rollback=True):
            if may_create:
                connection.execute(query("warehouse", "create_schema", schema=sql.Identifier(name)))
            # The types that somebody made, or an extension, are found where the search path leads.
            connection.execute(query("warehouse", "search_path_behind", schema=sql.Literal(name)))
            yield name
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as exc:
        raise _incomparable(str(exc.diag.message_primary)) from exc
    except ConfigError as exc:
        # Such as a materialised view, which cannot be temporary.
        raise exc if may_create else _incomparable(exc.message) from exc


def _incomparable(reason: str) -> ConfigError:
    message = f"the tables cannot be compared with those of the model: {reason}"
    return ConfigError(message, advice="do this once as the owner of the database", sqlstate=NO_RIGHT)


def _place(connection: psycopg.Connection, name: str) -> str:
    """Give the schema's name in the catalogue; that of temporary tables has a number."""
    row = connection.execute(query("warehouse", "schema_of_temporary_tables")).fetchone() if name == TEMPORARY else None
    return str(row[0]) if row else name


def _statements(model: Model, name: str, run: Collection[str] | None) -> list[str]:
    """Put what is generated after the last table of the model's file: what follows there may use it.

    A schema or an extension that the file made is there already, and not in the schema of the comparison.
    """
    statements = list(split_statements(warehouse_sql(model)))
    tables = [at for at, each in enumerate(statements, start=1) if (created(each) or ("",))[0] == "table"]
    behind = tables[-1] if tables else 0
    own = [statement for each in generated(model) for statement in each.statements]
    return [
        each
        for each in (*statements[:behind], *own, *statements[behind:])
        if not (EARLY.match(bare(each)) and not made_type(each) and (run is None or digest(each) in run))
        and not (name == TEMPORARY and OF_FUNCTIONS.match(bare(each)))
    ]


def _run(connection: psycopg.Connection, model: Model, statements: Iterable[str]) -> None:
    for statement in statements:
        with located(model, statement):
            connection.execute(statement.encode())
