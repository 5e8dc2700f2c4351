"""The contract: the columns that a source table had, and what a change of them means.

A column's type decides two representations: how the log and latest keep its values, and how a model sees them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidemark.lake.sqltext import OWN

INTEGERS = {"smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT"}
# The types that a model sees, for columns that are neither integer nor numeric; all other columns are text.
TYPED = {
    "boolean": "BOOLEAN",
    "date": "DATE",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
MOMENTS = {"date", "timestamp without time zone", "timestamp with time zone"}
PADDED = {"character", "bpchar"}
WIDEST_DECIMAL_DIGITS = 38
# The columns that the log and latest add to a row.
RESERVED = {"_op", "_before", "_hash"}
UNCONSTRAINED_DECIMAL = "DECIMAL(38, 18)"
OTHER_NAMES = "rename them, or read the table through a view that gives them other names"


@dataclass(frozen=True)
class Column:
    """A column of a source table; `type` is in Postgres's own spelling, and for a domain it is the base type."""

    name: str
    type: str
    nullable: bool = True

    @property
    def base_type(self) -> str:
        """Give the type without its modifiers: `numeric(10,2)` is a `numeric`."""
        return base_of(self.type)

    @property
    def is_padded(self) -> bool:
        """Say whether Postgres fills the column's values up with spaces and ignores them when it compares."""
        return self.base_type in PADDED

    @property
    def log_type(self) -> str:
        """Give the DuckDB type in which the log and `latest` keep the column."""
        if self.type in INTEGERS:
            return "BIGINT"
        return "BOOLEAN" if self.type == "boolean" else "VARCHAR"

    @property
    def typed(self) -> str:
        """Give the DuckDB type in which a model's SELECT sees the column."""
        if self.base_type == "numeric":
            return self._decimal or UNCONSTRAINED_DECIMAL
        return INTEGERS.get(self.type) or TYPED.get(self.base_type, "VARCHAR")

    @property
    def is_beyond_decimal(self) -> bool:
        """Say whether the column may hold numbers that no decimal of DuckDB has."""
        return self.base_type == "numeric" and not self._decimal

    @property
    def _decimal(self) -> str:
        """Give the decimal that holds a numeric with a precision; empty if there is none."""
        found = re.fullmatch(r"numeric\((\d+)(?:,(-?\d+))?\)", self.type)
        digits, decimals = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
        # numeric(3,-2) holds hundreds, numeric(2,5) none above 0.00099.
        digits, decimals = max(digits, decimals, digits - decimals), max(decimals, 0)
        return f"DECIMAL({digits}, {decimals})" if 0 < digits <= WIDEST_DECIMAL_DIGITS else ""


def base_of(kind: str) -> str:
    """Give a type without its modifiers."""
    return re.sub(r"\s*\([^)]*\)", "", kind)


def is_reserved(name: str) -> bool:
    """Say whether a column of a user cannot have this name, because Tidemark puts columns of such names beside it.

    This is the one rule for a source table's columns and for those of a SELECT. Upper and lower case are the same here,
    as they are for Delta tables and for DuckDB.
    """
    return name.lower() in RESERVED or name.lower().startswith(OWN)


def broken_terms(
    table: str, key: Sequence[str], moments: Sequence[str], found: Sequence[Column], before: Sequence[Column] = ()
) -> list[str]:
    """Say, in one sentence each, why a table can no longer be read as the model says; SELECTs are checked elsewhere.

    Args:
        table: the source table's name.
        key: the key's columns as the model gives them.
        moments: the columns that say when a row was created and last changed.
        found: the table's columns in this snapshot.
        before: its columns in the last batch; empty if there was none.
    """
    if not found:
        return [f"source table {table!r} is missing"]
    now, then = {column.name: column for column in found}, {column.name: column for column in before}
    missing = [name for name in (*key, *moments) if name not in now]
    broken = []
    if missing:
        broken.append(f"source table {table!r} has no column {missing}, which the model names; it has {sorted(now)}")
    broken += [
        f"{table}.{name} is {now[name].type}: expected a date or a timestamp, since the model reads it as a time"
        for name in moments
        if name in now and now[name].base_type not in MOMENTS
    ]
    # For Delta tables and for DuckDB, names that differ only in case are the same.
    lower = [name.lower() for name in now]
    twice = [name for name in now if lower.count(name.lower()) > 1]
    if twice:
        broken.append(f"source table {table!r} has columns {twice}, whose names differ only in case: {OTHER_NAMES}")
    taken = [name for name in now if is_reserved(name)]
    if taken:
        broken.append(f"source table {table!r} has columns {taken}, which Tidemark adds to a row: {OTHER_NAMES}")
    for name in key if then else ():
        if name not in then:
            broken.append(f"{table}.{name} is in the model's key and was no column yet in the last batch")
        elif name in now and not is_told_apart(then[name], now[name]):
            broken.append(f"{table}.{name} is in the key, was {then[name].type} and is {now[name].type}")
    return broken


def is_told_apart(before: Column, now: Column) -> bool:
    """Say whether keys of the log can be compared with those of the source: as they are, or as text."""
    return now.log_type in (before.log_type, "VARCHAR")


def describe_drift(table: str, before: Sequence[Column], now: Sequence[Column]) -> list[str]:
    """Say, in one sentence each, how a table's columns differ from those of the last batch."""
    old, new = {column.name: column for column in before}, {column.name: column for column in now}
    drift = [f"{table}.{name} is new ({new[name].type}): taken along" for name in new if name not in old]
    drift += [f"{table}.{name} is gone" for name in old if name not in new]
    drift += [
        f"{table}.{name} was {old[name].type} and is {new[name].type}"
        for name in new
        if name in old and old[name].type != new[name].type
    ]
    return drift
