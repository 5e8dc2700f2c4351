"""Entries of the catalog: what Glue is told of a Delta table and of a view over one.

Glue's columns have the types of Hive; a view's definition has those of Athena, which is Presto. Athena reads the
columns of a Delta table from its log, and finds the log by the location; Spark finds it by the `path`. A view is
written down as Presto does it: JSON in base64, within a comment.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemark.lake.sqltext import Expression, Select, listed, named_as, names, quoted
from tidemark.named_sql import filled

# What an entry of ours says of itself: which lake it is of.
MARK = "tidemark.lake"
CATALOG = "awsdatacatalog"
# Athena takes no other characters in a name.
UNFIT = re.compile(r"[^a-z0-9_]")
VALID_TO = "valid_to"
# For each DuckDB type of the lake the one of Hive, and that of a view in Athena. A decimal has its digits in each.
HIVE_TYPES = {
    "SMALLINT": "smallint",
    "INTEGER": "int",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "VARCHAR": "string",
    "DATE": "date",
    "FLOAT": "float",
    "DOUBLE": "double",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
PRESTO_TYPES = HIVE_TYPES | {
    "INTEGER": "integer",
    "VARCHAR": "varchar",
    "FLOAT": "real",
    "TIMESTAMP": "timestamp(3)",
    "TIMESTAMP WITH TIME ZONE": "timestamp(3) with time zone",
}
SERDE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
INPUT = "org.apache.hadoop.mapred.SequenceFileInputFormat"
OUTPUT = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"


@dataclass(frozen=True)
class Entry:
    """A table or a view as Glue's CreateTable takes it, by its name."""

    name: str
    is_view: bool
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Versions:
    """What tells the versions of a table apart: the columns of the row's key, and the number that grows with them."""

    key: Sequence[str]
    number: str


def entry_name(*parts: str) -> str:
    """Make a name that Athena takes: small letters, digits and underscores."""
    return UNFIT.sub("_", "_".join(parts).lower())


def table_entry(name: str, location: str, lake: str, columns: Mapping[str, str], description: str) -> Entry:
    """Write the entry of a Delta table.

    Args:
        name: its name in the catalog.
        location: the URL of its folder.
        lake: the URL of the lake that it is part of.
        columns: DuckDB types by column.
        description: what the table is.
    """
    serde = {"SerializationLibrary": SERDE, "Parameters": {"serialization.format": "1", "path": location}}
    about = {"EXTERNAL": "TRUE", "table_type": "DELTA", "classification": "delta", MARK: lake}
    return Entry(
        name,
        is_view=False,
        input={
            "Name": name,
            "Description": description,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {**about, "spark.sql.sources.provider": "delta"},
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Columns": _hive_columns(columns),
                "Location": location,
                "InputFormat": INPUT,
                "OutputFormat": OUTPUT,
                "SerdeInfo": serde,
            },
        },
    )


def view_entries(
    database: str, table: str, lake: str, columns: Mapping[str, str], versions: Versions
) -> tuple[Entry, Entry]:
    """Write the entries of the views over a table of versions: each version with its end, and the live rows."""
    fields = {name: _shown(name, kind) for name, kind in columns.items()}
    parts = {
        "fields": listed(named_as(value, name) for name, value in fields.items()),
        "began": fields["valid_from"],
        "key": names(versions.key),
        "number": quoted(versions.number),
        "table": quoted(table, f"{quoted(database)}."),
    }
    history = Select(filled("athena", "history", parts))
    shown = {**columns, VALID_TO: columns["valid_from"]}
    current = Select(filled("athena", "current", {"fields": names(shown), "history": history}))
    about = {
        f"{table}_history": (history, f"each version in {table}, with the moment at which it ended"),
        f"{table}_current": (current, f"the live rows of {table}"),
    }
    first, second = (
        _view_entry(name, database, lake, select, shown, description) for name, (select, description) in about.items()
    )
    return first, second


def _view_entry(
    name: str, database: str, lake: str, select: Select, columns: Mapping[str, str], description: str
) -> Entry:
    described = [{"name": column.lower(), "type": _in(PRESTO_TYPES, kind)} for column, kind in columns.items()]
    definition = {"originalSql": select, "catalog": CATALOG, "schema": database, "columns": described}
    encoded = base64.b64encode(json.dumps(definition).encode()).decode()
    return Entry(
        name,
        is_view=True,
        input={
            "Name": name,
            "Description": description,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View", MARK: lake},
            "PartitionKeys": [],
            "StorageDescriptor": {"Columns": _hive_columns(columns), "Location": "", "SerdeInfo": {}},
            "ViewOriginalText": f"/* Presto View: {encoded} */",
            "ViewExpandedText": "/* Presto View */",
        },
    )


def _shown(name: str, kind: str) -> Expression:
    """Write a value as a view shows it: a TIMESTAMP as a clock in UTC shows it, whatever the zone of the session."""
    if not kind.startswith("TIMESTAMP"):
        return quoted(name)
    return Expression(f"cast({quoted(name)} at time zone 'UTC' as {PRESTO_TYPES[kind]})")


def _hive_columns(columns: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Name": name.lower(), "Type": _in(HIVE_TYPES, kind)} for name, kind in columns.items()]


def _in(types: Mapping[str, str], kind: str) -> str:
    return kind.lower().replace(" ", "") if kind.startswith("DECIMAL") else types[kind]
