"""A commit of the Delta log that Tidemark itself writes: a table anew, which no longer asks for any table feature.

A commit may name a lower protocol than those before it. A reader takes the newest protocol and the newest schema that
it finds, and the versions before keep theirs.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction

# The lowest that Delta has and that delta-rs gives to tables without features.
PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}


def whole_table(
    delta: DeltaTable,
    schema: Schema,
    added: Sequence[AddAction],
    transactions: Mapping[str, int],
    metadata: Mapping[str, str],
    *,
    same_rows: bool,
) -> bytes:
    """Write the commit by which files take the place of all that a table has, in the form of the Delta log.

    Args:
        delta: the table as it is.
        schema: the columns that it gets.
        added: the files.
        transactions: the application transactions of the commit.
        metadata: what else the commit says.
        same_rows: whether the files hold the same rows as those before.
    """
    moment = max([delta.history(1)[0].get("timestamp", 0), *(action.modification_time for action in added)])
    table, files = delta.metadata(), delta.get_add_actions(flatten=True)
    operation = {"operation": "WRITE", "operationParameters": {"mode": "Overwrite"}, "engineInfo": "tidemark"}
    about = {
        "id": table.id,
        "name": table.name,
        "description": table.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_json(),
        "partitionColumns": [],
        "createdTime": table.created_time,
        "configuration": table.configuration,
    }
    actions: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": moment, **operation, **metadata}},
        {"protocol": PROTOCOL},
        {"metaData": about},
        *({"txn": {"appId": name, "version": version}} for name, version in transactions.items()),
        *(
            {
                "remove": {
                    "path": quote(path),
                    "dataChange": not same_rows,
                    "deletionTimestamp": moment,
                    "extendedFileMetadata": True,
                    "partitionValues": {},
                    "size": size_bytes,
                }
            }
            for path, size_bytes in zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True)
        ),
        *(
            {
                "add": {
                    "path": quote(action.path),
                    "partitionValues": {},
                    "size": action.size,
                    "modificationTime": action.modification_time,
                    "dataChange": not same_rows,
                    "stats": action.stats,
                }
            }
            for action in added
        ),
    ]
    return "".join(json.dumps(action) + "\n" for action in actions).encode()
