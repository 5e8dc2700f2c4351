"""Reading: how a model sees the texts of the log, which keeps every value but integers and booleans as text."""

from collections.abc import Sequence

from tidemark.lake.sqltext import Condition, Expression, any_of, converted, quoted, text, tried
from tidemark.log.columns import UNCONSTRAINED_DECIMAL, Column
from tidemark.log.keys import FLOATING, unpadded

AS_IN_LOG = {"BIGINT", "BOOLEAN", "VARCHAR"}


def presented(column: Column, value: Expression | None = None) -> Expression:
    """Write what a model sees of a column; an unreadable value is null. `value` is the column's text, if given."""
    value = value or quoted(column.name)
    if column.typed.startswith(("DATE", "TIME")):
        # DuckDB ignores the BC in Postgres's text and reads the year as one AD.
        value = Expression(f"case when {value} not like '%BC' then {value} end")
    if column.typed == UNCONSTRAINED_DECIMAL:
        # A cast does not fail on too many decimals: it rounds.
        digits = text(r"\.[0-9]{18}[0-9]*[1-9]")
        value = Expression(f"case when strlen({value}) <= 19 or not regexp_matches({value}, {digits}) then {value} end")
    return read_as(column, value)


def read_as(column: Column, value: Expression) -> Expression:
    """Write a value of the log or of the star in the form in which a model sees the column."""
    if column.is_padded:
        # As text, Postgres itself gives a char(n) without the spaces that fill it.
        return unpadded(value)
    return value if column.typed in AS_IN_LOG else tried(value, column.typed)


def is_lost(column: Column, value: Expression | None = None) -> Condition:
    """Write the condition that a model cannot see a value that is there."""
    return Condition(f"{presented(column, value)} is null")


def reads_otherwise(before: Sequence[Column], now: Sequence[Column], old: str, new: str) -> Condition:
    """Write the condition that a model sees another value though the text is the same, since a column's type changed.

    The text 0.1 is another number as a `real` than as a `numeric`, and a text that one type cannot hold another can.

    Args:
        before: the table's columns when the row was last read.
        now: its columns now.
        old: the prefix of the columns of the row as it was read then, such as `l.`.
        new: the prefix of the columns of the row as it is now.
    """
    known = {column.name: column for column in before}
    return any_of(
        _reads_otherwise(known[column.name], column, _text(column, old), _text(column, new))
        for column in now
        if column.name in known and known[column.name].typed != column.typed
    )


def _reads_otherwise(before: Column, now: Column, old: Expression, new: Expression) -> Condition:
    differs = [Condition(f"({is_lost(before, old)}) is distinct from ({is_lost(now, new)})")]
    if {before.typed, now.typed} & {*FLOATING.values()}:
        was, seen = tried(presented(before, old), "DOUBLE"), tried(presented(now, new), "DOUBLE")
        differs.append(Condition(f"{was} is distinct from {seen}"))
    return any_of(differs)


def _text(column: Column, prefix: str) -> Expression:
    return converted(quoted(column.name, prefix), "varchar")
