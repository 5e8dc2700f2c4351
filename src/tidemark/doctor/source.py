"""The source: its server, what the role sees and may do, and its tables."""

from collections.abc import Iterator
from typing import Any

import psycopg

from tidemark.doctor.databases import connected, one_row, sql_name, too_much
from tidemark.doctor.finding import Finding
from tidemark.doctor.source_tables import examine_tables
from tidemark.model import Model
from tidemark.pipeline import Pipeline
from tidemark.postgres.connection import where
from tidemark.postgres.equality import unlike_text
from tidemark.postgres.queries import query
from tidemark.postgres.role_writes import possible_writes

# The sweep needs hash_record_extended(), which came with this version.
OLDEST_SOURCE = 14


def examine_source(pipeline: Pipeline) -> Iterator[Finding]:
    """Examine the source, by sessions that only read; one of them tries to write."""
    url = pipeline.source_url
    with connected(url, "source") as cursor:
        server = one_row(cursor, "server")
        yield Finding("source", "pass", f"{where(url)}: PostgreSQL {server['version']}, as role {server['role']}")
        if server["major_version"] < OLDEST_SOURCE:
            advice = f"move it to PostgreSQL {OLDEST_SOURCE} or newer"
            yield Finding("source", "failure", f"PostgreSQL {server['version']} cannot hash whole rows", advice)
        if not server["may_identify"]:
            advice = f"grant execute on function pg_control_system() to {sql_name(server['role'])}"
            yield Finding("source", "failure", "the role may not ask which server this is", advice)
        yield from too_much("source", cursor, server)
        if server["connection_limit"] == 1:
            found = "the role may have one connection only: a long poll cannot see who waits for its locks"
            yield Finding("source", "hint", found, f"alter role {sql_name(server['role'])} connection limit 2")
        if server["encoding"] == "SQL_ASCII":
            found = "the database has the encoding SQL_ASCII, which checks nothing: bytes that are no UTF-8 end a poll"
            yield Finding("source", "hint", found, "restore it into a database with the encoding that its text has")
        yield from _visibility(cursor, sql_name(server["role"]))
        yield from examine_tables(cursor, pipeline.model, sql_name(server["role"]), is_superuser=server["is_superuser"])
        yield from _keys(cursor.connection, pipeline.model)
    # Outside of the block, because the role may be allowed one connection only.
    if not server["is_superuser"]:
        yield from _writes(url, sql_name(server["role"]))


def _visibility(cursor: psycopg.Cursor[dict[str, Any]], role: str) -> Iterator[Finding]:
    state = cursor.execute(query("source", "visibility")).fetchone() or {}
    sweep = "the watermark rests on the rows' own times, and every poll sweeps every table"
    if state["may_see"]:
        yield Finding("source", "pass", "the role sees when other transactions began")
    else:
        found = f"the role may not see when other transactions began: {sweep}"
        yield Finding("source", "hint", found, f"grant pg_read_all_stats to {role}")
    if state["is_replica"]:
        advice = "point at the primary, or set hot_standby_feedback = on so that long polls are not cancelled"
        yield Finding("source", "hint", f"the server is a replica: {sweep}", advice)
    if state["is_subscriber"]:
        yield Finding(
            "source", "hint", f"a subscription feeds this database: {sweep}", "point at the publisher, if you can"
        )
    if state["has_untracked"]:
        found = f"a session does not track its activity: {sweep}"
        yield Finding("source", "hint", found, "set track_activities = on for every role")
    prepared = cursor.execute(query("doctor", "prepared")).fetchall()
    if prepared:
        gids = ", ".join(f"{row['gid']!r} of {row['prepared']:%Y-%m-%d %H:%M}" for row in prepared)
        found = f"prepared transactions hold the watermark where it is: {gids}"
        yield Finding("source", "hint", found, "commit prepared or rollback prepared what nobody waits for")
    else:
        yield Finding("source", "pass", "no prepared transaction holds the watermark back")


def _writes(url: str, role: str) -> Iterator[Finding]:
    found, remedies = possible_writes(url, role, "tidemark doctor")
    if found:
        yield Finding("source", "hint", f"the role may {' and '.join(found)}, which a poll never does", remedies)
    else:
        yield Finding("source", "pass", "what the role tries to write is refused")


def _keys(connection: psycopg.Connection, model: Model) -> Iterator[Finding]:
    """Name the keys for which the source may call two texts equal, though they are two keys in the log."""
    keys = [(table.schema, table.relation, name) for table in model.sources.values() for name in table.key]
    for each in unlike_text(connection, keys):
        named = sql_name(each.schema, each.table, each.column)
        found = (
            f"two texts of the key {named} are two keys here, though the source may call them equal: it {each.reason}"
        )
        advice = "nothing is lost: the row of the one text ends, that of the other begins; write text in warehouse.sql"
        yield Finding("source", "hint", found, advice)
