"""The types of the warehouse's columns: what becomes of a type of the source, and of one that DuckDB gives."""

import re

from tidemark.log.columns import UNCONSTRAINED_DECIMAL, Column

# PostgreSQL's name of each DuckDB type that the star can hold; DECIMAL keeps its digits.
IN_POSTGRES = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "HUGEINT": "numeric(38)",
    "UBIGINT": "numeric(20)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "varchar",
    "TIME": "time",
    "UUID": "uuid",
    "INTERVAL": "interval",
    "JSON": "json",
}
DECIMAL = re.compile(r"DECIMAL(\(\d+,\s*\d+\))")
# The source's types that a column of the warehouse keeps, with their short names. Any other one becomes text: a type
# that somebody made need not be there, and the lake has neither arrays nor bytes.
KEPT = {
    **{name: name for name in ("boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric")},
    **{name: name for name in ("date", "interval", "text", "uuid", "json", "jsonb", "inet", "cidr", "macaddr")},
    "character varying": "varchar",
    "character": "char",
    "time without time zone": "time",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
# As keys these would make one value of several texts.
NO_KEYS = {"interval", "json", "jsonb"}
# With a precision these would make one key of several moments.
ROUNDED = {"time", "timestamp", "timestamptz"}
MODIFIERS = re.compile(r"\(\d+(?:,\d+)?\)")


def type_of_source(column: Column, *, is_key: bool) -> str:
    """Give the type in the warehouse of a column that comes from the source as it is."""
    name = KEPT.get(column.base_type, "text")
    if is_key and name in NO_KEYS:
        return "text"
    if name == "numeric" and column.typed == UNCONSTRAINED_DECIMAL and column.type != "numeric(38,18)":
        # DuckDB has fewer digits than some of PostgreSQL's types, and no scale below zero or beyond all digits.
        return "numeric"
    found = MODIFIERS.search(column.type)
    modifiers = found[0].replace(",", ", ") if found and name != "text" else ""
    return name if is_key and name in ROUNDED else name + modifiers


def type_of_select(kind: str) -> str | None:
    """Give the type in the warehouse of what a SELECT computes, by DuckDB's type; None if the star cannot hold it."""
    found = DECIMAL.fullmatch(kind)
    return f"numeric{found[1].replace(',', ', ').replace('  ', ' ')}" if found else IN_POSTGRES.get(kind)
