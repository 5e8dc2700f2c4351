"""The warehouse's schema: the statements that a database needs to have the tables that a model describes.

To find out what the model's file asks for, it is run in a schema of its own, which is rolled back. What every fact has
beside its table is generated. Only a view, a function or an index of the model is ever dropped, where it differs and
cannot be replaced; it is then made again.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from tidemark.disclosure import told
from tidemark.errors import ConfigError, DataError
from tidemark.faults import effect
from tidemark.mirror import Mirror
from tidemark.model import Model
from tidemark.postgres.connection import connect, detail_of, translated, where
from tidemark.postgres.queries import query, quoted
from tidemark.postgres.statements import created, headline, made_view, split_statements
from tidemark.postgres.waits import AGAINST_CHANGES, naming_holders
from tidemark.tables.statements import warehouse_sql
from tidemark.warehouse.catalog import Catalog, read_catalog, read_rights
from tidemark.warehouse.column_types import require_keys
from tidemark.warehouse.comparison import compared
from tidemark.warehouse.dependents import require_free, rights_of
from tidemark.warehouse.fact_views import generated
from tidemark.warehouse.marks import require_fit, require_path
from tidemark.warehouse.mirrored_tables import statements_of
from tidemark.warehouse.model_file import Present, located, needed, recorded
from tidemark.warehouse.model_objects import may_compare, reshaped, wanted
from tidemark.warehouse.upgrades import upgrades_of


@dataclass(frozen=True)
class Plan:
    """The statements that a warehouse still needs, in order.

    `shape` gives it its tables and columns. `bounds` needs rows that are right: keys and other constraints, unique
    indexes and what is made over the tables. `unfilled` names the columns that are to be filled in between.
    """

    shape: Sequence[str]
    bounds: Sequence[str]
    unfilled: Sequence[str] = ()


def plan_init(url: str, model: Model, *, with_records: bool = True) -> list[str]:
    """List the statements that `init` would run on a warehouse; see `still_needed`."""
    connection = connect(url, application="tidemark init")
    with connection, translated(f"the warehouse at {where(url)}"):
        statements = still_needed(connection, model, with_records=with_records)
        if statements and not isinstance(model, Mirror) and may_compare(connection):
            # For the errors of the model's file, which nobody would see before the printed SQL is run.
            wanted(connection, model, _current_schema(connection), _statements_run(connection))
        return statements


def still_needed(connection: psycopg.Connection, model: Model, *, with_records: bool = True) -> list[str]:
    """List the statements that a warehouse still needs, in order, each without its semicolon.

    What is made to find out is rolled back. Without `with_records`, a record of runs that is missing counts as nothing:
    it is none of the model's, and a warehouse of an older Tidemark has none.

    Raises:
        ConfigError: the warehouse's tables cannot become those of the model without losing rows, or the role may not
            make what is compared (42501).
    """
    plan = plan_of(connection, model, with_records=with_records)
    if plan.unfilled:
        advice = (
            "tidemark rebuild warehouse adds and fills what the star has. Before that, tidemark rebuild star"
            " --accept-differences gives the star what is new in the model. Or give it a default, or let it be null"
        )
        raise ConfigError.of(plan.unfilled, advice=advice)
    return [*plan.shape, *plan.bounds]


def init(url: str, model: Model) -> list[str]:
    """Create or upgrade the warehouse's tables in one transaction, and return the statements that were run.

    Raises:
        ConfigError: the tables cannot become those of the model without losing rows.
        StateError: the tables do not hold what the ledger says. Those that were gone are made, but not filled.
    """
    what, stars = f"the warehouse at {where(url)}", list(model.stars.values())
    connection = connect(url, application="tidemark init")
    with connection, translated(what):
        # Not beside tables that the search path leads past.
        if _one(connection, query("warehouse", "ledger_is_complete")):
            require_path(connection, stars, what)
        waiting = naming_holders(connection, what, modes=AGAINST_CHANGES)
        with waiting, effect("tables-commit"), connection.transaction():
            if isinstance(model, Mirror):
                # Its loads make a warehouse out of an empty database, each of several that begin at once.
                connection.execute(query("warehouse", "wait_for_turn"))
            statements = still_needed(connection, model)
            with _needing_right_rows(what):
                run_statements(connection, model, statements)
        require_fit(connection, stars, what)
    return statements


def run_statements(connection: psycopg.Connection, model: Model, statements: Sequence[str]) -> None:
    """Run statements of a plan, in the caller's transaction."""
    if isinstance(model, Mirror):
        _follow(connection, statements)
        return
    for statement in statements:
        with located(model, statement):
            connection.execute(statement.encode())
    require_keys(connection, model, _current_schema(connection))


def _follow(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    """Run the statements of a mirror, which nobody wrote."""
    try:
        for statement in statements:
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as exc:
        message = f"the role may not make the mirror's tables follow the source: {told(exc)}"
        advice = (
            "run tidemark init as the owner of the tables, or let the owner run the SQL of tidemark init --dry-run:"
            f" {'; '.join(map(headline, statements))}; nothing was changed"
        )
        raise ConfigError(message, advice=advice, sqlstate=exc.sqlstate) from exc


@contextmanager
def _needing_right_rows(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.IntegrityError as exc:
        message = f"{what} holds rows that break a rule of the model: {told(exc)}"
        message += f" ({detail})" if (detail := detail_of(exc)) else ""
        advice = (
            "tidemark rebuild warehouse makes its rows those of the star, and then the rule holds; nothing was changed"
        )
        raise DataError(message, advice=advice, table=exc.diag.table_name) from exc


def plan_of(
    connection: psycopg.Connection, model: Model, *, only_if_allowed: bool = False, with_records: bool = True
) -> Plan:
    """List the statements that a warehouse still needs.

    Args:
        connection: the warehouse.
        model: the model.
        only_if_allowed: whether tables that are there are taken as they are by a role that may not compare them.
        with_records: whether the record of runs is made beside a ledger that is there.

    Raises:
        ConfigError: the tables cannot become those of the model without losing rows, or something that somebody made
            depends on what has to change.
    """
    ledger = list(_ledger_statements(connection, with_records=with_records))
    if isinstance(model, Mirror):
        return Plan([*ledger, *statements_of(connection, model)], [])
    schema = _current_schema(connection)
    present, run = read_catalog(connection, schema), _statements_run(connection)
    if present.tables.isdisjoint(_names(model, "table")):
        # Without any of its tables nothing of the file is there, whatever the record of statements says.
        file = needed(model, Present(present.tables, present.objects, frozenset()), None)
        own = [*_made(model, ("index",)), *_made(model, ("view", "function"))]
        return Plan([*ledger, *file.early], [*own, *file.late, *recorded(file.record)])
    if only_if_allowed and not may_compare(connection):
        return Plan([*ledger, *needed(model, Present(present.tables, present.objects, None), None).early], [])
    makes = wanted(connection, model, schema, run)
    upgrade = upgrades_of(connection, model, present, makes.catalog)
    others = _reshapes(present, makes.catalog, upgrade.shape)
    if others:
        catalog = replace(makes.catalog, definitions=reshaped(connection, model, schema, run, others))
        makes = replace(makes, catalog=catalog)
    rights, named = read_rights(connection, schema), _names(model, "index")
    found = compared(present, rights, makes, _views(model), named, drops_views=bool(upgrade.retyped))
    views = [view for view in _views(model) if view in found.dropped]
    own_views = [quoted(view) for view in views]
    require_free(connection, [(quoted(table), column) for table, column in upgrade.retyped], own_views)
    file = needed(model, Present(present.tables, present.objects - found.dropped, run), found)
    # The model's own views may use the generated ones, so they come after those.
    own = [
        *_made(model, ("index",), found.indexes),
        *_made(model, ("view", "function"), found.again, found.undescribed),
    ]
    again = [*rights_of(connection, own_views), *found.restored, *recorded(file.record)]
    after = [*upgrade.bounds, *own, *found.unnamed.values(), *file.late, *again]
    return Plan([*ledger, *file.early, *found.drops, *upgrade.shape], after, upgrade.unfilled)


def _names(model: Model, kind: str) -> set[str]:
    """Give the names of the tables or indexes that the model's statements make, those that are generated too."""
    made = {
        name
        for each in split_statements(warehouse_sql(model))
        for made, name in [created(each) or ("", "")]
        if made == kind
    }
    return made | {each.name for each in generated(model) if each.kind == kind}


def _views(model: Model) -> list[str]:
    """Give the model's views in the order in which they are made."""
    written = (made_view(each) for each in split_statements(warehouse_sql(model)))
    return [*(each.name for each in generated(model) if each.kind == "view"), *filter(None, written)]


def _made(
    model: Model,
    kinds: Collection[str],
    names: Collection[str] | None = None,
    undescribed: Collection[str] = (),
) -> Iterator[str]:
    """Give the statements that make what is generated, all without names; `undescribed` lacks only its comment."""
    for each in generated(model):
        if each.kind in kinds and (names is None or each.name in names):
            yield from each.statements
        elif each.kind in kinds and each.name in undescribed:
            yield from each.statements[1:]


def _reshapes(present: Catalog, makes: Catalog, upgrades: Sequence[str]) -> dict[str, list[str]]:
    """Find the tables whose columns do not stand as in the model, with the upgrades of their columns."""
    return {
        table: [each for each in upgrades if re.match(rf"alter table {re.escape(quoted(table))} \w+ column ", each)]
        for table in sorted(makes.tables & present.tables)
        if makes.form(table) != present.form(table)
    }


def _statements_run(connection: psycopg.Connection) -> set[str] | None:
    """Give the digests of the statements that were run; None if the role may not read them."""
    if not _one(connection, query("warehouse", "statements_exist")):
        return set()
    if not _one(connection, query("warehouse", "may_read_statements")):
        return None
    return {row[0] for row in connection.execute(query("warehouse", "statements_run"))}


def _current_schema(connection: psycopg.Connection) -> str:
    schema = _one(connection, "select current_schema()")
    if schema is None:
        message = "the warehouse's search_path names no schema that exists"
        raise ConfigError(message, advice="create the schema, or set search_path in the URL's options")
    return str(schema)


def _ledger_statements(connection: psycopg.Connection, *, with_records: bool) -> Iterator[str]:
    if not _one(connection, query("warehouse", "ledger_exists")):
        yield from split_statements(query("warehouse", "create_ledger").as_string())
        yield query("warehouse", "create_statements").as_string()
        yield from split_statements(query("runs", "create").as_string())
        return
    if not _one(connection, query("warehouse", "ledger_is_complete")):
        yield query("warehouse", "upgrade_ledger").as_string()
    if not _one(connection, query("warehouse", "statements_exist")):
        yield query("warehouse", "create_statements").as_string()
    if with_records and not _one(connection, query("runs", "exists")):
        yield from split_statements(query("runs", "create").as_string())


def _one(connection: psycopg.Connection, statement: sql.Composed | str) -> object:
    row = connection.execute(statement.encode() if isinstance(statement, str) else statement).fetchone()
    return row[0] if row else None
