"""Reading: how a model sees the texts of the log, which keeps every value but integers and booleans as text."""

from tidemark.lake.sqltext import Condition, Expression, quoted, text, tried
from tidemark.log.columns import UNCONSTRAINED_DECIMAL, Column
from tidemark.log.keys import unpadded

AS_IN_LOG = {"BIGINT", "BOOLEAN", "VARCHAR"}


def presented(column: Column, value: Expression | None = None) -> Expression:
    """Write what a model sees of a column; an unreadable value is null. `value` is the column's text, if given."""
    value = value or quoted(column.name)
    if column.typed.startswith(("DATE", "TIME")):
        # DuckDB ignores the BC in Postgres's text and reads the year as one AD.
        value = Expression(f"case when {value} not like '%BC' then {value} end")
    return read_as(column, value)


def read_as(column: Column, value: Expression) -> Expression:
    """Write a value of the log or of the star in the form in which a model sees the column."""
    if column.is_padded:
        # As text, Postgres itself gives a char(n) without the spaces that fill it.
        return unpadded(value)
    return value if column.typed in AS_IN_LOG else tried(value, column.typed)


def is_lost(column: Column, value: Expression | None = None) -> Condition:
    """Write the condition that a model cannot see a value that is there."""
    value = value or quoted(column.name)
    lost = Condition(f"{presented(column, value)} is null")
    if column.typed != UNCONSTRAINED_DECIMAL:
        return lost
    # A cast does not fail on too many decimals: it rounds.
    digits = text(r"\.[0-9]{18}[0-9]*[1-9]")
    return Condition(f"{lost} or strlen({value}) > 19 and regexp_matches({value}, {digits})")
