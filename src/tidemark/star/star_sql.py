"""The star's SQL: how a model's SELECT sees source tables, and how the rows that it yields are judged and dated."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tidemark.lake.sqltext import (
    OWN,
    Expression,
    Fields,
    Rows,
    Select,
    Sql,
    converted,
    exists,
    listed,
    named_as,
    names,
    number,
    quoted,
    same,
    select,
    text,
    tried,
)
from tidemark.lake.sqltext import packed as struct
from tidemark.log.columns import Column
from tidemark.log.keys import canonical, has_variants, is_same_key
from tidemark.log.reading import AS_IN_LOG, is_lost, presented, read_as
from tidemark.model import MirroredTable, Model, SourceTable, StarTable
from tidemark.star.limits import Limit

HISTORY = {"valid_from": "TIMESTAMP", "is_deleted": "BOOLEAN", "batch_id": "BIGINT"}
BATCH = {"batch_id": "BIGINT"}
# What a dimension with `soft_delete` says of each row.
MARK = {"is_deleted": "BOOLEAN"}
# The prefix of a column that was converted into the star's type.
AS = f"{OWN}as_"


def typed(rows: Rows, columns: Sequence[Column], *, filled: bool = False) -> Select:
    """Write a SELECT that presents rows of the log or of latest as a model sees them; an unreadable value is null.

    With `filled` an unreadable value is some other value instead: the rows of a model's SELECT that change with it
    depend on the unreadable value.
    """
    present = _filled if filled else presented
    return select("files", "fields", fields=listed(named_as(present(each), each.name) for each in columns), rows=rows)


def mirrored(rows: Rows, table: MirroredTable, columns: Sequence[Column]) -> Select:
    """Write a SELECT that presents rows of the log or of latest as a mirror sees them.

    Every value is a text, and a column that was lost is null.
    """
    known = {column.name for column in columns}
    fields = (
        named_as(converted(quoted(name) if name in known else Expression("null"), "varchar"), name)
        for name in table.columns
    )
    return select("files", "fields", fields=listed(fields), rows=rows)


def gone(rows: Rows, table: SourceTable, columns: Sequence[Column], there: Rows) -> Select:
    """Write the SELECT of a batch's deleted rows, without those whose key latest (`there`) holds in another text."""
    if not has_variants(table.key, columns):
        return select("star", "deleted", rows=rows)
    is_there = exists(there, "l", is_same_key(table.key, columns, "l.", "d."))
    return select("star", "gone", rows=rows, is_there=is_there)


def unreadable(columns: Sequence[Column]) -> Expression | None:
    """Write the expression that names a row's first unreadable value; it is null where every value can be read."""
    cases = [
        Expression(
            f"case when {quoted(column.name)} is not null and ({is_lost(column)}) then"
            f" {text(column.name)} || ' is ''' || left({quoted(column.name)}::varchar, 100) || ''', which no"
            f" {column.typed} can hold' end"
        )
        for column in columns
        if column.typed not in AS_IN_LOG
    ]
    return _first(cases) if cases else None


def judged(
    made: Select, found: Mapping[str, str], limits: Mapping[str, Limit], references: Mapping[str, Select]
) -> Select:
    """Write a SELECT that adds to each row why the star cannot take it; the reason is null where the star can.

    Args:
        made: the rows.
        found: the DuckDB types of the columns that a model's SELECT yielded.
        limits: what the star's columns hold.
        references: for each column that refers to a dimension, a SELECT of the keys that are there.

    Returns:
        The rows with two more columns: `_tidemark_wrong` names a value that does not fit, `_tidemark_missing` a
        reference that finds no row. The converted columns are added as well.
    """
    converted = _converted(found, limits)
    as_converted = _as_converted(found, limits)
    problems = [limits[name].problem(name, kind, as_converted[name]) for name, kind in found.items() if name in limits]
    absent = {name: Expression(f" not in ({keys})") for name, keys in references.items()}
    return select(
        "star",
        "judged",
        wrong=_first([problem for problem in problems if problem]),
        missing=missing(found, limits, absent),
        converted=listed([Sql("*"), *(named_as(each, AS + name) for name, each in converted.items())]),
        rows=made.rows,
    )


def missing(found: Mapping[str, str], limits: Mapping[str, Limit], tests: Mapping[str, Expression]) -> Expression:
    """Write the expression that names a row's first reference for which a test, such as ` not in (…)`, holds."""
    as_converted = _as_converted(found, limits)
    return _first(
        [
            Expression(
                f"case when {quoted(name)} is not null and {as_converted[name]}{test} then"
                f" {text(name)} || ' ' || {quoted(name)}::varchar || ' is not in its dimension' end"
            )
            for name, test in tests.items()
        ]
    )


def fitting(rows: Rows, found: Mapping[str, str], limits: Mapping[str, Limit], others: Sequence[str]) -> Select:
    """Write a SELECT of the judged rows that the star can take, in the lake's types; `others` are taken as they are."""
    converted = _converted(found, limits)
    mine = [named_as(quoted(AS + name), name) if name in converted else quoted(name) for name in found]
    return select("star", "fitting", fields=listed([*mine, *map(quoted, others)]), rows=rows)


def refused_keys(rows: Rows, found: Mapping[str, str], limits: Mapping[str, Limit], key: Sequence[str]) -> Select:
    """Write a SELECT of the keys, in the lake's types, of the judged rows that the star cannot take."""
    as_converted = _as_converted(found, limits)
    return select("star", "refused_keys", keys=listed(named_as(as_converted[name], name) for name in key), rows=rows)


def _converted(found: Mapping[str, str], limits: Mapping[str, Limit]) -> dict[str, Expression]:
    expressions = {name: limits[name].converted(name, kind) for name, kind in found.items() if name in limits}
    return {name: expression for name, expression in expressions.items() if expression}


def _as_converted(found: Mapping[str, str], limits: Mapping[str, Limit]) -> dict[str, Expression]:
    converted = _converted(found, limits)
    return {name: quoted(AS + name if name in converted else name) for name in found}


def neighbours(
    fact_rows: Rows, star: StarTable, part: Rows, table: SourceTable, columns: Mapping[str, Column], aside: Rows | None
) -> Select:
    """Write a SELECT of the changes in `part` whose key has other versions, and of the versions next to each change.

    Its columns are `_tidemark_ordinal`, the moments at which the version before and the next one begin
    (`_tidemark_previous_from`, `_tidemark_next_from`), and how many rows in quarantine belong between these versions
    and the change (`_tidemark_reserved_before`, `_tidemark_reserved_after`).

    Args:
        fact_rows: the fact.
        star: the fact's description.
        part: the changes, with `_tidemark_ordinal`.
        table: the fact's driving table.
        columns: the driving table's columns, by name.
        aside: `_tidemark_ordinal` and the source key of the rows in quarantine; None when there are none.
    """
    beside = select(
        "star",
        "beside",
        keys_of_part=names(star.source_key, "p."),
        surrogate=quoted(star.key[0], "f."),
        source_keys=source_keys(star, table, columns),
        part=part,
        fact_rows=keyed(fact_rows, star, table, columns).rows,
        keys=names(star.source_key),
    )
    if aside is None:
        return select("star", "neighbours", beside=beside.rows)
    is_same = same(star.source_key, "a.", "b.")
    return select("star", "neighbours_with_reserved", beside=beside.rows, aside=aside, same=is_same)


def keyed(fact_rows: Rows, star: StarTable, table: SourceTable, columns: Mapping[str, Column]) -> Select:
    """Write the SELECT of a fact's rows with its source key as the driving table has it now.

    The driving table's key may have another type by now than in the fact's files.
    """
    key_types = zip(table.key, star.source_key, strict=True)
    as_now = listed(named_as(_as_key(star, columns[name], quoted(alias)), alias) for name, alias in key_types)
    return select("star", "keyed", keys=as_now, rows=fact_rows)


def dated(
    part: Rows,
    star: StarTable,
    table: SourceTable,
    columns: Mapping[str, Column],
    model: Model,
    *,
    others: Sequence[str] = (),
) -> Select:
    """Write a SELECT of source key, `is_deleted` and `_tidemark_since`, the moment that each change gives itself.

    It is the row's `updated` in UTC, or the snapshot's time where `updated` is null, infinite or in the future, or
    where the row was deleted. `_tidemark_ordinal`, `_tidemark_captured_at` and `others` are taken as they are.
    """
    return select(
        "star",
        "dated",
        source_keys=source_keys(star, table, columns),
        fields=names([f"{OWN}ordinal", f"{OWN}captured_at", *others], "p."),
        stamp=_in_utc(table, columns, model),
        part=part,
    )


def versions(
    part: Rows, star: StarTable, table: SourceTable, columns: Mapping[str, Column], model: Model, beside: Rows
) -> Select:
    """Write a SELECT of source key, `_tidemark_ordinal`, `valid_from` and `is_deleted` for each change.

    `valid_from` is what `dated` says. Where that is not after the version before, `valid_from` is the
    snapshot's time or a microsecond after the version before, whichever is later. So it strictly grows within one key.
    A row that comes back from quarantine goes before the version that followed it. For each row that is still open a
    microsecond stays free, so that every one of them finds its place, in whatever order they come back.

    Args:
        part: the changes, with `_op`, `_tidemark_ordinal` and `_tidemark_captured_at`.
        star: the fact.
        table: its driving table.
        columns: the driving table's columns, by name.
        model: gives the time zone of naive times.
        beside: see `neighbours`.
    """
    return select(
        "star",
        "versions",
        dated=dated(part, star, table, columns, model).rows,
        beside=beside,
        keys=names(star.source_key),
    )


def fact_rows(star: StarTable, made: Select, history: Select, batch: int, columns: Sequence[str]) -> Select:
    """Write the SELECT of a fact's rows in a batch: surrogate key, the model's columns, the columns of history.

    `made` are the rows that the model's SELECT yields.
    """
    return select(
        "star",
        "fact_rows",
        surrogate=quoted(star.key[0]),
        fields=names(columns, "s."),
        batch=number(batch),
        # A subquery and not a CTE around the model's SELECT: the CTE's name would hide a source table of that name.
        made=made.rows,
        history=history.rows,
        same=same(star.source_key, "s.", "h."),
    )


def years(columns: Sequence[str]) -> Fields:
    """List the years of some days."""
    return listed(Expression(f"year({quoted(column)})") for column in columns)


def packed(columns: Iterator[str] | Sequence[str], prefix: str = "") -> Expression:
    """Write the expression that packs columns into JSON."""
    return Expression(f"to_json({struct(columns, prefix)})")


def _filled(column: Column) -> Expression:
    seen = presented(column)
    if column.typed in AS_IN_LOG:
        return seen
    filled = f"coalesce({seen}, {_unlikely(column.typed)})"
    return Expression(f"case when {quoted(column.name)} is not null then {filled} end")


def _unlikely(kind: str) -> str:
    """Write a value of the type that a SELECT is unlikely to substitute for a null, and that overflows nothing."""
    if kind.startswith(("DATE", "TIME")):
        return f"cast('1907-03-19 07:31:09.731947' as {kind})"
    decimal = re.fullmatch(r"DECIMAL\((\d+), (\d+)\)", kind)
    digits, decimals = (int(decimal[1]), int(decimal[2])) if decimal else (4, 0)
    return f"cast('{'7319'[: min(digits - decimals, 1 if decimals else 4)]}.{'7319'[:decimals]}' as {kind})"


def source_keys(star: StarTable, table: SourceTable, columns: Mapping[str, Column]) -> Fields:
    """List the fact's source key as the driving table's rows, `p`, have it."""
    key = zip(table.key, star.source_key, strict=True)
    return listed(named_as(_as_key(star, columns[name], quoted(name, "p.")), alias) for name, alias in key)


def _as_key(star: StarTable, column: Column, value: Expression) -> Expression:
    """Write a value of a fact's source key in the form in which keys are compared: a mirror has no types but text."""
    return canonical(column, converted(value, "varchar")) if star.mirror else read_as(column, value)


def _first(reasons: Sequence[Expression]) -> Expression:
    return Expression(f"coalesce({listed(reasons)})" if reasons else "cast(null as varchar)")


def _in_utc(table: SourceTable, columns: Mapping[str, Column], model: Model) -> Expression:
    """Write when a driving table's row, `p`, was last changed, in UTC."""
    if table.updated is None:
        return Expression("null::timestamp")
    column = quoted(table.updated, "p.")
    if columns[table.updated].typed == "TIMESTAMPTZ":
        return Expression(f"timezone('UTC', {tried(column, 'timestamptz')})")
    moment = tried(column, "timestamp")
    if model.timezone.key == "UTC":
        return moment
    return Expression(f"timezone('UTC', timezone({text(model.timezone.key)}, {moment}))")
