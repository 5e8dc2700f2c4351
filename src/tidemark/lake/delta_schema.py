"""The columns of a Delta table: which of its types a column of DuckDB gets, and which of DuckDB's it stands for.

A TIMESTAMP becomes Delta's `timestamp`, whose values are UTC, and its field says that it has no zone. Delta has a type
of its own for that, but a table with it can be opened only by readers that know the table feature `timestampNtz`
(decision 0041). An older Tidemark wrote that type, and those tables are still read and written as they are.
"""

from collections.abc import Mapping

from deltalake import DeltaTable, Field, Schema
from deltalake.schema import PrimitiveType

# DuckDB has several names for these; it answers with the ones below, and so does a Delta table.
OTHER_NAMES = {"REAL": "FLOAT", "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
DELTA_TYPES = {
    "SMALLINT": "short",
    "INTEGER": "integer",
    "BIGINT": "long",
    "BOOLEAN": "boolean",
    "VARCHAR": "string",
    "DATE": "date",
    "FLOAT": "float",
    "DOUBLE": "double",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
KINDS = {delta_type: kind for kind, delta_type in DELTA_TYPES.items()}
NAIVE = "TIMESTAMP"
# What the field of such a column says of itself; no other reader looks at it.
NAIVE_MARK = {"tidemark.type": "timestamp without time zone"}
UTC_TYPE = PrimitiveType("timestamp")
# How an older Tidemark wrote it, and what the table then asks of its readers.
NAIVE_TYPE, NAIVE_FEATURE = "timestamp_ntz", "timestampNtz"


def can_hold(kind: str) -> bool:
    """Say whether a Delta table can have a column of this DuckDB type."""
    return kind.startswith("DECIMAL(") or kind in DELTA_TYPES or kind in OTHER_NAMES or kind == NAIVE


def schema_of(columns: Mapping[str, str]) -> Schema:
    """Give the schema of a table with these columns, which are DuckDB types by name."""
    return Schema([field_of(name, kind) for name, kind in columns.items()])


def field_of(name: str, kind: str, *, as_before: bool = False) -> Field:
    """Give the field of a column; `as_before` in a table that still asks for the feature."""
    if kind == NAIVE:
        return Field(name, PrimitiveType(NAIVE_TYPE)) if as_before else Field(name, UTC_TYPE, metadata=NAIVE_MARK)
    return Field(name, PrimitiveType(_delta_type(kind)))


def columns_of(delta: DeltaTable) -> dict[str, str]:
    """Give the columns of a table as DuckDB types by name."""
    return {each.name: _kind_of(each) for each in delta.schema().fields}


def asks_for_feature(delta: DeltaTable) -> bool:
    """Say whether a table asks its readers for the table feature, as an older Tidemark made it."""
    return NAIVE_FEATURE in (delta.protocol().reader_features or ())


def _kind_of(field: Field) -> str:
    found = str(getattr(field.type, "type", field.type))
    if found == NAIVE_TYPE or NAIVE_MARK.items() <= field.metadata.items():
        return NAIVE
    return KINDS.get(found) or found.upper().replace(" ", "")


def _delta_type(kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return kind.lower().replace(" ", "")
    return DELTA_TYPES[OTHER_NAMES.get(kind, kind)]
