"""The relation of a source table: what of it a poll reads, in one place for every statement.

Where the model chooses columns or rows, or masks values, a subquery stands for the table. PostgreSQL joins it with the
statement around it, so that the indexes of the key and of `updated` are used as before.
"""

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import errors, sql

from tidemark.choosing import SET_SALT
from tidemark.disclosure import told
from tidemark.errors import ConfigError
from tidemark.log.columns import Column
from tidemark.model import SourceTable
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session

TEXT = "text"
# The session has the salt under this name, so that no statement holds it, and no list or log of statements.
SALT = "tidemark.mask_salt"


def identifier(table: SourceTable) -> sql.Identifier:
    """Name a table with its schema."""
    return sql.Identifier(table.schema, table.relation)


def chosen_columns(table: SourceTable, columns: Iterable[Column]) -> tuple[Column, ...]:
    """Give those of the table's columns that leave the source, with the types that they have then."""
    choice = table.choice
    return tuple(_masked(each, choice.mask.get(each.name)) for each in columns if each.name not in choice.exclude)


def relation(table: SourceTable, columns: Sequence[Column], *others: str) -> sql.Composable:
    """Write what stands after FROM, without an alias, to read a table.

    Args:
        table: the table.
        columns: its chosen columns.
        others: the system columns that the statement reads too.
    """
    choice = table.choice
    rows = sql.SQL("only ") + identifier(table) if table.is_alone else identifier(table)
    if choice.is_all:
        return rows
    fields = [*(_field(column, choice.mask.get(column.name)) for column in columns), *map(sql.Identifier, others)]
    # A line of its own, and parentheses: whatever the condition is, the statement goes on after it.
    condition = sql.SQL("(\n") + sql.SQL(choice.where or "true") + sql.SQL("\n)")
    listed = sql.SQL(", ").join(fields)
    return sql.SQL("({})").format(query("source", "chosen", fields=listed, table=rows, where=condition))


def faults_of_choice(session: psycopg.Connection, table: SourceTable, columns: Sequence[Column]) -> list[str]:
    """Say, in one sentence each, why the source cannot leave out or mask what the model says.

    Args:
        session: a session with the source.
        table: the table.
        columns: all of its columns.
    """
    there = {column.name for column in columns}
    missing = [name for name in table.choice.names if name not in there]
    if missing:
        return [f"source table {table.name!r} has no column {missing}, which the model hides; it has {sorted(there)}"]
    if not table.choice.where:
        return []
    try:
        with session.transaction():
            session.execute(query("source", "try_condition", table=relation(table, chosen_columns(table, columns))))
    except errors.InsufficientPrivilege:
        raise
    except (errors.ProgrammingError, errors.DataError) as exc:
        return [f"source table {table.name!r} cannot be read where {table.choice.where}: {told(exc)}"]
    return []


def take_salt(session: Session, tables: Iterable[SourceTable]) -> None:
    """Give the transaction the salt that masks the values of some tables.

    Raises:
        ConfigError: a table needs a salt and has none.
    """
    needing = [table for table in tables if table.choice.needs_salt]
    if not needing:
        return
    salt = needing[0].choice.salt
    if not salt:
        raise ConfigError('the model masks values by "sha256", and there is no salt', advice=SET_SALT)
    session.execute(query("source", "take_salt"), {"name": SALT, "salt": salt})


def _masked(column: Column, mask: str | None) -> Column:
    if mask is None:
        return column
    return Column(column.name, column.type if mask == "null" else TEXT, nullable=mask == "null" or column.nullable)


def _field(column: Column, mask: str | None) -> sql.Composable:
    name = sql.Identifier(column.name)
    if mask is None:
        return name
    value = {
        "null": sql.SQL("null::{type}"),
        "first_letter": sql.SQL("left({name}::text, 1)"),
        "sha256": sql.SQL("encode(sha256(convert_to(current_setting({salt}) || {name}::text, 'UTF8')), 'hex')"),
    }[mask].format(name=name, type=sql.SQL(column.type), salt=sql.Literal(SALT))
    return value + sql.SQL(" as ") + name
