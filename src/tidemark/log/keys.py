"""Keys: which texts of a key are one key.

The source decides that by its own equality: it has one row under the numeric key 1, whether it prints 1 or 1.00. The
log and latest hold the text. So each type whose equal values can differ in text has one canonical form, and it is here.

Types that are not here are told apart by their text. For most of them that is the source's equality too. For citext and
for texts of a nondeterministic collation only the source could tell: see decision 0018. `tidemark doctor` names them.
"""

from collections.abc import Mapping, Sequence

from tidemark.lake.sqltext import Condition, Expression, all_of, any_of, converted, quoted, text, tried
from tidemark.log.columns import UNCONSTRAINED_DECIMAL, Column

FLOATING = {"real": "FLOAT", "double precision": "DOUBLE"}


def has_variants(key: Sequence[str], columns: Sequence[Column]) -> bool:
    """Say whether two keys that are equal for the source can differ in text."""
    found = {column.name: column for column in columns}
    return any(_varies(found[name]) for name in key)


def is_same_key(key: Sequence[str], columns: Sequence[Column], left: str, right: str) -> Condition:
    """Write the condition that two rows of the log or of latest have the same key for the source.

    Args:
        key: the key's columns.
        columns: the table's columns.
        left: the prefix of one row's columns, such as `l.`.
        right: the prefix of the other row's columns.
    """
    found: Mapping[str, Column] = {column.name: column for column in columns}
    return all_of(
        Condition(f"{canonical(found[name], quoted(name, left))} = {canonical(found[name], quoted(name, right))}")
        for name in key
    )


def has_other_text(key: Sequence[str], left: str, right: str) -> Condition:
    """Write the condition that the texts of two keys differ."""
    return any_of(Condition(f"{quoted(name, left)} <> {quoted(name, right)}") for name in key)


def canonical(column: Column, value: Expression) -> Expression:
    """Write the expression that gives equal values of a column one text, and others different texts.

    Args:
        column: the column.
        value: its value as the log has it. The column may have had another type then.
    """
    if column.base_type == "numeric":
        exponent, point = text("e"), text(".")
        plain = f"case when contains({value}, {exponent}) then {tried(value, UNCONSTRAINED_DECIMAL)}::varchar end"
        digits = f"coalesce({plain}, {value})"
        return Expression(
            f"case when contains({digits}, {point}) then rtrim(rtrim({digits}, '0'), '.') else {digits} end"
        )
    if column.base_type in FLOATING:
        # Adding 0 makes 0 of -0.
        number = f"{tried(value, FLOATING[column.base_type])} + 0"
        return Expression(f"coalesce({converted(Expression(number), 'varchar')}, {value})")
    return unpadded(value) if column.is_padded else value


def unpadded(value: Expression) -> Expression:
    """Write the expression that takes the spaces off which fill a `char(n)`: for Postgres they are no part of it."""
    return Expression(f"rtrim({value}, ' ')")


def _varies(column: Column) -> bool:
    return column.base_type == "numeric" or column.base_type in FLOATING or column.is_padded
