"""The working table of one batch's changes to one table: a poll fills it from the source, a fold from the log."""

from collections.abc import Mapping

from tidemark.lake.sqltext import Expression, listed, quoted


def change_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Give the columns of the working table with their types.

    They are the source's columns, `_hash`, the operation `_op`, the row before as `_before`, and that row's hash as
    `_tidemark_hash_before`. The operation `rehash` is no change of the source: the row is as it was, but latest gets a
    new hash.

    Args:
        columns: the source's columns with the types of the log.
    """
    return {
        **columns,
        "_hash": "BIGINT",
        "_op": "VARCHAR",
        "_before": struct_of(columns),
        "_tidemark_hash_before": "BIGINT",
    }


def struct_of(columns: Mapping[str, str]) -> str:
    """Give the DuckDB type of a row with these columns."""
    fields = listed(Expression(f"{quoted(name)} {kind}") for name, kind in columns.items())
    return f"STRUCT({fields})"
