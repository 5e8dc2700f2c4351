"""A model against its source: the catalogue, and each SELECT on a sample of the source's rows.

The sample is read in one transaction that only reads, and lies in the engine's scratch directory until the check ends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import duckdb

from tidemark.capture.kinds import obstacle
from tidemark.capture.snapshot import Snapshot
from tidemark.capture.snapshot import places as places_of
from tidemark.capture.source import open_source
from tidemark.disclosure import told
from tidemark.doctor.databases import connected, one_row, sql_name
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import Rows, Select, from_lines, names, select
from tidemark.log.columns import Column, broken_terms
from tidemark.model import Model, SourceTable, StarTable
from tidemark.model_source import written
from tidemark.modelling.catalogue import Place, asked
from tidemark.modelling.own_files import faults_of_derivation, faults_of_syntax, with_stars
from tidemark.modelling.places import TOML, Places
from tidemark.modelling.problem import Problem, likely
from tidemark.postgres.connection import connect
from tidemark.postgres.queries import query
from tidemark.star.binding import bind
from tidemark.star.limits import known_limits_of
from tidemark.star.passing import seen_by
from tidemark.star.shape import faults_of_tables
from tidemark.star.star_sql import typed
from tidemark.tables.statements import completed

SAMPLED_ROWS = 300
Columns = Mapping[str, Sequence[Column]]


def examine(engine: Engine, url: str, model: Model, places: Places) -> tuple[list[Problem], dict[str, int]]:
    """Check a model against its source.

    Returns:
        What is wrong, and how many rows of each source table the SELECTs ran on.

    Raises:
        TransientError: the source cannot be reached, or a lock was not to be had.
    """
    with closing(connect(url, application="tidemark model", only_reads=True)) as connection:
        problems = list(faults_of_syntax(connection, model, places))
    bad = list(_catalogue(url, model, places))
    problems += [problem for _, problem in bad]
    sound = {name: table for name, table in model.sources.items() if name not in {name for name, _ in bad}}
    sampled: dict[str, int] = {}
    with open_source(url) as source, source.snapshot(sound.values()) as snapshot:
        columns = {name: snapshot.columns(table) for name, table in sound.items()}
        places.columns |= {column.name for found in columns.values() for column in found}
        places.in_source = {name: {each.name: written(each) for each in found} for name, found in columns.items()}
        problems += map(places.problem, _terms(sound.values(), columns))
        problems += (_without_key(table, places) for table in sound.values() if not snapshot.has_unique_key(table))
        rows = {}
        for name, table in sound.items():
            rows[name], sampled[name] = _sampled(engine, snapshot, table)
    readable = {name: star for name, star in model.stars.items() if all(each in sound for each in star.reads)}
    fit = with_stars(model, readable)
    problems += _bound(engine, fit, columns, places)
    broken = {problem.file for problem in problems}
    for star in readable.values():
        if f"{star.path}.sql" not in broken:
            problems += _run(engine, fit, star, {name: (rows[name], columns[name]) for name in star.reads}, places)
    return problems, sampled


def _bound(engine: Engine, model: Model, columns: Columns, places: Places) -> list[Problem]:
    """Find SELECTs that cannot read the source's columns, or yield what does not fit their tables."""
    whole = completed(model, columns)
    limits = known_limits_of(whole)
    bound = bind(engine, whole, columns, limits, columns.keys(), columns.keys())
    known = [*(faults_of_derivation(whole, places) if whole is not model else ())]
    known += map(places.problem, faults_of_tables(whole, limits) if whole is not model else ())
    return [*known, *map(places.problem, (*bound.mistakes, *bound.found))]


def _terms(tables: Iterable[SourceTable], columns: Columns) -> Iterator[str]:
    for table in tables:
        yield from broken_terms(table.name, table.key, table.moments, columns[table.name])


def _without_key(table: SourceTable, places: Places) -> Problem:
    said = f"[source.{table.name}] key {list(table.key)} has no unique index over it, with all columns not null"
    return Problem(TOML, places.in_toml("source", table.name, "key"), said, "give it one, or mend the key")


def _sampled(engine: Engine, snapshot: Snapshot, table: SourceTable) -> tuple[Rows, int]:
    """Read some rows of a table into a scratch file."""
    path = engine.new_file(".copy")
    with path.open("wb") as file:
        # The reader passes over the line before the rows.
        file.write(b"\n")
        file.writelines(snapshot.sample(table, SAMPLED_ROWS))
    types = {column.name: column.log_type for column in snapshot.columns(table)}
    rows = from_lines([path], {**types, "_hash": "VARCHAR"}, path.stat().st_size)
    return select("files", "fields", fields=names(types), rows=rows).rows, engine.count(rows)


def _run(
    engine: Engine, model: Model, star: StarTable, read: Mapping[str, tuple[Rows, Sequence[Column]]], places: Places
) -> Iterator[Problem]:
    """Run a SELECT on the sample; what it does to the sample, it does to the whole."""
    file = f"{star.path}.sql"
    engine.seeds(model.seeds)
    engine.view("calendar", select("binding", "one_day"))
    seen = seen_by(engine, star, model.sources, {name: read[name][1] for name in star.reads})
    for name in star.reads:
        engine.view(name, typed(read[name][0], seen[name]))
    try:
        with engine.working_tables() as working:
            made = working.of(Select(star.sql))
            count = engine.count(made)
            key = names(star.row_key)
            several = engine.execute(select("modelling", "keys_of_several_rows", key=key, rows=made)).fetchone()
    except duckdb.Error as exc:
        line = places.problem(f"{file}: {told(exc)}").line
        yield Problem(file, line, f"{file} fails on rows of the source: {told(exc)}", "write try_cast(…) for a cast")
        return
    driving = engine.count(read[star.driving][0]) if star.kind == "fact" else 0
    if several:
        named = ", ".join(star.row_key)
        told_so = "join by keys, so that each join finds at most one row"
        yield Problem(file, 1, f"{file} yields several rows for one key ({named})", told_so)
    elif star.kind == "fact" and count < driving and set(star.reads) == {star.driving}:
        said = f"{file} yields {count} rows for {driving} of {star.driving}: expected one row for each"
        yield Problem(file, places.in_file(file, "where", "inner join"), said, "use no filter in a fact")


def _catalogue(url: str, model: Model, places: Places) -> Iterator[tuple[str, Problem]]:
    """Find source tables that are not there, may not be read, or have no such columns."""
    with connected(url, "source") as cursor:
        role = sql_name(one_row(cursor, "server")["role"])
        there = {(row["schema_name"], row["table_name"]): row for row in asked(cursor, "tables")}
        keys = {(row["schema_name"], row["table_name"]): row["columns"] for row in reversed(asked(cursor, "keys"))}
        columns: dict[str, list[str]] = {name: [] for name in model.sources}
        for name, column, *_ in cursor.connection.execute(
            query("source", "columns"), places_of(model.sources.values())
        ):
            columns[name].append(column)
    for table in model.sources.values():
        head, place = f"[source.{table.name}]", (table.schema, table.relation)
        line, named, row = places.in_toml("source", table.name), sql_name(*place), there.get(place)
        if not columns[table.name]:
            yield table.name, Problem(TOML, line, f"{head} {named} is not in the source", _where(place, list(there)))
            continue
        if row is None:
            # Of the system, or of an extension.
            continue
        if unfit := obstacle(table.name, row["kind"], is_populated=row["is_populated"]):
            yield table.name, Problem(TOML, line, f"{head} {unfit}", "name a table, or a materialised view")
        elif not row["may_select"]:
            grant = f"grant usage on schema {sql_name(table.schema)} to {role}; grant select on {named} to {role}"
            yield table.name, Problem(TOML, line, f"{head} the role may not read {named}", grant)
        elif row["is_filtered"]:
            advice = f"alter role {role} bypassrls, or read as the table's owner"
            yield table.name, Problem(TOML, line, f"{head} a policy hides rows of {named} from the role", advice)
        for key, name in _named(table):
            if name not in columns[table.name]:
                unique = keys.get(place, ()) if key == "key" else ()
                meant = ", ".join(unique) or likely(name, columns[table.name])
                advice = f"write {meant}" if meant else f"{named} has {', '.join(columns[table.name])}"
                at = places.in_toml("source", table.name, key)
                said = f"{head} {key} names {name}, and {named} has no such column"
                yield table.name, Problem(TOML, at, said, advice)


def _where(place: Place, there: Sequence[Place]) -> str:
    """Say where a table probably is."""
    schemas = [schema for schema, name in there if name == place[1]]
    if schemas:
        return f'write schema = "{schemas[0]}"'
    meant = likely(place[1], [name for schema, name in there if schema == place[0]])
    return f"write {meant}" if meant else "create it, or take the section out"


def _named(table: SourceTable) -> Iterator[tuple[str, str]]:
    """Give each column that model.toml names, with the key that names it."""
    yield from (("key", name) for name in table.key)
    yield from ((key, name) for key, name in (("created", table.created), ("updated", table.updated)) if name)
