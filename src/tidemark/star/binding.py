"""Binding: whether the model's SELECTs can read the source's tables as they are now.

DuckDB binds each SELECT against empty tables, so it says itself which column is missing and nothing here parses SQL.
"""

from collections.abc import Collection, Mapping, Sequence

import duckdb

from tidemark.errors import ConfigError, contract_error
from tidemark.lake.engine import Engine, first_line
from tidemark.lake.sqltext import Expression, Select, converted, listed, named_as, select
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable
from tidemark.star.limits import Limit, limits_of

INTEGRAL = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
# What each type can be had from without losing anything silently; a value that does not fit is set aside by transform.
CONVERTIBLE: Mapping[str, Collection[str]] = {
    "DATE": {"DATE"},
    "TIMESTAMP": {"TIMESTAMP", "DATE"},
    "TIMESTAMP WITH TIME ZONE": {"TIMESTAMP WITH TIME ZONE"},
    "BOOLEAN": {"BOOLEAN"},
    "TIME": {"TIME"},
}
# A value of each type for which a cast that exists does not fail.
SAMPLES = {
    "BOOLEAN": "true",
    "DATE": "date '2000-01-01'",
    "TIMESTAMP": "timestamp '2000-01-01'",
    "TIMESTAMPTZ": "timestamptz '2000-01-01'",
    "VARCHAR": "null",
}


def require_readable(
    engine: Engine, model: Model, columns: Mapping[str, Sequence[Column]], changed: Collection[str]
) -> None:
    """Check that every SELECT of the model can read the source's tables.

    Args:
        engine: binds the SELECTs.
        model: the model.
        columns: the source tables' columns in this snapshot.
        changed: the tables whose columns are others than in the last batch; what reads one is looked at more closely.

    Raises:
        ContractError: a SELECT cannot read the source as it is; every reason is named.
        ConfigError: a SELECT is wrong, whatever the source is.
    """
    found: list[str] = []
    mistakes: list[str] = []
    worker = engine.worker()
    try:
        _present(worker, model, columns)
        limits = limits_of(model) if changed else {}
        for star in model.stars.values():
            try:
                yielded = worker.describe(Select(star.sql))
                if any(name in changed for name in star.reads):
                    worker.execute(select("files", "all", rows=Select(star.sql).rows)).fetchall()
                    found += _unfit(star, yielded, limits[star.name])
            except (duckdb.ParserException, duckdb.CatalogException) as exc:
                mistakes.append(f"{star.path}.sql: {first_line(exc)}")
            except duckdb.Error as exc:
                found.append(f"{star.path}.sql cannot read the source: {first_line(exc)}")
    finally:
        worker.connection.close()
    if mistakes:
        raise ConfigError.of(mistakes, advice="mend the model")
    if found:
        raise contract_error(found)


def fits(kind: str, limit: Limit) -> bool:
    """Say whether a star's column can be made of a SELECT's; of text always, row by row."""
    wanted = limit.type.partition("(")[0]
    if kind == "VARCHAR" or limit.type == "VARCHAR" or kind in (limit.type, limit.lake_type):
        return True
    if _is_number(wanted):
        return _is_number(kind)
    return kind in CONVERTIBLE.get(wanted, ())


def _unfit(star: StarTable, yielded: Mapping[str, str], limits: Mapping[str, Limit]) -> list[str]:
    return [
        f"{star.path}.sql yields {kind} for {name}, of which the star's {limits[name].type} cannot be made"
        for name, kind in yielded.items()
        if name in limits and not fits(kind, limits[name])
    ]


def _is_number(kind: str) -> bool:
    return kind in INTEGRAL or kind.startswith(("DECIMAL", "FLOAT", "REAL", "DOUBLE"))


def _present(engine: Engine, model: Model, columns: Mapping[str, Sequence[Column]]) -> None:
    """Make a table of one row of each source table, the calendar and the seeds."""
    engine.seeds(model.seeds)
    engine.view("calendar", select("binding", "one_day"))
    for name, found in columns.items():
        samples = (
            named_as(converted(Expression(SAMPLES.get(column.typed, "0")), column.typed), column.name)
            for column in found
        )
        engine.view(name, select("binding", "one_row", fields=listed(samples)))
