"""The diff: the SQL with which DuckDB compares a table's rows in a snapshot with latest.

Only the text of a row decides whether it changed. Hashes only find the rows that are worth reading: a row restored from
the log has no hash, and under `sweep = "keys"` a hash covers only the row's key and time of change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidemark.capture.watermark import Span
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Rows,
    Select,
    Statement,
    Table,
    any_of,
    converted,
    listed,
    names,
    packed,
    quoted,
    same,
    select,
    statement,
    text,
    tried,
)
from tidemark.log.change import KEY_BEFORE, change_columns
from tidemark.log.columns import Column
from tidemark.log.keys import is_same_key


@dataclass(frozen=True)
class DiffTables:
    """The working tables of one source table.

    `staged` holds rows that a poll read, with `_hash`. `differing_keys` holds the keys of those that differ, if they
    are compared in pieces. `swept` holds the keys and hashes that the sweep read in the buckets of `differing`.
    `change` holds what the poll found, see `change_columns`.
    """

    staged: Table
    swept: Table
    differing: Table
    differing_keys: Table
    change: Table


def make_tables(
    empty: Callable[[Mapping[str, str]], Table], columns: Mapping[str, str], key: Sequence[str]
) -> DiffTables:
    """Make the working tables of one source table, empty.

    Args:
        empty: makes an empty table, given its columns with their types.
        columns: the source's columns with the types of the log.
        key: the key's columns.
    """
    keys = {name: columns[name] for name in key}
    return DiffTables(
        staged=empty({**columns, "_hash": "BIGINT"}),
        swept=empty({**keys, "_hash": "BIGINT"}),
        differing=empty({"bucket": "BIGINT"}),
        differing_keys=empty(keys),
        change=empty(change_columns(columns, key)),
    )


def compare_staged(
    latest: Rows,
    columns: Sequence[str],
    key: Sequence[str],
    tables: DiffTables,
    otherwise: Condition,
    gone: Sequence[str] = (),
) -> Statement:
    """Write the statement that puts those rows of `staged` into `change` that are new or differ from `latest`.

    The rows `s` and `l` also differ under the condition `otherwise`, which may ask for columns of `l` that are `gone`.
    """
    return statement(
        "diff",
        "compare_staged",
        change=tables.change,
        staged=tables.staged,
        latest=latest,
        keys=names(key),
        fields=names([*columns, *gone]),
        mine=names(columns, "s."),
        before=_text(columns, "l."),
        key_before=packed(key, "l."),
        same=same(key, "s.", "l."),
        is_new=Condition(f"{quoted(key[0], 'l.')} is null"),
        differs=any_of([_differ(columns), otherwise]),
    )


def compare_in_pieces(
    latest: Rows, pieces: Sequence[Sequence[str]], key: Sequence[str], tables: DiffTables, otherwise: Condition
) -> Iterator[Statement]:
    """Write the statements that put into `differing` the keys of those staged rows that differ from `latest`.

    Each compares some of the columns.
    """
    conditions = [_differ(piece) for piece in pieces]
    for differs in [*conditions, *([otherwise] if otherwise != "false" else [])]:
        yield statement(
            "diff",
            "differing_keys",
            differing=tables.differing_keys,
            keys=names(key, "s."),
            staged=tables.staged,
            latest=latest,
            same=same(key, "s.", "l."),
            differs=differs,
        )


def judge_staged(latest: Rows, key: Sequence[str], tables: DiffTables) -> Select:
    """Write the SELECT of the keys of those staged rows that are new or differ, with `_op`; see `compare_in_pieces`."""
    return select(
        "diff",
        "judge_staged",
        my_keys=names(key, "s."),
        keys=names(key),
        staged=tables.staged,
        latest=latest,
        differing=tables.differing_keys,
        same=same(key, "s.", "l."),
        is_differing=same(key, "s.", "d."),
        is_new=Condition(f"{quoted(key[0], 'l.')} is null"),
    )


def texts_before(latest: Rows, columns: Sequence[str], key: Sequence[str], judged: Table) -> Select:
    """Write the SELECT of the keys of changed and deleted rows, each with the row before."""
    return select("diff", "texts_before", keys=names(key), before=_text(columns, "l."), latest=latest, judged=judged)


def put_judged(
    rows: Rows, judged: Table, texts: Table, columns: Sequence[str], key: Sequence[str], tables: DiffTables
) -> Statement:
    """Write the statement that puts the judged rows into `change`."""
    return statement(
        "diff",
        "put_judged",
        change=tables.change,
        fields=names(columns, "r."),
        key_before=packed(key, "j."),
        rows=rows,
        judged=judged,
        texts=texts,
        same=same(key, "r.", "j."),
        is_before=same(key, "j.", "t."),
    )


def delete_absent(
    latest: Rows, present: Table, columns: Sequence[str], key: Sequence[str], tables: DiffTables
) -> Statement:
    """Write the statement that puts those rows of `latest` into `change`, as deleted, whose key is not in `present`."""
    return statement(
        "diff",
        "delete_absent",
        change=tables.change,
        fields=names(columns, "l."),
        before=_text(columns, "l."),
        key_before=packed(key, "l."),
        latest=latest,
        present=present,
        keys=names(key),
    )


def unite_keys(latest: Rows, columns: Sequence[Column], key: Sequence[str], tables: DiffTables) -> Iterator[Statement]:
    """Write the statements that make one update of a deleted and an inserted row if the source calls their keys equal.

    A poll without a sweep, and a backfill, find only the new text of such a key. Then latest names the other one.
    """
    found = [column.name for column in columns]
    parts = {"change": tables.change}
    others = select("diff", "other_texts", latest=latest, same=is_same_key(key, columns, "l.", "i."), **parts)
    yield delete_absent(others.rows, tables.change, found, key, tables)
    yield statement("diff", "unite_keys", same=is_same_key(key, columns, "d.", "i."), **parts)
    yield statement("diff", "drop_united", is_before=same(key, f"u.{KEY_BEFORE}.", "d."), **parts)


def within(spans: Sequence[Span]) -> Condition:
    """Write the condition that a row of latest has one of its times within its span; a BC date is within none."""
    return any_of(
        Condition(
            f"{quoted(span.column)} not like '%BC' and {moment} >= {span.type} {text(str(span.first))}"
            f" and {moment} < {span.type} {text(str(span.end))}"
        )
        for moment, span in ((tried(quoted(span.column), span.type), span) for span in spans)
    )


def sums_of_changes(bucket: Expression, bucket_before: Expression, tables: DiffTables) -> Select:
    """Write the SELECT of bucket, count and sum of hashes that `change` adds to latest, or takes away.

    Args:
        bucket: a row's bucket.
        bucket_before: the bucket that a changed row was in before, computed from the key and `_tidemark_hash_before`.
        tables: the working tables.
    """
    return select("diff", "sums_of_changes", bucket=bucket, bucket_before=bucket_before, change=tables.change)


def expected_rows(latest: Rows, bucket: Expression | None, key: Sequence[str], tables: DiffTables) -> Select:
    """Write the SELECT of the keys and hashes that the source must have in the buckets of `differing`.

    A `bucket` of None stands for all buckets.
    """
    expected = select("diff", "expected_rows", keys=names(key), latest=latest, change=tables.change)
    if bucket is None:
        return expected
    return select("diff", "expected_in_buckets", expected=expected.rows, bucket=bucket, buckets=tables.differing)


def keys_gone(expected: Table, key: Sequence[str], tables: DiffTables) -> Select:
    """Write the SELECT of the expected keys that are not in `swept`; see `expected_rows`."""
    return select("diff", "keys_gone", keys=names(key), expected=expected, swept=tables.swept)


def keys_to_read(expected: Table, key: Sequence[str], tables: DiffTables) -> Select:
    """Write the SELECT of those keys in `swept`, as text, that are not expected or have another hash than expected."""
    return select(
        "diff",
        "keys_to_read",
        key_texts=listed(converted(quoted(name, "s."), "varchar") for name in key),
        swept=tables.swept,
        expected=expected,
        same=same(key, "s.", "e."),
        is_new=Condition(f"{quoted(key[0], 'e.')} is null"),
    )


def log_line(columns: Sequence[str]) -> Expression:
    """Write the expression of a row's line in the log; an insert has no `_before`."""
    line = _text([*columns, "_op"])
    before = "',\"_before\":', coalesce(_before, 'null'), '}'"
    return Expression(f"case when _op = 'insert' then {line} else concat(left({line}, -1), {before}) end")


def _differ(columns: Sequence[str]) -> Condition:
    return Condition(f"row({names(columns, 's.')}) is distinct from row({names(columns, 'l.')})")


def _text(columns: Sequence[str], prefix: str = "") -> Expression:
    """Write the expression of a row as JSON text."""
    return Expression(f"to_json({packed(columns, prefix)})::varchar")
