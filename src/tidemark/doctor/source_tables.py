"""The tables of the source that the model names: are they there, with a key, and may they be read?"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import psycopg

from tidemark.capture.kinds import MATERIALIZED, obstacle
from tidemark.capture.relation import TEXT, faults_of_choice
from tidemark.capture.snapshot import places
from tidemark.doctor.databases import sql_name
from tidemark.doctor.finding import Finding
from tidemark.log.columns import Column
from tidemark.model import Model, SourceTable
from tidemark.postgres.queries import query


def examine_tables(
    cursor: psycopg.Cursor[dict[str, Any]], model: Model, role: str, *, is_superuser: bool
) -> Iterator[Finding]:
    """Examine each source table of the model."""
    where = places(model.polled.values())
    updated = {"updated": [table.updated for table in model.polled.values()]}
    rows = {row["name"]: row for row in cursor.execute(query("doctor", "source_tables"), where | updated)}
    unique = {(row["name"], frozenset(row["columns"])) for row in cursor.execute(query("source", "unique_keys"), where)}
    kinds = {row["name"]: row for row in cursor.execute(query("source", "kinds"), where)}
    # A materialised view cannot say that its columns are not null; a poll asks its rows.
    columns = {
        (row["name"], row["column_name"]): row["nullable"] and kinds[row["name"]]["kind"] != MATERIALIZED
        for row in cursor.execute(query("source", "columns"), where)
    }
    failures = {
        name: [
            *(_kind(name, kinds.get(name)) or _shape(table, rows[name], unique, columns)),
            *_rights(table, rows[name], role),
        ]
        for name, table in model.polled.items()
    }
    for name, table in model.polled.items():
        if not failures[name]:
            failures[name] += _choice(cursor, table, [column for of, column in columns if of == name])
    for found, advice in (failure for of_table in failures.values() for failure in of_table):
        yield Finding("source", "failure", found, advice)
    sound = [table for name, table in model.polled.items() if not failures[name]]
    if sound:
        found = f"{len(sound)} of {len(model.polled)} tables have a unique key and may be read"
        yield Finding("source", "pass", found)
    written = [sql_name(table.schema, table.relation) for table in sound if rows[table.name]["may_write"]]
    if written and not is_superuser:
        listed = ", ".join(written)
        found = f"the role may also write {listed}, which a poll never does"
        yield Finding("source", "hint", found, f"revoke insert, update, delete, truncate on {listed} from {role}")
    without_index = [
        (rows[table.name]["pages"], f"{sql_name(table.schema, table.relation)} ({sql_name(str(table.updated))})")
        for table in sound
        if not rows[table.name]["has_cursor_index"]
    ]
    if without_index:
        named = ", ".join(name for _, name in sorted(without_index, reverse=True))
        found = f"there is no index for the cursor, so every poll reads these from end to end: {named}"
        advice = f"for large tables: create index concurrently on {max(without_index)[1]}"
        yield Finding("source", "hint", found, advice)


def _kind(name: str, row: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    found = obstacle(name, row["kind"], is_populated=row["is_populated"]) if row else ""
    return [(found, "name a table, or a materialised view with a unique index")] if found else []


def _shape(
    table: SourceTable,
    row: Mapping[str, Any],
    unique: Collection[tuple[str, frozenset[str]]],
    is_nullable: Mapping[tuple[str, str], bool],
) -> Iterator[tuple[str, str]]:
    named = f"table {sql_name(table.schema, table.relation)}"
    if not row["is_there"]:
        yield f"{named} is not there", "create it, or mend the model"
        return
    wanted = [column for column in (*table.key, table.created, table.updated) if column]
    missing = [column for column in wanted if (table.name, column) not in is_nullable]
    if missing:
        yield f"{named} has no column {', '.join(missing)}", "add it, or mend the model"
    elif (table.name, frozenset(table.key)) not in unique or any(is_nullable[table.name, key] for key in table.key):
        found = f"{named} has no unique index over {', '.join(table.key)}, with all columns not null"
        yield found, "add one, or give the model the right key"


def _choice(
    cursor: psycopg.Cursor[dict[str, Any]], table: SourceTable, columns: Sequence[str]
) -> Iterator[tuple[str, str]]:
    found = faults_of_choice(cursor.connection, table, [Column(name, TEXT) for name in columns])
    yield from ((fault, "mend exclude, mask or where in the model") for fault in found)


def _rights(table: SourceTable, row: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    named = sql_name(table.schema, table.relation)
    if row["is_there"] and not row["may_select"]:
        grant = f"grant usage on schema {sql_name(table.schema)} to {role}; grant select on {named} to {role}"
        yield f"the role may not read {named}", grant
    elif row["is_filtered"]:
        yield (
            f"a policy hides rows of {named} from the role",
            f"alter role {role} bypassrls, or read as the table's owner",
        )
