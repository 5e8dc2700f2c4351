"""The references of a fact: which of its rows name a row of a dimension that is not there."""

from collections.abc import Collection, Mapping

from tidemark.lake.engine import EVERY, Engine, WorkingTables
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Rows,
    Select,
    listed,
    names,
    number,
    quoted,
    select,
    text,
    union_all,
)
from tidemark.model import Model, StarTable
from tidemark.star.batch import Outcome
from tidemark.star.limits import Limit
from tidemark.star.star_sql import missing


def keys_of_dimensions(model: Model, star: StarTable, dimensions: Mapping[str, Outcome]) -> dict[str, Select]:
    """Give a SELECT of the keys for each column that refers to a dimension; the calendar is filled after the facts."""
    keys = {each.name: names(each.row_key) for each in model.dimensions if each.kind == "dimension"}
    return {
        column: select("files", "fields", fields=keys[name], rows=dimensions[name].rows)
        for column, name in star.references.items()
        if name in keys
    }


def dangling(engine: Engine, tables: WorkingTables, rows: Rows, references: Mapping[str, Select]) -> Rows | None:
    """Make a table of a file's references that find no row: `reference` and, as text, `key`; None if all find one.

    The file's rows are what lies in memory here, and the dimensions pass by: they may have any number of rows.
    """
    within = _bounds(engine, rows, references)
    absent = [
        select(
            "star",
            "dangling",
            name=text(column),
            column=quoted(column, "f."),
            rows=rows,
            keys=keys.rows,
            within=within[column],
        )
        for column, keys in references.items()
    ]
    found = tables.of(union_all(absent)) if absent else None
    return found if found and engine.count(found) else None


def _bounds(engine: Engine, rows: Rows, columns: Collection[str]) -> dict[str, Condition]:
    """Give the condition that a key lies between the least and the greatest reference, where these are integers.

    New rows of a fact mostly refer to few of a dimension's row groups, and the engine then reads no others. Otherwise
    each span of a full load would let the whole dimension pass by, and the time would grow with its square.
    """
    if not columns:
        return {}
    fields = listed(Expression(f"min({quoted(name)}), max({quoted(name)})") for name in columns)
    found = engine.execute(select("files", "fields", fields=fields, rows=rows)).rows[0]
    bounds = zip(columns, found[::2], found[1::2], strict=True)
    return {
        name: Condition(f"key between {number(least)}::hugeint and {number(most)}::hugeint")
        if type(least) is type(most) is int
        else EVERY
        for name, least, most in bounds
    }


def with_missing(
    rows: Rows, found: Mapping[str, str], limits: Mapping[str, Limit], references: Mapping[str, Select], gaps: Rows
) -> Select:
    """Write the SELECT of judged rows, those marked missing whose reference is in `gaps`; see `dangling`."""
    tests = {
        column: Expression(f"::varchar in ({select('star', 'dangling_keys', gaps=gaps, reference=text(column))})")
        for column in references
    }
    return select("star", "waiting", rows=rows, missing=missing(found, limits, tests))
