"""The contract: the columns that a source table had, and what a change of them means.

A column's type decides two representations: how the log and `latest` keep it, and as what the model sees it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidemark.errors import ContractError

INTEGERS = {"smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT"}
# What DuckDB presents to a model, where it is neither an integer nor a numeric; all else is text.
TYPED = {
    "boolean": "BOOLEAN",
    "date": "DATE",
    "real": "REAL",
    "double precision": "DOUBLE",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMPTZ",
}
# Hashed by Postgres such that two values with different text never have equal hashes by rule.
HASHED_AS_THEY_ARE = {
    "smallint",
    "integer",
    "boolean",
    "date",
    "uuid",
    "bytea",
    "timestamp without time zone",
    "timestamp with time zone",
}
# A numeric's hash leaves out sign and scale, a bigint's folds its halves into one; their binary form is exact.
HASHED_AS_SENT = {"bigint": "int8send", "numeric": "numeric_send"}
TEXTS = {"text", "character varying"}
WIDEST_DECIMAL_DIGITS = 38
UNCONSTRAINED_DECIMAL = "DECIMAL(38, 18)"


@dataclass(frozen=True)
class Column:
    """A column of a source table; `type` is Postgres's own spelling, a domain's being that of its base type."""

    name: str
    type: str
    nullable: bool = True

    @property
    def base_type(self) -> str:
        """Give the type without its modifiers: `numeric(10,2)` is a `numeric`."""
        return re.sub(r"\s*\([^)]*\)", "", self.type)

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
            found = re.fullmatch(r"numeric\((\d+)(?:,(-?\d+))?\)", self.type)
            digits, decimals = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
            fits = 0 < digits <= WIDEST_DECIMAL_DIGITS and 0 <= decimals <= digits
            return f"DECIMAL({digits}, {decimals})" if fits else UNCONSTRAINED_DECIMAL
        return INTEGERS.get(self.type) or TYPED.get(self.base_type, "VARCHAR")


def check_contract(table: str, key: Sequence[str], read: Sequence[str], found: Sequence[Column]) -> None:
    """Check that a table has the columns that its key and the cursor need.

    Args:
        table: the source table's name, for the message.
        key: the key's columns as the model gives them.
        read: the further columns that the model names.
        found: the table's columns in this snapshot.

    Raises:
        ContractError: a column is gone; nothing has been written.
    """
    names = {column.name for column in found}
    if not found:
        message = f"source table {table!r} is missing"
        raise ContractError(message, advice="bring it back, or mend the model", table=table)
    missing = [name for name in (*key, *read) if name not in names]
    if missing:
        message = f"source table {table!r} has no column {missing}: the model reads it, the table has {sorted(names)}"
        raise ContractError(message, advice="bring it back, or mend the model", table=table, columns=missing)


def describe_drift(table: str, before: Sequence[Column], now: Sequence[Column]) -> list[str]:
    """Say in a sentence each how a table's columns differ from those of the last batch."""
    old, new = {column.name: column for column in before}, {column.name: column for column in now}
    drift = [f"{table}.{name} is new ({new[name].type}): taken along" for name in new if name not in old]
    drift += [f"{table}.{name} is gone" for name in old if name not in new]
    drift += [
        f"{table}.{name} was {old[name].type} and is {new[name].type}"
        for name in new
        if name in old and old[name].type != new[name].type
    ]
    return drift
