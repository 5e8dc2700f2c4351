"""Doctor: check settings, rights, connections and versions, each by itself, for what would hinder a run.

A failure stops a run. What a hint names makes a run slower or less certain; the hint says what is lost.
"""

import platform
import re
import shlex
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark import __version__
from tidemark.belonging import refusal
from tidemark.capture.kinds import MATERIALIZED, obstacle
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.engine import open_engine
from tidemark.lake.scratch import MEGABYTE, Leftovers, remove_leftovers
from tidemark.log.columns import Column, broken_terms
from tidemark.model import Model, SourceTable
from tidemark.objects import ObjectExistsError, Objects, is_open
from tidemark.pipeline import Pipeline
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.encryption import is_local
from tidemark.postgres.equality import unlike_text
from tidemark.postgres.queries import query
from tidemark.postgres.role_writes import possible_writes
from tidemark.postgres.statements import headline
from tidemark.settings import Settings
from tidemark.star.binding import bind
from tidemark.star.limits import Limit, limits_of
from tidemark.star.shape import faults_of_tables
from tidemark.warehouse.column_types import WRITE_TEXT, faults_of_keys
from tidemark.warehouse.schema import plan_init
from tidemark.warehouse.scratch import NO_RIGHT
from tidemark.warehouse.session import misfit_of

Outcome = Literal["pass", "hint", "failure"]
LIBRARIES = ("psycopg", "duckdb", "deltalake", "boto3")
# The sweep needs hash_record_extended(), which came with this version.
OLDEST_SOURCE = 14
LEDGER = "tidemark.batch"
MOST_STATEMENTS = 5
# SQL's keywords need quotes too. They are not looked for, because nobody who has to write the name names a table so.
PLAIN_NAME = re.compile("[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found and, unless it is a pass, what to do."""

    area: str
    outcome: Outcome
    found: str
    advice: str = ""


def examine(make_pipeline: Callable[[], Pipeline]) -> Iterator[Finding]:
    """Yield the findings in the order of a run; an area that cannot be checked is a failure, and the rest goes on."""
    yield Finding("versions", "pass", _versions())
    try:
        pipeline = make_pipeline()
    except ConfigError as exc:
        yield from (Finding("settings", "failure", problem, exc.advice) for problem in exc.problems)
        return
    yield from _guarded("settings", _settings(pipeline))
    yield from _scratch(remove_leftovers())
    yield from _guarded("model", _shapes(pipeline.model))
    yield from _guarded("source", _source(pipeline))
    yield from _guarded("model", _selects(pipeline))
    for name, bucket in (("ingestion", lambda: pipeline.ingestion), ("processed", lambda: pipeline.processed)):
        yield from _guarded(name, _bucket(name, bucket))
    yield from _guarded("pointer", _pointer(pipeline))
    yield from _guarded("warehouse", _warehouse(pipeline))


def _guarded(area: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except TidemarkError as exc:
        yield Finding(area, "failure", exc.message, exc.advice)


def _versions() -> str:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    libpq = psycopg.pq.version()
    shown = f"libpq {libpq // 10000}.{libpq % 10000}"
    return f"tidemark {__version__}, Python {platform.python_version()}, {libraries}, {shown}"


def _settings(pipeline: Pipeline) -> Iterator[Finding]:
    model = pipeline.model
    tables = f"{len(model.sources)} source tables, {len(model.stars)} star tables"
    yield Finding("settings", "pass", f"model {model.name} at {model.directory}: {tables}")


def _scratch(left: Leftovers) -> Iterator[Finding]:
    """Say what commands that were killed left in the temporary directory, and that it was removed."""
    if left.removed:
        freed = f"{left.size_bytes / MEGABYTE:.1f} MB"
        found = f"removed {left.removed} scratch folders of killed commands from {left.place}: {freed}"
        yield Finding("scratch", "pass", found)
    elif not left.unsure:
        yield Finding("scratch", "pass", f"{left.place} holds nothing of killed commands")
    if left.unsure:
        found = f"{left.place} is no file system of this machine, so nothing tells whether these scratch folders are"
        found += f" in use: {', '.join(left.unsure)}"
        advice = "set TMPDIR to a directory on a local disk; remove the folders once no Tidemark runs on any machine"
        yield Finding("scratch", "hint", found, advice)


def _shapes(model: Model) -> Iterator[Finding]:
    wrong = faults_of_tables(model, limits_of(model))
    yield from (Finding("model", "failure", fault, f"mend {model.directory / 'warehouse.sql'}") for fault in wrong)


def _selects(pipeline: Pipeline) -> Iterator[Finding]:
    """Bind each SELECT of the model against the columns that the source has now, and compare it with its table."""
    model = pipeline.model
    try:
        columns, limits = _source_columns(pipeline), _declared(pipeline)
    except TidemarkError as exc:
        found = f"the SELECTs cannot be compared with source and warehouse: {exc.message}"
        yield Finding("model", "hint", found, "mend what is said of these two, and run tidemark doctor again")
        return
    if pipeline.settings.model == Settings.model and not all(columns.values()):
        found = f"no model is named, so it is {model.name!r}, and the source lacks tables of it"
        yield Finding("model", "hint", found, "if the source is another database, name its model: TIDEMARK_MODEL")
    with open_engine([]) as engine:
        bound = bind(engine, model, columns, limits, columns.keys(), columns.keys())
    terms = (
        broken_terms(name, table.key, table.moments, columns[name])
        for name, table in model.sources.items()
        if columns[name] and {*table.key, *table.moments} <= {each.name for each in columns[name]}
    )
    wrong = [*(term for of_table in terms for term in of_table), *bound.mistakes, *bound.found]
    yield from (Finding("model", "failure", fault, f"mend the model at {model.directory}") for fault in wrong)
    if not wrong and len(bound.yielded) == len(model.stars):
        yield Finding("model", "pass", f"{len(model.stars)} SELECTs can read the source and fill their tables")


def _source_columns(pipeline: Pipeline) -> dict[str, list[Column]]:
    tables = list(pipeline.model.sources.values())
    places = {"schemas": [table.schema for table in tables], "tables": [table.name for table in tables]}
    columns: dict[str, list[Column]] = {table.name: [] for table in tables}
    with _connected(pipeline.source_url, "source") as cursor:
        for row in cursor.execute(query("source", "columns"), places):
            columns[row["table_name"]].append(Column(row["column_name"], row["type"], row["nullable"]))
    return columns


def _declared(pipeline: Pipeline) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits of the star's columns; of a table that DuckDB cannot make, what the warehouse says of it."""
    limits = limits_of(pipeline.model)
    unknown = [name for name, columns in limits.items() if not columns]
    if not unknown:
        return limits
    with _connected(pipeline.warehouse_url, "warehouse") as cursor:
        schema = cursor.execute("select current_schema() as schema").fetchone() or {}
        rows = cursor.execute(query("warehouse", "columns"), schema).fetchall()
    found: dict[str, dict[str, Limit]] = {name: {} for name in unknown}
    for row in rows:
        if row["table_name"] in found:
            has_default = row["default_expression"] is not None
            found[row["table_name"]][row["column_name"]] = Limit("VARCHAR", row["is_not_null"], has_default=has_default)
    return {**limits, **found}


def _source(pipeline: Pipeline) -> Iterator[Finding]:
    url = pipeline.source_url
    with _connected(url, "source") as cursor:
        server = _one(cursor, "server")
        yield Finding("source", "pass", f"{where(url)}: PostgreSQL {server['version']}, as role {server['role']}")
        if server["major_version"] < OLDEST_SOURCE:
            advice = f"move it to PostgreSQL {OLDEST_SOURCE} or newer"
            yield Finding("source", "failure", f"PostgreSQL {server['version']} cannot hash whole rows", advice)
        if not server["may_identify"]:
            advice = f"grant execute on function pg_control_system() to {_name(server['role'])}"
            yield Finding("source", "failure", "the role may not ask which server this is", advice)
        yield from _too_much("source", cursor, server)
        if server["connection_limit"] == 1:
            found = "the role may have one connection only: a long poll cannot see who waits for its locks"
            yield Finding("source", "hint", found, f"alter role {_name(server['role'])} connection limit 2")
        if server["encoding"] == "SQL_ASCII":
            found = "the database has the encoding SQL_ASCII, which checks nothing: bytes that are no UTF-8 end a poll"
            yield Finding("source", "hint", found, "restore it into a database with the encoding that its text has")
        yield from _source_visibility(cursor, _name(server["role"]))
        yield from _source_tables(cursor, pipeline.model, _name(server["role"]), is_superuser=server["is_superuser"])
        yield from _source_keys(cursor.connection, pipeline.model)
    # Outside of the block, because the role may be allowed one connection only.
    if not server["is_superuser"]:
        yield from _source_writes(url, _name(server["role"]))


def _source_visibility(cursor: psycopg.Cursor[dict[str, Any]], role: str) -> Iterator[Finding]:
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


def _too_much(
    area: Literal["source", "warehouse"], cursor: psycopg.Cursor[dict[str, Any]], server: Mapping[str, Any]
) -> Iterator[Finding]:
    role, connection = _name(server["role"]), cursor.connection
    if server["is_superuser"]:
        found = f"the role {role} is a superuser, which may do anything at all"
        yield Finding(area, "hint", found, f"tidemark doctor --sql {area} prints a role with just the rights it needs")
    # The address itself, whatever name was given for it; empty for a socket.
    if not connection.pgconn.ssl_in_use and not is_local(connection.info.hostaddr):
        found = "the connection is not encrypted: anybody on the way can read it"
        yield Finding(area, "hint", found, "take sslmode out of the URL, or set it to verify-full")


def _source_writes(url: str, role: str) -> Iterator[Finding]:
    found, remedies = possible_writes(url, role, "tidemark doctor")
    if found:
        yield Finding("source", "hint", f"the role may {' and '.join(found)}, which a poll never does", remedies)
    else:
        yield Finding("source", "pass", "what the role tries to write is refused")


def _source_tables(
    cursor: psycopg.Cursor[dict[str, Any]], model: Model, role: str, *, is_superuser: bool
) -> Iterator[Finding]:
    places: dict[str, list[str | None]] = {
        "schemas": [table.schema for table in model.sources.values()],
        "tables": list(model.sources),
        "updated": [table.updated for table in model.sources.values()],
    }
    rows = {row["table_name"]: row for row in cursor.execute(query("doctor", "source_tables"), places)}
    unique = {
        (row["table_name"], frozenset(row["columns"])) for row in cursor.execute(query("source", "unique_keys"), places)
    }
    kinds = {row["table_name"]: row for row in cursor.execute(query("source", "kinds"), places)}
    # A materialised view cannot say that its columns are not null; a poll asks its rows.
    columns = {
        (row["table_name"], row["column_name"]): row["nullable"] and kinds[row["table_name"]]["kind"] != MATERIALIZED
        for row in cursor.execute(query("source", "columns"), places)
    }
    failures = {
        name: [
            *(_kind(name, kinds.get(name)) or _shape(table, rows[name], unique, columns)),
            *_rights(table, rows[name], role),
        ]
        for name, table in model.sources.items()
    }
    for found, advice in (failure for of_table in failures.values() for failure in of_table):
        yield Finding("source", "failure", found, advice)
    sound = [table for name, table in model.sources.items() if not failures[name]]
    if sound:
        found = f"{len(sound)} of {len(model.sources)} tables have a unique key and may be read"
        yield Finding("source", "pass", found)
    written = [_name(table.schema, table.name) for table in sound if rows[table.name]["may_write"]]
    if written and not is_superuser:
        listed = ", ".join(written)
        found = f"the role may also write {listed}, which a poll never does"
        yield Finding("source", "hint", found, f"revoke insert, update, delete, truncate on {listed} from {role}")
    without_index = [
        (rows[table.name]["pages"], f"{_name(table.schema, table.name)} ({_name(str(table.updated))})")
        for table in sound
        if not rows[table.name]["has_cursor_index"]
    ]
    if without_index:
        named = ", ".join(name for _, name in sorted(without_index, reverse=True))
        found = f"there is no index for the cursor, so every poll reads these from end to end: {named}"
        advice = f"for large tables: create index concurrently on {max(without_index)[1]}"
        yield Finding("source", "hint", found, advice)


def _source_keys(connection: psycopg.Connection, model: Model) -> Iterator[Finding]:
    """Name the keys of which the source calls two texts equal that are two keys of the log."""
    keys = [(table.schema, table.name, name) for table in model.sources.values() for name in table.key]
    for each in unlike_text(connection, keys):
        named = _name(model.sources[each.table].schema, each.table, each.column)
        found = (
            f"two texts of the key {named} are two keys here, though the source may call them equal: it {each.reason}"
        )
        advice = "nothing is lost: the row of the one text ends, that of the other begins; write text in warehouse.sql"
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
    named = f"table {_name(table.schema, table.name)}"
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


def _rights(table: SourceTable, row: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    named = _name(table.schema, table.name)
    if row["is_there"] and not row["may_select"]:
        grant = f"grant usage on schema {_name(table.schema)} to {role}; grant select on {named} to {role}"
        yield f"the role may not read {named}", grant
    elif row["is_filtered"]:
        yield (
            f"a policy hides rows of {named} from the role",
            f"alter role {role} bypassrls, or read as the table's owner",
        )


def _bucket(area: str, open_bucket: Callable[[], Objects]) -> Iterator[Finding]:
    bucket = open_bucket()
    next(bucket.list("batches/"), None)
    yield Finding(area, "pass", f"{bucket.url('batches').removesuffix('/batches')} can be listed")
    key = f"doctor-{uuid.uuid4().hex}"
    bucket.put_new(key, b"one")
    try:
        bucket.put_new(key, b"other")
    except ObjectExistsError:
        yield Finding(area, "pass", "an object can be put, and only once")
    else:
        advice = "use S3, or a store that honours If-None-Match: without it two runs could overwrite each other"
        yield Finding(area, "failure", "a put that must only make a new object replaced one", advice)
    if batches := bucket.local_path("batches"):
        yield from _privacy(area, batches.parent)
    try:
        bucket.delete([key])
    except TidemarkError as exc:
        yield Finding(area, "hint", f"{exc.message}; it is part of nothing", f"delete {bucket.url(key)}")


def _pointer(pipeline: Pipeline) -> Iterator[Finding]:
    if not pipeline.settings.pointer.startswith("ssm:"):
        yield from _privacy("pointer", Path(pipeline.settings.pointer).expanduser().absolute())
    pointer = pipeline.pointer.read()
    found = f"{pipeline.settings.pointer}: batch {pointer.batch}" if pointer else "none yet: the first run makes it"
    yield Finding("pointer", "pass", found)


def _privacy(area: str, place: Path) -> Iterator[Finding]:
    if is_open(place):
        found = f"every user of this machine can read {place}, which holds what the source holds"
        yield Finding(area, "hint", found, f"chmod -R go-rwx {shlex.quote(str(place))}")


def _warehouse(pipeline: Pipeline) -> Iterator[Finding]:
    url, model = pipeline.warehouse_url, pipeline.model
    with _connected(url, "warehouse") as cursor:
        server = _one(cursor, "server")
        role = _name(server["role"])
        yield Finding("warehouse", "pass", f"{where(url)}: PostgreSQL {server['version']}, as role {role}")
        if not server["may_stage"]:
            advice = f"grant temporary on database {_name(cursor.connection.info.dbname)} to {role}"
            yield Finding(
                "warehouse", "failure", "the role may not make temporary tables, which load and verify need", advice
            )
        yield from _too_much("warehouse", cursor, server)
        if server["encoding"] != "UTF8":
            found = f"the database has the encoding {server['encoding']}: a character that it lacks ends a load"
            yield Finding("warehouse", "hint", found, "make the warehouse in a database with the encoding UTF8")
        rows = _tables(cursor, (*model.stars, LEDGER))
        unfit = faults_of_keys(cursor.connection, model, server["schema_name"])
    missing = [row["reference"] for row in rows if not row["is_there"]]
    closed = [row["reference"] for row in rows if row["is_there"] and not row["may_write"]]
    if missing:
        # Tables that held rows are not only to be made.
        misfit = None if LEDGER in missing else misfit_of(url, list(model.stars.values()))
        advice = misfit.advice if misfit else "run tidemark init"
        yield Finding("warehouse", "failure", f"tables are missing: {', '.join(missing)}", advice)
    if closed:
        advice = f"grant select, insert, update on {', '.join(closed)} to {role}"
        yield Finding("warehouse", "failure", f"the role may not write {', '.join(closed)}", advice)
    if missing or closed:
        return
    yield Finding("warehouse", "pass", f"{len(rows)} tables may be written")
    yield from (Finding("warehouse", "failure", fault, WRITE_TEXT) for fault in unfit)
    if not unfit:
        yield from _tables_of_the_model(url, model)
    if not misfit_of(url, list(model.stars.values())) and (refused := refusal(url, pipeline.processed, model)):
        yield Finding("warehouse", "failure", refused.message, refused.advice)


def _tables_of_the_model(url: str, model: Model) -> Iterator[Finding]:
    if misfit := misfit_of(url, list(model.stars.values())):
        yield Finding("warehouse", "failure", misfit.message, misfit.advice)
    try:
        statements = plan_init(url, model)
    except ConfigError as exc:
        if exc.facts.get("sqlstate") != NO_RIGHT:
            raise
        yield Finding("warehouse", "hint", exc.message, exc.advice)
        return
    if statements:
        what = "; ".join(map(headline, statements[:MOST_STATEMENTS])) + ("; …" if statements[MOST_STATEMENTS:] else "")
        found = f"the tables are not those of the model: {len(statements)} statements are to be run: {what}"
        yield Finding("warehouse", "failure", found, "run tidemark init; with --dry-run it shows them")
    else:
        yield Finding("warehouse", "pass", "the tables are those of the model")


def _tables(cursor: psycopg.Cursor[dict[str, Any]], tables: Sequence[str]) -> list[dict[str, Any]]:
    # The ledger is named with its schema; the search path finds all other tables.
    references = [name if name == LEDGER else _name(name) for name in tables]
    places = {"tables": list(tables), "references": references}
    return cursor.execute(query("doctor", "warehouse_tables"), places).fetchall()


@contextmanager
def _connected(url: str, name: str) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
    connection = connect(url, application="tidemark doctor", only_reads=True)
    with (
        closing(connection),
        translated(f"the {name} at {where(url)}"),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        yield cursor


def _one(cursor: psycopg.Cursor[dict[str, Any]], name: str) -> Mapping[str, Any]:
    return cursor.execute(query("doctor", name)).fetchone() or {}


def _name(*parts: str) -> str:
    """Write an identifier as SQL takes it, in quotes only where it needs them: people paste what is printed here."""
    return ".".join(part if PLAIN_NAME.fullmatch(part) else sql.Identifier(part).as_string() for part in parts)
