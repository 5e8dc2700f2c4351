"""Binding: whether the model's SELECTs can read the source's tables as they are now.

DuckDB binds each SELECT against sample tables. So DuckDB itself says which column is missing, and nothing here parses
SQL.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import duckdb

from tidemark.disclosure import told
from tidemark.errors import ConfigError, contract_error
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import Expression, Fields, Select, converted, listed, named_as, select
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable
from tidemark.star.key_types import faults_of_keys, is_marked, marked
from tidemark.star.limits import NUMERIC, Limit, known_limits_of
from tidemark.star.passing import seen_by
from tidemark.star.selects import yielded_by
from tidemark.star.shape import faults_of_select, faults_of_tables
from tidemark.tables.statements import completed, warehouse_sql

logger = logging.getLogger(__name__)
INTEGRAL = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
# The types that can be converted into each type with no silent loss. Transform sets aside a value that does not fit.
CONVERTIBLE: Mapping[str, Collection[str]] = {
    "DATE": {"DATE"},
    "TIMESTAMP": {"TIMESTAMP", "DATE"},
    "TIMESTAMP WITH TIME ZONE": {"TIMESTAMP WITH TIME ZONE"},
    "BOOLEAN": {"BOOLEAN"},
    "TIME": {"TIME"},
}
# A sample value of each type. No cast that exists fails on it.
SAMPLES = {
    "BOOLEAN": "true",
    "DATE": "date '2000-01-01'",
    "TIMESTAMP": "timestamp '2000-01-01'",
    "TIMESTAMPTZ": "timestamptz '2000-01-01'",
    "VARCHAR": "null",
}


@dataclass(frozen=True)
class Binding:
    """The columns that each SELECT yields, and what is wrong with the SELECTs, in one sentence each.

    `found` and `unfit` lie in the source as it is now, `mistakes` in the model whatever the source looks like. `unfit`
    are types that cannot become those of the star.
    """

    yielded: dict[str, Mapping[str, str]] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def require_readable(
    engine: Engine,
    model: Model,
    columns: Mapping[str, Sequence[Column]],
    changed: Mapping[str, Sequence[Column]],
    new: Collection[str] = (),
) -> None:
    """Check that every SELECT of the model can read the source's tables.

    Args:
        engine: binds the SELECTs.
        model: the model.
        columns: the source tables' columns in this snapshot.
        changed: the tables whose columns are not those of the last batch, with those. A SELECT that reads one is
            checked further: it runs, and its types must fit the star's, if they did with the columns before.
        new: the tables that the last batch does not have. A SELECT that reads one must fit its table in warehouse.sql,
            and its types must fit the star's.

    Raises:
        ContractError: a SELECT cannot read the source as it is now; the message names every reason.
        ConfigError: a SELECT is wrong whatever the source looks like.
    """
    # A table that follows from the source follows from what the source was before the change.
    whole = completed(model, {**columns, **changed})
    limits = known_limits_of(whole) if changed or new else {}
    bound = bind(engine, model, columns, limits, changed, new)
    mistakes = [*(faults_of_tables(model, limits) if new else ()), *bound.mistakes]
    if mistakes:
        raise ConfigError.of(mistakes, advice="mend the model")
    # A type that did not fit before has been converted all the time: the change is not to blame.
    was_unfit = bind(engine, model, {**columns, **changed}, limits, changed, ()).unfit if bound.unfit else []
    broken = [*bound.found, *(each for each in bound.unfit if each not in was_unfit)]
    if broken:
        raise contract_error(broken)
    if new:
        # For what is wrong with a table that follows from the model although its SELECT is right.
        warehouse_sql(whole)


def require_fitting(
    engine: Engine, model: Model, columns: Mapping[str, Sequence[Column]], known: Collection[str]
) -> None:
    """Check each star table that is not among the `known` ones, before its first row is made.

    The first poll has checked those that read a new source table. A model may get one later over tables that the log
    has long since.

    Raises:
        ConfigError: the SELECT of such a table does not fit its table in warehouse.sql, or two keys may become one.
    """
    new = replace(
        model, stars={name: star for name, star in model.stars.items() if name not in known and not star.mirror}
    )
    if not new.stars:
        return
    limits = known_limits_of(completed(model, columns))
    mistakes = [*faults_of_tables(new, limits), *bind(engine, new, columns, limits, (), columns).mistakes]
    if mistakes:
        raise ConfigError.of(mistakes, advice="mend the model")


def bind(
    engine: Engine,
    model: Model,
    columns: Mapping[str, Sequence[Column]],
    limits: Mapping[str, Mapping[str, Limit]],
    changed: Collection[str],
    new: Collection[str],
) -> Binding:
    """Bind the SELECTs against source tables with these columns; see `require_readable`.

    A SELECT that reads a table without columns is passed over, because that table is missing.
    """
    worker = engine.worker("the model's SELECTs")
    bound = Binding()
    with closing(worker.connection), worker.working_tables() as working:
        _present_constants(worker, model)
        for star in model.stars.values():
            if star.mirror or not all(columns.get(name) for name in star.reads):
                continue
            try:
                seen = seen_by(worker, star, model.sources, columns)
                _present(worker, {name: seen[name] for name in star.reads})
                yielded = bound.yielded[star.name] = yielded_by(worker, model, star)
                is_new = bool(new) and (star.kind == "calendar" or any(name in new for name in star.reads))
                is_changed = any(name in changed for name in star.reads)
                if is_new:
                    bound.mistakes.extend(faults_of_select(star, yielded, limits[star.name]))
                    bound.mistakes.extend(_joined(worker, model, star, yielded, limits[star.name], seen))
                elif is_changed and is_marked(star, limits[star.name]):
                    # A number that becomes text goes on as a number.
                    bound.found.extend(_joined(worker, model, star, yielded, limits[star.name], seen))
                if is_changed:
                    # Within the engine: to hand a timestamptz over, DuckDB needs a module that need not be there.
                    working.of(Select(star.sql))
                if is_new or is_changed:
                    unfit = bound.mistakes if is_new else bound.unfit
                    unfit.extend(_unfit(star, yielded, limits[star.name]))
            except (duckdb.ParserException, duckdb.CatalogException) as exc:
                bound.mistakes.append(f"{star.path}.sql: {told(exc)}")
            except ConfigError as exc:
                bound.mistakes.extend(exc.problems)
            except duckdb.Error as exc:
                _sort_in(bound, star, exc, _read_though_excluded(worker, model, star, columns))
    return bound


def _sort_in(bound: Binding, star: StarTable, exc: duckdb.Error, excluded: Sequence[str]) -> None:
    bound.mistakes.extend(excluded)
    if not excluded:
        bound.found.append(f"{star.path}.sql cannot read the source: {told(exc)}")


def _read_though_excluded(
    engine: Engine, model: Model, star: StarTable, columns: Mapping[str, Sequence[Column]]
) -> list[str]:
    """Name the columns that a SELECT reads although the model excludes them: without such a one alone it fails."""
    excluded = [(name, column) for name in star.reads for column in model.sources[name].choice.exclude]

    def is_bound(missing: tuple[str, str] | None) -> bool:
        for name in star.reads:
            others = [column for of, column in excluded if of == name and (of, column) != missing]
            # A null goes wherever a value of any type may go.
            nulls = [named_as(Expression("null"), column) for column in others]
            engine.view(name, select("binding", "one_row", fields=listed([*_samples(columns[name]), *nulls])))
        try:
            engine.describe(Select(star.sql))
        except duckdb.Error:
            return False
        return True

    try:
        if not excluded or not is_bound(None):
            return []
        return [
            f"{star.path}.sql reads {name}.{column}, and [source.{name}] excludes it: take it out of one of the two"
            for name, column in excluded
            if not is_bound((name, column))
        ]
    finally:
        _present(engine, {name: columns[name] for name in star.reads})


def _joined(
    engine: Engine,
    model: Model,
    star: StarTable,
    yielded: Mapping[str, str],
    limits: Mapping[str, Limit],
    columns: Mapping[str, Sequence[Column]],
) -> list[str]:
    """Say where two keys of the source may become one; which texts may do so depends on their types in the source."""
    found, read = yielded, {name: columns[name] for name in star.reads}
    if is_marked(star, limits):
        try:
            _present(engine, read, marks=True)
            found = engine.describe(Select(star.sql))
        except duckdb.Error as exc:
            logger.debug("%s is bound without the source's types: %s", star.path, exc)
        finally:
            _present(engine, read)
    return faults_of_keys(star, model, found, limits, columns)


def fits(kind: str, limit: Limit) -> bool:
    """Say whether a SELECT's type can become a star column's type. Text always can: it is judged row by row."""
    wanted = limit.type.partition("(")[0]
    if kind == "VARCHAR" or limit.type == "VARCHAR" or kind in (limit.type, limit.lake_type):
        return True
    if _is_number(wanted):
        return _is_number(kind)
    return kind in CONVERTIBLE.get(wanted, ())


def _unfit(star: StarTable, yielded: Mapping[str, str], limits: Mapping[str, Limit]) -> list[str]:
    return [
        f"{star.path}.sql yields {kind} for {name}, which cannot become the star's {limits[name].type}: cast it"
        for name, kind in yielded.items()
        if name in limits and not fits(kind, limits[name])
    ]


def _is_number(kind: str) -> bool:
    return kind in INTEGRAL or kind.startswith(("DECIMAL", "FLOAT", "DOUBLE", NUMERIC))


def _present_constants(engine: Engine, model: Model) -> None:
    """Make what else a SELECT may read: the seeds, and a calendar of one day."""
    engine.seeds(model.seeds)
    engine.view("calendar", select("binding", "one_day"))


def _present(engine: Engine, columns: Mapping[str, Sequence[Column]], *, marks: bool = False) -> None:
    """Make the source tables that a SELECT reads, each with one row."""
    for name, found in columns.items():
        engine.view(name, select("binding", "one_row", fields=listed(_samples(found, marks=marks))))


def _samples(columns: Sequence[Column], *, marks: bool = False) -> list[Fields]:
    return [
        named_as(
            converted(Expression(SAMPLES.get(column.typed, "0")), marked(column) if marks else column.typed),
            column.name,
        )
        for column in columns
    ]
