"""The working table of what one batch does to one table: a poll fills it from the source, a fold from the log."""

from collections.abc import Mapping

from tidemark.lake.sqltext import quoted

CHANGE = "change"


def create_change(columns: Mapping[str, str]) -> str:
    """Write the statement that makes the empty working table.

    It holds the columns, `_hash`, `_op`, the row before as `_before`, and its hash. The operation `rehash` is none of
    the source's: the row is as it was, only its hash is new to latest.

    Args:
        columns: the source's columns with the types of the log.
    """
    fields = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    found = f"_hash bigint, _op varchar, _before struct({fields}), _hash_before bigint"
    return f"create or replace temp table {CHANGE} ({fields}, {found})"
