"""How one row of the source evolved: the versions that the warehouse keeps of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.abc import Buffer
from psycopg.rows import dict_row
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader

from tidemark.errors import ConfigError
from tidemark.model import Model, StarTable
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import identifier, query
from tidemark.postgres.waits import AGAINST_READERS, naming_holders

BOOKKEEPING = ("valid_from", "valid_to", "batch_id")


@dataclass(frozen=True)
class History:
    """The versions of one row, the oldest first, each with the table's columns by name.

    `bookkeeping` names the columns that belong to the version and not to the row.
    """

    table: str
    key: Mapping[str, str]
    versions: tuple[Mapping[str, object], ...]
    bookkeeping: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns in the table's order."""
        return tuple(self.versions[0])

    def has_changed(self, version: int, column: str) -> bool:
        """Say whether a column of the row differs from the version before; in the first version no column does."""
        if version == 0 or column in self.bookkeeping:
            return False
        return self.versions[version][column] != self.versions[version - 1][column]


def find_versioned(model: Model, table: str) -> StarTable:
    """Find a table of versions: by its own name, a fact by its driving table, or else a dimension without its prefix.

    Raises:
        ConfigError: there is no such table, or several.

    """
    found = (
        [star for star in model.versioned if star.name == table]
        or [fact for fact in model.facts if table in (fact.driving, fact.view[-1] if fact.mirror else "")]
        or [star for star in model.versioned if star.kind == "dimension" and star.short_name == table]
    )
    if len(found) == 1:
        return found[0]
    if found:
        message = f"source table {table!r} drives several facts: {', '.join(fact.name for fact in found)}"
        raise ConfigError(message, advice="name one of them", table=table)
    if table in model.stars or table in model.sources:
        message = f"{table!r} has no history in the warehouse: only facts and dimensions with history keep one"
    else:
        message = f"model {model.name!r} has no table {table!r}"
    known = ", ".join(
        f"{star.name} ({star.driving if star.kind == 'fact' else star.short_name})" for star in model.versioned
    )
    raise ConfigError(message, advice=f"name one of {known}", table=table)


def read_history(url: str, star: StarTable, key: Sequence[str]) -> History:
    """Read the versions of the row with this key; `key` has texts in the order of the key's columns.

    Raises:
        ConfigError: the key does not fit, or the warehouse has no such row or no tables yet.
        TransientError: the warehouse is away.

    """
    what = f"the warehouse at {where(url)}"
    statement = versions_of(star, key)
    connection = connect(url, application="tidemark history", only_reads=True)
    try:
        waiting = naming_holders(connection, what, modes=AGAINST_READERS)
        with translated(what), waiting, connection.cursor(row_factory=dict_row) as cursor:
            rows = _rows(cursor, statement, key, star, what)
    finally:
        connection.close()
    return history_of(star, key, rows, what)


def versions_of(star: StarTable, key: Sequence[str]) -> sql.Composed:
    """Write the SELECT of a row's versions, with a place for each value of its key.

    The texts are sent without a type, so the server reads each as the type of its column.

    Raises:
        ConfigError: the key has more columns than these, or fewer.
    """
    if len(key) != len(star.source_key):
        message = (
            f"the key of {star.name} is ({', '.join(star.source_key)}): expected {len(star.source_key)}, got {len(key)}"
        )
        raise ConfigError(message, advice="give one argument for each of its columns", table=star.name)
    matches = sql.SQL(" and ").join(sql.SQL("{} = %s").format(identifier(name)) for name in star.source_key)
    return query("history", "versions", table=identifier(*star.place), matches=matches)


def history_of(star: StarTable, key: Sequence[str], rows: Sequence[Mapping[str, object]], what: str) -> History:
    """Make a history of the rows that the SELECT yields; `what` names the warehouse.

    Raises:
        ConfigError: there is none.
    """
    named = dict(zip(star.source_key, key, strict=True))
    if not rows:
        shown = ", ".join(f"{name} {value}" for name, value in named.items())
        message = f"{what} has no version of {star.name} with {shown}"
        raise ConfigError(message, advice="check the key; `tidemark status` shows how far the warehouse is", **named)
    return History(star.name, named, tuple(rows), frozenset({*star.key, *BOOKKEEPING}))


class _Date(DateLoader):
    """A day, or its text where Python has no such day: infinity, BC, a year of five digits."""

    def load(self, data: Buffer) -> Any:  # noqa: ANN401 -- psycopg's own word for it
        """Read a day."""
        return _or_text(super().load, data)


class _Timestamp(TimestampLoader):
    """The same of a time without a zone."""

    def load(self, data: Buffer) -> Any:  # noqa: ANN401 -- as above
        """Read a time."""
        return _or_text(super().load, data)


class _Timestamptz(TimestamptzLoader):
    """The same of a time with a zone."""

    def load(self, data: Buffer) -> Any:  # noqa: ANN401 -- as above
        """Read a time."""
        return _or_text(super().load, data)


def read_any_day(cursor: psycopg.Cursor[Any]) -> None:
    """Let a cursor read days and times that Python does not have, as their text."""
    for kind, loader in (("date", _Date), ("timestamp", _Timestamp), ("timestamptz", _Timestamptz)):
        cursor.adapters.register_loader(kind, loader)


def _or_text(load: Callable[[Buffer], object], data: Buffer) -> object:
    try:
        return load(data)
    except psycopg.DataError:
        return bytes(data).decode()


def _rows(
    cursor: psycopg.Cursor[dict[str, object]],
    statement: sql.Composed,
    key: Sequence[str],
    star: StarTable,
    what: str,
) -> list[dict[str, object]]:
    read_any_day(cursor)
    try:
        return cursor.execute(statement, list(key)).fetchall()
    except errors.UndefinedTable as exc:
        message = f"{what} has no table {star.name}"
        raise ConfigError(message, advice="run tidemark init", table=star.name) from exc
    except errors.DataError as exc:
        message = f"{' '.join(key)!r} cannot be a key of {star.name}: {str(exc).splitlines()[0]}"
        raise ConfigError(message, advice=f"expected {', '.join(star.source_key)}", table=star.name) from exc
