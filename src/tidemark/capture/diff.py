"""The diff: the SQL by which DuckDB decides what a table's rows in a snapshot are against latest.

Only text decides whether a row changed. Hashes merely find rows worth reading, since a row restored from the log has
none and one under `sweep = "keys"` has one of its key and time alone.
"""

from collections.abc import Mapping, Sequence

from tidemark.capture.watermark import Span
from tidemark.lake.sqltext import names, quoted, text
from tidemark.log.change import CHANGE, create_change

STAGED = "staged"
SWEPT = "swept"
DIFFERING = "differing"


def create_tables(columns: Mapping[str, str], key: Sequence[str]) -> list[str]:
    """Write the statements that make the empty working tables of one source table.

    `change` holds what a poll found, see `create_change`.

    Args:
        columns: the source's columns with the types of the log.
        key: the key's columns.
    """
    fields = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    keys = ", ".join(f"{quoted(name)} {columns[name]}" for name in key)
    return [
        f"create or replace temp table {STAGED} ({fields}, _hash bigint)",
        f"create or replace temp table {SWEPT} ({keys}, _hash bigint)",
        f"create or replace temp table {DIFFERING} (bucket bigint)",
        create_change(columns),
    ]


def compare_staged(latest: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """Write the statement that puts the rows of `staged` which are new or differ from `latest` into `change`."""
    keys, fields = names(key), names(columns)
    mine, theirs = names(columns, "s."), names(columns, "l.")
    on = " and ".join(f"s.{quoted(name)} = l.{quoted(name)}" for name in key)
    is_new = f"l.{quoted(key[0])} is null"
    differs = f"row({mine}) is distinct from row({theirs})"
    return (
        f"insert into {CHANGE} with known as (select {fields}, _hash from {latest} semi join {STAGED} using ({keys}))"
        f" select {mine}, s._hash,"
        f" case when {is_new} then 'insert' when {differs} then 'update' else 'rehash' end,"
        f" case when not {is_new} then {_struct(columns, 'l.')} end, l._hash"
        f" from {STAGED} as s left join known as l on {on}"
        f" where {is_new} or {differs} or s._hash is distinct from l._hash"
    )


def delete_absent(latest: str, present: str, columns: Sequence[str], key: Sequence[str]) -> str:
    """Write the statement that puts the rows of `latest` whose key is not in `present` into `change` as deleted."""
    mine = names(columns, "l.")
    return (
        f"insert into {CHANGE} select {mine}, l._hash, 'delete', {_struct(columns, 'l.')}, l._hash"
        f" from {latest} as l anti join {present} using ({names(key)})"
    )


def within(spans: Sequence[Span]) -> str:
    """Write the condition that a time of a row of latest lies in its span; a BC date lies in none."""
    moments = [(f"try_cast({quoted(span.column)} as {span.type})", span) for span in spans]
    return " or ".join(
        f"{quoted(span.column)} not like '%BC' and {moment} >= {span.type} {text(str(span.first))}"
        f" and {moment} < {span.type} {text(str(span.end))}"
        for moment, span in moments
    )


def expected_sums(latest: str, bucket: str, bucket_before: str, key: Sequence[str]) -> str:
    """Write the SELECT of bucket, count and sum of hashes that the source must have if `change` is all that changed.

    Args:
        latest: a FROM item with key and `_hash`.
        bucket: a row's bucket.
        bucket_before: the bucket of a changed row as it was, in terms of the key and `_hash_before`.
        key: the key's columns.
    """
    fields = names([*key, "_hash"])
    return (
        f"select bucket, sum(n)::bigint, sum(h)::varchar from ("
        f" select {bucket} as bucket, count(*) as n, coalesce(sum(_hash), 0) as h from (select {fields} from {latest})"
        f" group by 1"
        f" union all select {bucket_before}, -1, -coalesce(_hash_before::hugeint, 0) from {CHANGE}"
        f" where _op <> 'insert'"
        f" union all select {bucket}, 1, coalesce(_hash::hugeint, 0) from {CHANGE} where _op <> 'delete'"
        f") group by bucket having sum(n) <> 0 or sum(h) <> 0"
    )


def expected_rows(latest: str, bucket: str | None, key: Sequence[str]) -> str:
    """Write a FROM item of the keys and hashes that the source must have in the buckets of `differing`.

    A `bucket` of None stands for all buckets.
    """
    keys = names(key)
    rows = (
        f"select {keys}, _hash from {latest} anti join {CHANGE} using ({keys})"
        f" union all select {keys}, _hash from {CHANGE} where _op <> 'delete'"
    )
    where = f" where {bucket} in (select bucket from {DIFFERING})" if bucket else ""
    return f"(select * from ({rows}){where})"


def keys_to_read(expected: str, key: Sequence[str]) -> str:
    """Write the SELECT of the keys, as text, in `swept` that are not expected or have another hash."""
    texts = ", ".join(f"cast(s.{quoted(name)} as varchar)" for name in key)
    on = " and ".join(f"s.{quoted(name)} = e.{quoted(name)}" for name in key)
    return (
        f"select {texts} from {SWEPT} as s left join {expected} as e on {on}"
        f" where e.{quoted(key[0])} is null or e._hash is distinct from s._hash"
    )


def log_line(columns: Sequence[str], *, with_operation: bool) -> str:
    """Write the expression of a row's line in the log; an insert has no `_before`."""
    fields = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in columns)
    if not with_operation:
        return f"to_json(struct_pack({fields}))::varchar"
    return (
        f"case when _op = 'insert' then to_json(struct_pack({fields}, _op := _op))::varchar"
        f" else to_json(struct_pack({fields}, _op := _op, _before := _before))::varchar end"
    )


def _struct(columns: Sequence[str], prefix: str) -> str:
    return "struct_pack(" + ", ".join(f"{quoted(name)} := {prefix}{quoted(name)}" for name in columns) + ")"
