"""The laws of the warehouse: what must hold between its rows, whatever the star says.

The first two laws: the tables are those of the ledger, and everything that the model makes is there. Most others follow
from the model as well: references find their rows, a key's versions meet, the views show what is live, the calendar
holds whole years. In addition each file of the model's `checks/` is a law of that model alone.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.disclosure import told
from tidemark.errors import ConfigError
from tidemark.lake.sqltext import OWN
from tidemark.model import Model, StarTable
from tidemark.postgres.queries import query
from tidemark.postgres.statements import headline
from tidemark.report import Progress, quiet
from tidemark.verification.causes import CHECKS, FIT, LAWS, OBJECTS, VIEWS
from tidemark.verification.result import MOST_DIFFERENCES, Difference, Edge, TableProof
from tidemark.verification.star_warehouse import WarehouseSnapshot
from tidemark.warehouse.fact_views import is_possible
from tidemark.warehouse.marks import misfit_error, misfits
from tidemark.warehouse.model_objects import NO_RIGHT
from tidemark.warehouse.schema import still_needed

OF_OBJECTS = "the model was changed since tidemark init, or somebody changed or dropped what it makes"


@dataclass(frozen=True)
class Law:
    """A law: its name, and statements, each of which returns rows that break it.

    `note` says what could not be checked.
    """

    name: str
    statements: Sequence[sql.Composable]
    note: str = ""


def laws_of_warehouse(
    model: Model, warehouse: WarehouseSnapshot, progress: Progress = quiet, *, ahead: Collection[str] = ()
) -> Edge:
    """Check every law, one after the other; a broken law has no cause yet. For `ahead` see `laws`."""
    if not warehouse.batch:
        return Edge(LAWS, skipped="the warehouse holds no batch yet", advice="tidemark load")
    cases = [(law.name, partial(checked, law, warehouse)) for law in laws(model, warehouse, ahead)]
    proofs = []
    first = [(FIT, partial(fit, model, warehouse)), (OBJECTS, partial(objects_of_model, model, warehouse))]
    for name, check in [*first, *cases]:
        started = time.perf_counter()
        progress(f"verify {LAWS}", name, 0, 0, 0.0)
        proofs.append(check())
        progress(f"verify {LAWS}", name, 0, 0, time.perf_counter() - started)
    return Edge(LAWS, warehouse.batch, tuple(proofs))


def fit(model: Model, warehouse: WarehouseSnapshot) -> TableProof:
    """Prove that the tables are those that the ledger speaks of, as load does before it loads."""
    try:
        with warehouse.connection.transaction():
            found = misfits(warehouse.connection, list(model.stars.values()))
    except psycopg.errors.InsufficientPrivilege as exc:
        return TableProof(FIT, note=f"cannot be compared: {exc.diag.message_primary}")
    if not found:
        return TableProof(FIT)
    error = misfit_error(found, warehouse.what)
    return TableProof(FIT, problem=error.message, cause="somebody altered one of the two", advice=error.advice)


def objects_of_model(model: Model, warehouse: WarehouseSnapshot) -> TableProof:
    """Prove that the warehouse has all that the model makes: tables, indexes, views, functions, comments, rights.

    Raises:
        psycopg.OperationalError: the warehouse is away.
    """
    try:
        statements = still_needed(warehouse.connection, model, with_records=False)
    except ConfigError as exc:
        if exc.facts.get("sqlstate") == NO_RIGHT:
            return TableProof(OBJECTS, note=exc.message)
        return TableProof(OBJECTS, problem=exc.message, cause=OF_OBJECTS, advice=exc.advice)
    shown = [headline(each) for each in statements[:MOST_DIFFERENCES]]
    problem = f"tidemark init would run: {'; '.join(shown)}" if shown else ""
    return TableProof(
        OBJECTS, problem=problem, cause=OF_OBJECTS if shown else "", advice="tidemark init" if shown else ""
    )


def laws(model: Model, warehouse: WarehouseSnapshot, ahead: Collection[str] = ()) -> Iterator[Law]:
    """Give the laws of a model: those that follow from its tables, then its own.

    A calendar among the tables that are `ahead` of the warehouse's batch may have years of facts that are not loaded.
    """
    tables = _Tables(model, warehouse)
    yield Law("references", [tables.references(fact) for fact in model.facts if tables.referred(fact)])
    yield Law("intervals", [tables.versions("intervals", star) for star in model.versioned])
    yield Law("current versions", [tables.versions("current_versions", star) for star in model.versioned])
    obstacles = {star.name: tables.obstacle(star) for star in model.versioned}
    shown = [tables.current_rows(star) for star in model.versioned if not obstacles[star.name]]
    yield Law(VIEWS, shown, "; ".join(filter(None, obstacles.values())))
    for calendar in (star for star in model.dimensions if star.kind == "calendar"):
        yield Law("calendar", [tables.calendar(calendar, may_be_ahead=calendar.name in ahead)])
    for name, check in model.checks.items():
        yield Law(CHECKS + name, [sql.SQL(check.strip().removesuffix(";"))])


def checked(law: Law, warehouse: WarehouseSnapshot) -> TableProof:
    """Find the rows that break a law, and name the first of them.

    Raises:
        psycopg.OperationalError: the warehouse is away.
    """
    count = 0
    found: list[Difference] = []
    try:
        for statement in law.statements:
            total, rows = _breaches(statement, warehouse.connection)
            count += total
            found += [Difference("broken", row) for row in rows]
    except psycopg.OperationalError:
        raise
    except psycopg.Error as exc:
        problem = f"cannot be checked: {told(exc)}"
        cause = "the role may not read what it needs, or the tables are not those of the model"
        return TableProof(law.name, problem=problem, cause=cause, advice="tidemark doctor")
    return TableProof(law.name, count=count, differences=tuple(found[:MOST_DIFFERENCES]), note=law.note)


def _breaches(statement: sql.Composable, connection: psycopg.Connection) -> tuple[int, list[Mapping[str, str | None]]]:
    """Return how many rows break a law, and the first of them as the texts that Postgres writes."""
    asked = query("laws", "breaches", breaches=statement, most=sql.Literal(MOST_DIFFERENCES))
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        # A check is SQL that somebody else wrote, so the server itself keeps it from writing anything.
        connection.execute("set transaction read only")
        result = cursor.execute(asked).pgresult
        names = [column.name for column in cursor.description or ()]
        rows = range(result.ntuples if result else 0)
        texts = [[result.get_value(row, at) for at in range(len(names))] for row in rows] if result else []
    # What a law adds to a user's columns is shown without the prefix that keeps the two apart.
    plain = [name.removeprefix(OWN) for name in names]
    shown = [name if other in names else other for name, other in zip(names, plain, strict=True)]
    found = [[None if each is None else each.decode() for each in row] for row in texts]
    # The first column counts the rows.
    return (int(found[0][0] or 0) if found else 0), [dict(zip(shown[1:], row[1:], strict=True)) for row in found]


@dataclass(frozen=True)
class _Tables:
    """A model's tables in the warehouse, and the statements of the laws over them."""

    model: Model
    warehouse: WarehouseSnapshot

    def references(self, fact: StarTable) -> sql.Composable:
        """Write the statement that finds a fact's references that find no row."""
        return _union(
            query(
                "laws",
                "reference",
                **self._parts(fact),
                column=sql.Identifier(column),
                column_name=sql.Literal(column),
                dimension=self._named(dimension),
                dimension_key=sql.Identifier(self.model.stars[dimension].row_key[0]),
            )
            for column, dimension in self.referred(fact).items()
        )

    def referred(self, fact: StarTable) -> Mapping[str, str]:
        """Give a fact's references, without those to a dimension that is new in the model and not loaded yet."""
        loaded = [row.checksums or row.row_counts for row in self.warehouse.ledger]
        # A ledger without rows, or a row that names no table, says nothing about what is loaded.
        if not loaded or not all(loaded):
            return fact.references
        return {column: name for column, name in fact.references.items() if any(name in tables for tables in loaded)}

    def versions(self, law: str, star: StarTable) -> sql.Composable:
        """Write the statement of a law over the versions that a table has of each key."""
        key = sql.SQL(", ").join(map(sql.Identifier, star.source_key))
        return query("laws", law, **self._parts(star), source_key=key)

    def current_rows(self, star: StarTable) -> sql.Composable:
        """Write the statement that compares the rows of a table's view with the table's live rows."""
        if star.mirror:
            keys = (star.mirror.key, star.source_key)
            shown, live = (sql.SQL(", ").join(map(sql.Identifier, key)) for key in keys)
            parts = {name: part for name, part in self._parts(star).items() if name != "key"}
            view = sql.Identifier(*star.view)
            return query("laws", "mirrored_rows", **parts, view=view, shown_key=shown, live_key=live)
        return query("laws", "current_rows", **self._parts(star), view=self._named(star.view[-1]))

    def obstacle(self, star: StarTable) -> str:
        """Say why a table's view cannot be checked; empty where it can."""
        view = star.view[-1]
        if not is_possible(view):
            return f"there is no {view}: its name is too long"
        with self.warehouse.connection.cursor(row_factory=dict_row) as cursor:
            named = {"view": (sql.Identifier(*star.view) if star.mirror else self._named(view)).as_string()}
            row = cursor.execute(query("laws", "view"), named).fetchone() or {}
        if not row["columns"]:
            return f"there is no {view}: tidemark init makes it"
        if not star.mirror and star.key[0] not in row["columns"]:
            return f"{view} is the model's own and has no column {star.key[0]}"
        return "" if row["may_select"] else f"the role may not read {view}"

    def calendar(self, calendar: StarTable, *, may_be_ahead: bool) -> sql.Composable:
        """Write the statement that compares the calendar with the years that facts name."""
        days = _union(
            query("laws", "named_days", fact=self._named(fact.name), column=sql.Identifier(column))
            for fact in self.model.facts
            for column, dimension in fact.references.items()
            if dimension == calendar.name
        )
        return query(
            "laws",
            "calendar",
            days=days,
            calendar=self._named(calendar.name),
            table_name=sql.Literal(calendar.name),
            key=sql.Identifier(calendar.key[0]),
            may_be_ahead=sql.Literal(may_be_ahead),
        )

    def _parts(self, star: StarTable) -> dict[str, sql.Composable]:
        return {
            "table_name": sql.Literal(star.name),
            "fact": sql.Identifier(*star.place) if star.mirror else self._named(star.name),
            "key": sql.Identifier(star.version_key[0]),
        }

    def _named(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.warehouse.schema, table)


def _union(statements: Iterable[sql.Composable]) -> sql.Composable:
    """Join statements with `union all`; without any, write one that yields no day."""
    listed = list(statements)
    return (
        sql.SQL("\nunion all\n").join(listed) if listed else sql.SQL("select null::date as _tidemark_day where false")
    )
