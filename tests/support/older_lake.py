"""A lake as an older Tidemark wrote it, with a table feature; and what the tables of a lake ask of their readers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pytest
from deltalake import DeltaTable, Schema

from tests.support.pipeline import Rig
from tidemark.lake import table
from tidemark.lake.delta_schema import field_of
from tidemark.log.latest import path_of
from tidemark.objects import Objects

PLAIN = (1, 2, ())
WITH_FEATURE = (3, 7, ("timestampNtz",))
Asked = tuple[int, int, tuple[str, ...]]


@contextmanager
def older_tidemark() -> Iterator[None]:
    """Make tables that do not exist yet as an older Tidemark made them."""

    def schema_of(columns: Mapping[str, str]) -> Schema:
        return Schema([field_of(name, kind, as_before=True) for name, kind in columns.items()])

    with pytest.MonkeyPatch.context() as before:
        before.setattr(table, "schema_of", schema_of)
        yield


def asked_by(rig: Rig) -> dict[str, Asked]:
    """Give what each table of star and latest asks of readers and writers: two versions, and the table features."""
    places = [(rig.processed, star.path) for star in rig.model.stars.values()]
    places += [(rig.ingestion, path_of(source)) for source in rig.model.sources.values()]
    return {path: asked_by_table(objects, path) for objects, path in places}


def asked_by_table(objects: Objects, path: str, version: int | None = None) -> Asked:
    """Give what one table asks, as `asked_by` does."""
    found = DeltaTable(objects.url(path), version=version, storage_options=objects.storage_options()).protocol()
    features = {*(found.reader_features or ()), *(found.writer_features or ())}
    return found.min_reader_version, found.min_writer_version, tuple(sorted(features))


def kinds_of_times(objects: Objects, path: str) -> set[str]:
    """Give how the data files of a table in a directory keep their times, as Parquet says it."""
    files = DeltaTable(objects.url(path)).file_uris()
    query = "select logical_type from parquet_schema(?) where logical_type like 'Timestamp%'"
    return {row[0] for row in duckdb.connect().execute(query, [files]).fetchall()}
