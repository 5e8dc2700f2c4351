"""Names as a person writes them: in quotes only where PostgreSQL or DuckDB, which both read them, need them."""

import re

from tidemark.lake.sqltext import quoted

# PostgreSQL cuts off a longer name, and then it may be that of something else.
LONGEST_NAME_BYTES = 63
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Those of PostgreSQL 18 that cannot be a column's name, and those of DuckDB 2.0.
WORDS = """
    all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast check
    collate collation column columns concurrently constraint create cross current_catalog current_date current_role
    current_schema current_time current_timestamp current_user default deferrable desc describe distinct do else end
    except false fetch for foreign freeze from full generated glob grant group having ilike in initially inner intersect
    into is isnull join lambda lateral leading left like limit localtime localtimestamp map natural not notnull null
    offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional primary qualify references
    returning right select semi session_user show similar some struct summarize symmetric system_user table tablesample
    then to trailing true try_cast tuple union unique unpack unpivot user using variadic verbose when where window with
"""
RESERVED = frozenset(WORDS.split())


def written(name: str) -> str:
    """Write a name, in quotes if it needs them."""
    return name if PLAIN.fullmatch(name) and name not in RESERVED else quoted(name)


def constraint(*parts: str) -> str:
    """Begin a constraint by its name, as PostgreSQL itself would call it; a name that is too long is left to it."""
    name = "_".join(parts)
    return f"constraint {written(name)} " if len(name.encode()) <= LONGEST_NAME_BYTES else ""
