"""Tampering with what Tidemark keeps, as a hand in the bucket or a broken disk would: no commit, no record of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from tidemark.lake.table import open_table
from tidemark.log.changelog import manifest_key
from tidemark.objects import Objects

SMALLEST = 22  # of zstd's levels
FOOTER_END_BYTES = 8  # a Parquet file ends with the length of its footer and four letters


def rewrite(objects: Objects, path: str, where: str, **columns: str) -> None:
    """Change the one row of a Delta table for which `where` holds, in a data file of the same name."""
    replaced = ", ".join(f"case when {where} then {value} else {name} end as {name}" for name, value in columns.items())
    _rewrite(objects, path, where, f"select * replace ({replaced}) from {{rows}}")


def drop(objects: Objects, path: str, where: str) -> None:
    """Leave the one row of a Delta table for which `where` holds out of its data file."""
    _rewrite(objects, path, where, f"select * from {{rows}} where not ({where})")


def alter_manifest(objects: Objects, batch: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of a batch in place."""
    path = _local(objects, manifest_key(batch))
    content = json.loads(path.read_text())
    change(content)
    _put(path, json.dumps(content, indent=1).encode())


def alter_object(objects: Objects, key: str, old: bytes, new: bytes) -> None:
    """Replace the first `old` in an object by as many bytes."""
    path = _local(objects, key)
    body = path.read_bytes()
    assert old in body
    assert len(old) == len(new)
    _put(path, body.replace(old, new, 1))


def alter_database(url: str, *statements: str) -> None:
    """Run statements with no trigger or foreign key at work."""
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount in {1, -1}


def _rewrite(objects: Objects, path: str, where: str, select: str) -> None:
    lake = open_table(objects, path)
    assert lake is not None
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        holding = {}
        for file in lake.files:
            local = _local(objects, f"{path}/{file}")
            found = connection.execute(f"select count(*) from read_parquet('{local}') where {where}").fetchone()
            holding[local] = found[0] if found else 0
        (local,) = (each for each, count in holding.items() if count)
        assert sum(holding.values()) == 1
        written = local.with_suffix(".tampered")
        altered = select.format(rows=f"read_parquet('{local}')")
        connection.execute(
            f"copy ({altered}) to '{written}' (format parquet, compression zstd, compression_level {SMALLEST})"
        )
    _pad(written, local.stat().st_size)
    written.replace(local)


def _pad(path: Path, size_bytes: int) -> None:
    """Bring a Parquet file to a size by what no reader looks at: the Delta log knows how long its file is."""
    body = path.read_bytes()
    footer = len(body) - FOOTER_END_BYTES - int.from_bytes(body[-FOOTER_END_BYTES:-4], "little")
    assert len(body) <= size_bytes
    path.write_bytes(body[:footer] + bytes(size_bytes - len(body)) + body[footer:])


def _local(objects: Objects, key: str) -> Path:
    path = objects.local_path(key)
    assert path is not None
    return path


def _put(path: Path, body: bytes) -> None:
    # Beside it first: the object may be one file with another in a scratch directory or a copy of the lake.
    written = path.with_suffix(".tampered")
    written.write_bytes(body)
    written.replace(path)
