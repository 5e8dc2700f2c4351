"""The types of the warehouse's columns: which one may become which, and which one a key cannot have.

The star tells keys apart by their text. A key column that calls two texts equal would have one row where the star has
two, and no later batch could be loaded.
"""

from collections.abc import Collection, Mapping

import psycopg

from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.postgres.equality import unlike_text

WRITE_TEXT = (
    "in warehouse.sql write text for it, without such a collation; tidemark init then changes the table. "
    "Where a query needs the other type, cast there, or in a view"
)


def faults_of_keys(connection: psycopg.Connection, model: Model, schema: str) -> list[str]:
    """Say, in one sentence each, which key columns of a schema's tables do not tell apart what the star does."""
    # A mirror gives its keys types that tell them apart.
    stars = [star for star in model.stars.values() if not star.mirror]
    keys = [(schema, star.name, name) for star in stars for name in (*star.key, *star.source_key)]
    return [
        f"{each.table}.{each.column} {each.reason}: such a column cannot be a key of the warehouse"
        for each in unlike_text(connection, keys)
    ]


def require_keys(connection: psycopg.Connection, model: Model, schema: str) -> None:
    """Raise one ConfigError that names every key column which does not tell apart what the star does."""
    wrong = faults_of_keys(connection, model, schema)
    if wrong:
        raise ConfigError.of(wrong, advice=f"{WRITE_TEXT}; nothing was changed")


def made_exact(
    connection: psycopg.Connection,
    model: Model,
    present: Mapping[tuple[str, str], Mapping[str, object]],
    wanted: Mapping[tuple[str, str], Mapping[str, object]],
) -> Collection[tuple[str, str]]:
    """Name the columns of the current schema whose equality becomes that of their text, by the model's file.

    They lose nothing by it: their text stays as it is. A key, or a column that refers to one, may become text whatever
    it was, because it may have made one value of several texts of the source.
    """
    schema = str((connection.execute("select current_schema()").fetchone() or ("",))[0])
    keys = {
        (star.name, name) for star in model.stars.values() for name in (*star.key, *star.source_key, *star.references)
    }
    both = {at: (present[at], wanted[at]) for at in wanted.keys() & present.keys()}
    texts = {at for at, (before, after) in both.items() if before["type"] != "text" and after["type"] == "text"}
    plain = {
        at
        for at, (before, after) in both.items()
        if at in keys
        and before["type"] == after["type"]
        and after["is_deterministic"]
        and not before["is_deterministic"]
    }
    unlike = {(each.table, each.column) for each in unlike_text(connection, [(schema, *at) for at in texts])}
    return plain | (texts & keys) | unlike


def typed(column: Mapping[str, object]) -> str:
    """Write a column's type, with its collation if it has another one than its type."""
    return f"{column['type']} collate {column['collation']}" if column["collation"] else str(column["type"])
