"""The warehouse: its server, what the role may do, and whether its tables are those of the model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg

from tidemark.belonging import refusal
from tidemark.doctor.databases import connected, one_row, sql_name, too_much
from tidemark.doctor.finding import Finding
from tidemark.errors import ConfigError
from tidemark.mirror import Mirror
from tidemark.model import Model, StarTable
from tidemark.pipeline import Pipeline
from tidemark.postgres.connection import where
from tidemark.postgres.queries import query
from tidemark.postgres.statements import headline
from tidemark.warehouse.column_types import WRITE_TEXT, faults_of_keys
from tidemark.warehouse.model_objects import NO_RIGHT
from tidemark.warehouse.schema import plan_init
from tidemark.warehouse.session import misfit_of

LEDGER, RECORDS = "tidemark.batch", "tidemark.run"
MOST_STATEMENTS = 5


def examine_warehouse(pipeline: Pipeline) -> Iterator[Finding]:
    """Examine the warehouse by sessions that only read, and by an init that is rolled back."""
    url, model = pipeline.warehouse_url, pipeline.whole_model
    stars = list(model.stars.values())
    with connected(url, "warehouse") as cursor:
        server = one_row(cursor, "server")
        role = sql_name(server["role"])
        yield Finding("warehouse", "pass", f"{where(url)}: PostgreSQL {server['version']}, as role {role}")
        yield from _server(cursor, server, role)
        rows = _tables(cursor, stars)
        unfit = faults_of_keys(cursor.connection, model, server["schema_name"])
        unrecorded = list(_records(cursor, role))
    missing = [row["reference"] for row in rows if not row["is_there"]]
    closed = [row["reference"] for row in rows if row["is_there"] and not row["may_write"]]
    if missing:
        yield from _missing(pipeline, missing, server, role)
    if closed:
        advice = f"grant select, insert, update on {', '.join(closed)} to {role}"
        yield Finding("warehouse", "failure", f"the role may not write {', '.join(closed)}", advice)
    if missing or closed:
        return
    yield Finding("warehouse", "pass", f"{len(rows)} tables may be written")
    yield from unrecorded
    yield from (Finding("warehouse", "failure", fault, WRITE_TEXT) for fault in unfit)
    misfit = misfit_of(url, stars)
    if misfit:
        yield Finding("warehouse", "failure", misfit.message, misfit.advice)
    if not unfit:
        yield from _tables_of_the_model(url, model)
    if not misfit and (refused := refusal(url, pipeline.processed, model)):
        yield Finding("warehouse", "failure", refused.message, refused.advice)


def _records(cursor: psycopg.Cursor[dict[str, Any]], role: str) -> Iterator[Finding]:
    if not one_row(cursor, "may_record")["may_record"]:
        found = f"{RECORDS} is missing, or the role may not write it: runs are recorded beside the pointer instead"
        advice = f"run tidemark init, then grant select, insert, delete on {RECORDS} to {role}"
        yield Finding("warehouse", "hint", found, advice)


def _missing(pipeline: Pipeline, missing: Sequence[str], server: Mapping[str, Any], role: str) -> Iterator[Finding]:
    """Say who makes the tables that are missing; a mirror's next load makes those that never were."""
    stars = list(pipeline.model.stars.values())
    misfit = None if LEDGER in missing else misfit_of(pipeline.warehouse_url, stars)
    if misfit or not isinstance(pipeline.model, Mirror):
        # Tables that held rows are not only to be made.
        advice = misfit.advice if misfit else "run tidemark init"
        yield Finding("warehouse", "failure", f"tables are missing: {', '.join(missing)}", advice)
        return
    if server["may_create"]:
        yield Finding("warehouse", "pass", f"the next load makes {', '.join(missing)}")
        return
    found = f"the role may not make schemas, and the next load is to make {', '.join(missing)}"
    yield Finding("warehouse", "failure", found, f"tidemark doctor --sql warehouse prints what {role} needs")


def _server(cursor: psycopg.Cursor[dict[str, Any]], server: Mapping[str, Any], role: str) -> Iterator[Finding]:
    if not server["may_stage"]:
        found = "the role may not make temporary tables, which load and verify need"
        advice = f"grant temporary on database {sql_name(cursor.connection.info.dbname)} to {role}"
        yield Finding("warehouse", "failure", found, advice)
    yield from too_much("warehouse", cursor, server)
    if server["encoding"] != "UTF8":
        found = f"the database has the encoding {server['encoding']}: a character that it lacks ends a load"
        yield Finding("warehouse", "hint", found, "make the warehouse in a database with the encoding UTF8")


def _tables_of_the_model(url: str, model: Model) -> Iterator[Finding]:
    try:
        statements = plan_init(url, model, with_records=False)
    except ConfigError as exc:
        if exc.facts.get("sqlstate") != NO_RIGHT:
            raise
        yield Finding("warehouse", "hint", exc.message, exc.advice)
        return
    if statements and isinstance(model, Mirror):
        yield Finding(
            "warehouse", "pass", f"the next load runs {len(statements)} statements, so that it follows the source"
        )
    elif statements:
        what = "; ".join(map(headline, statements[:MOST_STATEMENTS])) + ("; …" if statements[MOST_STATEMENTS:] else "")
        found = f"the tables are not those of the model: {len(statements)} statements are to be run: {what}"
        yield Finding("warehouse", "failure", found, "run tidemark init; with --dry-run it shows them")
    else:
        yield Finding("warehouse", "pass", "the tables are those of the model")


def _tables(cursor: psycopg.Cursor[dict[str, Any]], stars: Sequence[StarTable]) -> list[dict[str, Any]]:
    # The ledger is named with its schema, and so are the tables of a mirror; the search path finds all others.
    references = {star.name: sql_name(*star.place) for star in stars} | {LEDGER: LEDGER}
    places = {"tables": list(references), "references": list(references.values())}
    return cursor.execute(query("doctor", "warehouse_tables"), places).fetchall()
