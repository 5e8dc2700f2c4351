"""The star schema's SQL: how source tables are presented to a model's SELECT, and how its rows get their history."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tidemark.contract import Column
from tidemark.model import Model, SourceTable, StarTable
from tidemark.sqltext import names, quoted, text

HISTORY = {"valid_from": "TIMESTAMP", "is_deleted": "BOOLEAN", "batch_id": "BIGINT"}
BATCH = {"batch_id": "BIGINT"}


def typed(rows: str, columns: Sequence[Column]) -> str:
    """Write a SELECT that presents rows of the log or of latest as a model's SELECT sees them."""
    fields = ", ".join(f"cast({quoted(c.name)} as {c.typed}) as {quoted(c.name)}" for c in columns)
    return f"select {fields} from {rows}"


def versions(  # noqa: PLR0913 -- all of them facts of one batch and one fact
    part: str,
    star: StarTable,
    table: SourceTable,
    columns: Sequence[Column],
    model: Model,
    *,
    first_ordinal: int,
    captured_at: datetime,
    previous: str,
) -> str:
    """Write a SELECT of source key, surrogate key, `valid_from` and `is_deleted` for each change.

    `valid_from` is the row's `updated` in UTC, unless it is null, in the future or on a deleted row: then the
    snapshot's time. Where that is not after the version before, it is the snapshot's time or, if still later, a
    microsecond after the version before; so it strictly grows within one key.

    Args:
        part: a FROM item over the changes, with `_op` and their `position` in the log, counted from 0.
        star: the fact.
        table: its driving table.
        columns: the driving table's columns.
        model: gives the time zone of naive times.
        first_ordinal: the surrogate key of position 0.
        captured_at: the snapshot's time.
        previous: a FROM item with the fact's source key and `valid_from` of the last version before this batch.
    """
    types = {column.name: column.typed for column in columns}
    keys = ", ".join(
        f"try_cast(p.{quoted(name)} as {types[name]}) as {quoted(alias)}"
        for name, alias in zip(table.key, star.source_key, strict=True)
    )
    now = f"timestamp {text(captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' '))}"
    stamp = _in_utc(table, types, model)
    on = " and ".join(f"c.{quoted(name)} = v.{quoted(name)}" for name in star.source_key)
    return (
        f"with changed as (select {keys}, p.position, p._op = 'delete' as is_deleted, {stamp} as stamp"
        f" from {part} as p),"
        f" capped as (select *, case when is_deleted or stamp is null or not isfinite(stamp) or stamp > {now}"
        f" then {now} else stamp end as since from changed)"
        f" select {names(star.source_key, 'c.')}, c.position + {first_ordinal} as ordinal, c.is_deleted,"
        f" case when v.valid_from is null or c.since > v.valid_from then c.since"
        f" else greatest({now}, v.valid_from + interval 1 microsecond) end as valid_from"
        f" from capped as c left join {previous} as v on {on}"
    )


def previous_versions(
    fact_rows: str, star: StarTable, part: str, table: SourceTable, types: Mapping[str, str], batch: int
) -> str:
    """Write a FROM item of the source keys in `part` that have earlier versions, with the last one's `valid_from`."""
    keys = names(star.source_key)
    wanted = ", ".join(
        f"try_cast({quoted(name)} as {types[name]}) as {quoted(alias)}"
        for name, alias in zip(table.key, star.source_key, strict=True)
    )
    return (
        f"(select {keys}, max(valid_from) as valid_from from"
        f" (select {keys}, valid_from, batch_id from {fact_rows})"
        f" semi join (select {wanted} from {part}) using ({keys})"
        f" where batch_id < {batch} group by {keys})"
    )


def fact_rows(star: StarTable, history: str, batch: int, columns: Sequence[str]) -> str:
    """Write the SELECT of a fact's rows in a batch: surrogate key, the model's columns, history."""
    on = " and ".join(f"s.{quoted(name)} = h.{quoted(name)}" for name in star.source_key)
    return (
        f"with history as ({history})"
        f" select h.ordinal as {quoted(star.key[0])}, {names(columns, 's.')}, h.valid_from, h.is_deleted,"
        f" {batch}::bigint as batch_id from ({star.sql}) as s inner join history as h on {on}"
    )


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
