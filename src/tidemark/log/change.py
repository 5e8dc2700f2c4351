"""The working table of what one batch does to one table: a poll fills it from the source, a fold from the log."""

from collections.abc import Mapping

from tidemark.lake.sqltext import Expression, listed, quoted


def change_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """Give the columns of the working table with their types.

    It holds the columns, `_hash`, `_op`, the row before as `_before`, and its hash. The operation `rehash` is none of
    the source's: the row is as it was, only its hash is new to latest.

    Args:
        columns: the source's columns with the types of the log.
    """
    fields = listed(Expression(f"{quoted(name)} {kind}") for name, kind in columns.items())
    return {
        **columns,
        "_hash": "BIGINT",
        "_op": "VARCHAR",
        "_before": f"STRUCT({fields})",
        "_hash_before": "BIGINT",
    }
