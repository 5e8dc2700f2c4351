"""Tombstones of deletions that the star cannot take: each takes the last values that the star could take.

A deletion carries the row's last values. If these are refused, they lie in quarantine, but the row is gone all the
same.
"""

import json
from collections.abc import Mapping

from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Rows,
    Select,
    Table,
    listed,
    named_as,
    names,
    number,
    quoted,
    select,
    text,
)
from tidemark.log.columns import Column
from tidemark.log.keys import canonical
from tidemark.model import Model, SourceTable, StarTable
from tidemark.star import star_sql

DELETION = Condition("op = 'delete'")


def parsed(open_rows: Rows, table: SourceTable, columns: Mapping[str, Column], where: Condition) -> Select:
    """Write the SELECT of rows of quarantine as changes of the log; `_tidemark_turn` numbers the versions of a key.

    Each row is parsed once, because it may hold megabytes. The numbers are computed apart from the parsed rows.
    """
    types = text(json.dumps({name: column.log_type for name, column in columns.items()}))
    values = listed(named_as(quoted(name, "v."), name) for name in columns)
    keys = listed(canonical(columns[name], Expression(f"(key->>{text(name)})")) for name in table.key)
    return select("quarantine", "retried", values=values, types=types, keys=keys, open_rows=open_rows, where=where)


def has_tombstone(star: StarTable, written: Rows) -> Condition:
    """Write the condition that a deletion of quarantine, once it is parsed, has its tombstone in the fact already."""
    return Condition(f"_op = 'delete' and _tidemark_ordinal in ({_surrogates(star, written)})")


def without_tombstone(
    aside: Table,
    open_rows: Rows | None,
    star: StarTable,
    table: SourceTable,
    columns: Mapping[str, Column],
    written: Rows,
) -> Select:
    """Write the SELECT of the deletions in quarantine that have no tombstone, as changes of the log.

    Args:
        aside: what this batch sets aside.
        open_rows: what lay in quarantine before, if anything.
        star: the fact.
        table: its driving table.
        columns: the driving table's columns, by name.
        written: the fact.
    """
    lying = select("quarantine", "deletions", aside=aside, before=open_rows or aside)
    return parsed(lying.rows, table, columns, Condition(f"ordinal not in ({_surrogates(star, written)})"))


def tombstones(  # noqa: PLR0913, PLR0917 -- what dates a version
    star: StarTable,
    table: SourceTable,
    columns: Mapping[str, Column],
    model: Model,
    deletions: Rows,
    written: Rows,
    open_keys: Rows | None,
    fields: Mapping[str, str],
    batch: int,
) -> Select:
    """Write the SELECT of a tombstone for each deletion whose row is live in the fact.

    Args:
        star: the fact.
        table: its driving table.
        columns: the driving table's columns, by name.
        model: gives the time zone of naive times.
        deletions: refused deletions that have no version of their own.
        written: the fact.
        open_keys: `_tidemark_ordinal` and source key of the rows that lay in quarantine before, if there were any.
        fields: the fact's columns.
        batch: the batch that brings the tombstones.
    """
    beside = star_sql.neighbours(written, star, deletions, table, columns, open_keys)
    history = star_sql.versions(deletions, star, table, columns, model, beside.rows)
    own = {
        star.key[0]: quoted("_tidemark_ordinal", "h."),
        "valid_from": quoted("valid_from", "h."),
        "is_deleted": Expression("true"),
        "batch_id": number(batch),
    }
    return select(
        "star",
        "tombstones",
        fields=listed(named_as(own.get(name, quoted(name, "f.")), name) for name in fields),
        history=history.rows,
        beside=beside.rows,
        written=written,
        surrogate=quoted(star.key[0], "f."),
    )


def _surrogates(star: StarTable, written: Rows) -> Select:
    return select("files", "fields", fields=names(star.key), rows=written)
