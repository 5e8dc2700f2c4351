"""The star schema's SQL: how source tables are presented to a model's SELECT, and how its rows are judged and dated."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tidemark.lake.sqltext import names, quoted, text
from tidemark.log.columns import UNCONSTRAINED_DECIMAL, Column
from tidemark.model import Model, SourceTable, StarTable
from tidemark.star.limits import Limit

HISTORY = {"valid_from": "TIMESTAMP", "is_deleted": "BOOLEAN", "batch_id": "BIGINT"}
BATCH = {"batch_id": "BIGINT"}
# Before the name of a column that was brought into the type of the star.
AS = "_as_"
AS_IN_LOG = {"BIGINT", "BOOLEAN", "VARCHAR"}


def typed(rows: str, columns: Sequence[Column], *, filled: bool = False) -> str:
    """Write a SELECT that presents rows of the log or of latest as a model sees them; what does not fit is null.

    With `filled` it is some value instead of null, by which a SELECT shows which of its rows depend on it.
    """
    present = _filled if filled else _presented
    fields = ", ".join(f"{present(column)} as {quoted(column.name)}" for column in columns)
    return f"select {fields} from {rows}"


def misread(columns: Sequence[Column]) -> str | None:
    """Write the expression that says which text of a row is lost when it is presented, null where none is."""
    cases = [
        f"case when {quoted(column.name)} is not null and ({_is_lost(column)}) then"
        f" {text(column.name)} || ' is ''' || left({quoted(column.name)}::varchar, 100) || ''', which no"
        f" {column.typed} can hold' end"
        for column in columns
        if column.typed not in AS_IN_LOG
    ]
    return f"coalesce({', '.join(cases)})" if cases else None


def judged(select: str, found: Mapping[str, str], limits: Mapping[str, Limit], references: Mapping[str, str]) -> str:
    """Write a SELECT that adds to each row why the star cannot take it, null where it can.

    Args:
        select: the rows.
        found: the DuckDB types of the columns that a model's SELECT yielded.
        limits: what the star's columns hold.
        references: a SELECT of the keys that are there, for each column that refers to them.

    Returns:
        The rows with `_wrong`, a value that does not fit, and `_missing`, a reference to a row that is not there.
    """
    converted = _converted(found, limits)
    added = "".join(f", {expression} as {quoted(AS + name)}" for name, expression in converted.items())
    problems = [
        limits[name].problem(name, kind, quoted(AS + name if name in converted else name))
        for name, kind in found.items()
        if name in limits
    ]
    wrong = [problem for problem in problems if problem]
    missing = [
        f"case when {quoted(name)} is not null"
        f" and {quoted(AS + name if name in converted else name)} not in ({keys}) then"
        f" {text(name)} || ' ' || {quoted(name)}::varchar || ' is not in its dimension' end"
        for name, keys in references.items()
    ]
    return f"select *, {_first(wrong)} as _wrong, {_first(missing)} as _missing from (select *{added} from ({select}))"


def fitting(rows: str, found: Mapping[str, str], limits: Mapping[str, Limit], others: Sequence[str]) -> str:
    """Write a SELECT of the judged rows that the star can take, in the lake's types, with some `others` as they are."""
    converted = _converted(found, limits)
    fields = [f"{quoted(AS + name)} as {quoted(name)}" if name in converted else quoted(name) for name in found]
    listed = ", ".join([*fields, *map(quoted, others)])
    return f"select {listed} from ({rows}) where _wrong is null and _missing is null"


def _converted(found: Mapping[str, str], limits: Mapping[str, Limit]) -> dict[str, str]:
    expressions = {name: limits[name].converted(name, kind) for name, kind in found.items() if name in limits}
    return {name: expression for name, expression in expressions.items() if expression}


def doubted(rows: str, doubtful: str, key: Sequence[str], reason: str) -> str:
    """Write a SELECT of judged rows in which those whose key is in the table `doubtful` are wrong as well."""
    same = " and ".join(f"d.{quoted(name)} = j.{quoted(name)}" for name in key)
    doubt = f"case when exists (select 1 from {doubtful} as d where {same}) then {text(reason)} end"
    return f"select * replace (coalesce(_wrong, {doubt}) as _wrong) from ({rows}) as j"


def neighbours(
    fact_rows: str, star: StarTable, part: str, table: SourceTable, types: Mapping[str, str], aside: str | None
) -> str:
    """Write a FROM item of the changes in `part` beside which are versions.

    Its columns are `_ordinal`, when the version before and the next one begin (`_previous_from`, `_next_from`), and how
    many rows in quarantine belong between them and the change (`_reserved_before`, `_reserved_after`).

    Args:
        fact_rows: a FROM item over the fact.
        star: the fact.
        part: a FROM item over the changes, with `_ordinal`.
        table: the fact's driving table.
        types: the driving table's columns as a model sees them.
        aside: a FROM item over `_ordinal` and the source key of the rows in quarantine; None when there are none.
    """
    surrogate, on = f"f.{quoted(star.key[0])}", names(star.source_key)
    same = " and ".join(f"a.{quoted(name)} = b.{quoted(name)}" for name in star.source_key)
    reserved = "0 as _reserved_before, 0 as _reserved_after from _beside as b"
    if aside:
        reserved = (
            "count(a._ordinal) filter (a._ordinal > b._previous and a._ordinal < b._ordinal) as _reserved_before,"
            " count(a._ordinal) filter (a._ordinal > b._ordinal and a._ordinal < b._next) as _reserved_after"
            f" from _beside as b left join {aside} as a on {same} group by all"
        )
    return (
        f"(with _beside as (select p._ordinal, {names(star.source_key, 'p.')},"
        f" max({surrogate}) filter ({surrogate} < p._ordinal) as _previous,"
        f" max(f.valid_from) filter ({surrogate} < p._ordinal) as _previous_from,"
        f" min({surrogate}) filter ({surrogate} > p._ordinal) as _next,"
        f" min(f.valid_from) filter ({surrogate} > p._ordinal) as _next_from"
        f" from (select {_keys(star, table, types)}, p._ordinal from {part} as p) as p"
        f" inner join {_keyed(fact_rows, star, table, types)} as f using ({on}) group by all)"
        f" select b._ordinal, b._previous_from, b._next_from, {reserved})"
    )


def _keyed(fact_rows: str, star: StarTable, table: SourceTable, types: Mapping[str, str]) -> str:
    """Write a FROM item over a fact whose source key has the types that the driving table's has by now."""
    keys = ", ".join(
        f"try_cast({quoted(alias)} as {types[name]}) as {quoted(alias)}"
        for name, alias in zip(table.key, star.source_key, strict=True)
    )
    return f"(select * replace ({keys}) from {fact_rows})"


def versions(
    part: str, star: StarTable, table: SourceTable, types: Mapping[str, str], model: Model, beside: str
) -> str:
    """Write a SELECT of source key, `_ordinal`, `valid_from` and `is_deleted` for each change.

    `valid_from` is the row's `updated` in UTC, unless it is null, in the future or on a deleted row: then the
    snapshot's time. Where that is not after the version before, it is the snapshot's time or, if still later, a
    microsecond after the version before; so it strictly grows within one key. A row that comes back from quarantine
    goes before the version that followed it. For each row that still lies there a microsecond stays free, so that every
    one of them finds its place, in whatever order they come back.

    Args:
        part: a FROM item over the changes, with `_op`, `_ordinal` and `_captured_at`.
        star: the fact.
        table: its driving table.
        types: the driving table's columns as a model sees them.
        model: gives the time zone of naive times.
        beside: see `neighbours`.
    """
    stamp = _in_utc(table, types, model)
    earliest = "b._previous_from + to_microseconds(1 + b._reserved_before)"
    latest = "_next_from - to_microseconds(1 + _reserved_after)"
    return (
        f"with changed as (select {_keys(star, table, types)}, p._ordinal, p._captured_at,"
        f" p._op = 'delete' as is_deleted, {stamp} as _stamp from {part} as p),"
        f" capped as (select * exclude (_stamp), case when is_deleted or _stamp is null or not isfinite(_stamp)"
        f" or _stamp > _captured_at then _captured_at else _stamp end as _since from changed),"
        f" grown as (select c.* exclude (_since), b._next_from, b._reserved_after,"
        f" case when b._previous_from is null or c._since >= {earliest} then c._since"
        f" else greatest(c._captured_at, {earliest}) end as _since"
        f" from capped as c left join {beside} as b on c._ordinal = b._ordinal)"
        f" select {names(star.source_key)}, _ordinal, is_deleted,"
        f" case when _next_from is null or _since <= {latest} then _since else {latest} end as valid_from from grown"
    )


def fact_rows(star: StarTable, history: str, batch: int, columns: Sequence[str]) -> str:
    """Write the SELECT of a fact's rows in a batch: surrogate key, the model's columns, history."""
    on = " and ".join(f"s.{quoted(name)} = h.{quoted(name)}" for name in star.source_key)
    return (
        f"with _history as ({history})"
        f" select h._ordinal as {quoted(star.key[0])}, {names(columns, 's.')}, h.valid_from, h.is_deleted,"
        f" {batch}::bigint as batch_id from ({star.sql}) as s inner join _history as h on {on}"
    )


def packed(columns: Iterator[str] | Sequence[str], prefix: str = "") -> str:
    """Write the expression that packs columns into JSON."""
    fields = ", ".join(f"{quoted(name)} := {prefix}{quoted(name)}" for name in columns)
    return f"to_json(struct_pack({fields}))"


def _presented(column: Column) -> str:
    name = quoted(column.name)
    if column.typed in AS_IN_LOG:
        return name
    # DuckDB passes over the BC of Postgres's text and reads the year as one of our era.
    value = f"case when {name} not like '%BC' then {name} end" if column.typed.startswith(("DATE", "TIME")) else name
    return f"try_cast({value} as {column.typed})"


def _is_lost(column: Column) -> str:
    lost = f"{_presented(column)} is null"
    if column.typed != UNCONSTRAINED_DECIMAL:
        return lost
    # A cast rounds to the decimals that there are.
    digits = r"\.[0-9]{18}[0-9]*[1-9]"
    return f"{lost} or strlen({quoted(column.name)}) > 19 and regexp_matches({quoted(column.name)}, '{digits}')"


def _filled(column: Column) -> str:
    presented = _presented(column)
    if column.typed in AS_IN_LOG:
        return presented
    return f"case when {quoted(column.name)} is not null then coalesce({presented}, {_unlikely(column.typed)}) end"


def _unlikely(kind: str) -> str:
    """Write a value of a type that no SELECT is likely to put in the place of a null, and that overflows nothing."""
    if kind.startswith(("DATE", "TIME")):
        return f"cast('1907-03-19 07:31:09.731947' as {kind})"
    decimal = re.fullmatch(r"DECIMAL\((\d+), (\d+)\)", kind)
    digits, decimals = (int(decimal[1]), int(decimal[2])) if decimal else (4, 0)
    return f"cast('{'7319'[: min(digits - decimals, 1 if decimals else 4)]}.{'7319'[:decimals]}' as {kind})"


def _keys(star: StarTable, table: SourceTable, types: Mapping[str, str]) -> str:
    return ", ".join(
        f"try_cast(p.{quoted(name)} as {types[name]}) as {quoted(alias)}"
        for name, alias in zip(table.key, star.source_key, strict=True)
    )


def _first(reasons: Sequence[str]) -> str:
    return f"coalesce({', '.join(reasons)})" if reasons else "cast(null as varchar)"


def _in_utc(table: SourceTable, types: Mapping[str, str], model: Model) -> str:
    if table.updated is None:
        return "null::timestamp"
    column = f"p.{quoted(table.updated)}"
    if types[table.updated] == "TIMESTAMPTZ":
        return f"timezone('UTC', try_cast({column} as timestamptz))"
    moment = f"try_cast({column} as timestamp)"
    if model.timezone.key == "UTC":
        return moment
    return f"timezone('UTC', timezone({text(model.timezone.key)}, {moment}))"
