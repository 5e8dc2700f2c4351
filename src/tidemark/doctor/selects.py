"""The SELECTs of the model: do they fit the columns of the source and the tables of the warehouse?"""

from collections.abc import Iterator, Mapping

from tidemark.capture.catalogue import catalogued
from tidemark.capture.source import open_source
from tidemark.capture.source_columns import read_columns
from tidemark.doctor.databases import connected
from tidemark.doctor.finding import Finding
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.engine import open_engine
from tidemark.log.changelog import ChangeLog
from tidemark.log.columns import broken_terms
from tidemark.mirror import Mirror
from tidemark.model import Model
from tidemark.pipeline import Pipeline
from tidemark.postgres.queries import query
from tidemark.settings import Settings
from tidemark.star.binding import bind
from tidemark.star.limits import Limit, known_limits_of, limits_of
from tidemark.star.shape import faults_of_tables, where_to_mend
from tidemark.tables.statements import completed
from tidemark.warehouse.mirrored_tables import missing_types


def examine_shapes(pipeline: Pipeline) -> Iterator[Finding]:
    """Check the tables that the model's star has in the warehouse, written or derived."""
    model = pipeline.whole_model
    try:
        limits = limits_of(model)
    except ConfigError as exc:
        yield from (Finding("model", "failure", problem, exc.advice) for problem in exc.problems)
        return
    wrong = faults_of_tables(model, limits)
    yield from (Finding("model", "failure", fault, f"mend {where_to_mend(model)}") for fault in wrong)


def examine_selects(pipeline: Pipeline) -> Iterator[Finding]:
    """Bind each SELECT of the model against the columns that the source has now, and compare it with its table."""
    model = pipeline.model
    if isinstance(model, Mirror):
        yield from _mirror(pipeline, model)
        return
    try:
        columns = read_columns(pipeline.source_url, model)
        limits = _declared(pipeline, completed(pipeline.whole_model, columns))
    except TidemarkError as exc:
        found = f"the SELECTs cannot be compared with source and warehouse: {exc.message}"
        yield Finding("model", "hint", found, "mend what the lines about these two say, and run tidemark doctor again")
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
    if not wrong and model.stars and len(bound.yielded) == len(model.stars):
        yield Finding("model", "pass", f"{len(model.stars)} SELECTs can read the source and fill their tables")


def _mirror(pipeline: Pipeline, model: Mirror) -> Iterator[Finding]:
    """Say what a mirror would take now, what it cannot take, and which columns are text for want of their type."""
    head = ChangeLog(pipeline.ingestion).newest()
    with open_source(pipeline.source_url) as source:
        would = catalogued(source, model, head)
    yield Finding("model", "pass", f"{len(would.model.polled)} tables can be mirrored")
    for name, reason in would.left_out.items():
        yield Finding("model", "hint", f"{name} is not mirrored: {reason}", "mend that, or name the table in exclude")
    with connected(pipeline.warehouse_url, "warehouse") as cursor:
        for each in missing_types(cursor.connection, model):
            has, advice = f"no type {each.type}", "make the type, or its extension, before the column comes"
            if each.is_there:
                has, advice = f"the type {each.type}, but not for each value that came", "cast it in a query"
            found = f"{each.table}.{each.column} is text in the warehouse, which has {has}"
            yield Finding("warehouse", "hint", found, advice)


def _declared(pipeline: Pipeline, model: Model) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits of the star's columns; of a table that DuckDB cannot make, what the warehouse says of it."""
    limits = known_limits_of(model)
    unknown = [name for name, columns in limits.items() if not columns]
    if not unknown:
        return limits
    with connected(pipeline.warehouse_url, "warehouse") as cursor:
        schema = cursor.execute("select current_schema() as schema").fetchone() or {}
        rows = cursor.execute(query("warehouse", "columns"), schema).fetchall()
    found: dict[str, dict[str, Limit]] = {name: {} for name in unknown}
    for row in rows:
        if row["table_name"] in found:
            has_default = row["default_expression"] is not None
            found[row["table_name"]][row["column_name"]] = Limit("VARCHAR", row["is_not_null"], has_default=has_default)
    return {**limits, **found}
