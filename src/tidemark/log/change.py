"""The working table of one batch's changes to one table: a poll fills it from the source, a fold from the log."""

from collections.abc import Mapping, Sequence

from tidemark.lake.sqltext import OWN, Expression, listed, quoted

KEY_BEFORE = f"{OWN}key_before"


def change_columns(columns: Mapping[str, str], key: Sequence[str]) -> dict[str, str]:
    """Give the columns of the working table with their types.

    They are the source's columns, `_hash`, the operation `_op`, the row before as JSON in `_before`, that row's key as
    `_tidemark_key_before`, and its hash as `_tidemark_hash_before`. The row before is a text because a struct would
    double the columns, and each column takes memory that cannot be spilled. The operation `rehash` is no change of the
    source: the row is as it was, but latest gets a new hash.

    Args:
        columns: the source's columns with the types of the log.
        key: the key's columns.
    """
    return {
        **columns,
        "_hash": "BIGINT",
        "_op": "VARCHAR",
        "_before": "VARCHAR",
        KEY_BEFORE: struct_of({name: columns[name] for name in key}),
        "_tidemark_hash_before": "BIGINT",
    }


def struct_of(columns: Mapping[str, str]) -> str:
    """Give the DuckDB type of a row with these columns."""
    fields = listed(Expression(f"{quoted(name)} {kind}") for name, kind in columns.items())
    return f"STRUCT({fields})"
