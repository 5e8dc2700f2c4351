"""The processed manifest: what it says of a table, and what it may not name."""

import json
from datetime import UTC, datetime

import pytest

from tidemark.errors import StateError
from tidemark.star.star_manifest import Processed, Rebuilt, StarEntry

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
ENTRY = StarEntry(rows=1, version=3, years=[2024], live=["0000000001-a.parquet"])


def manifest(entry: StarEntry) -> Processed:
    return Processed(1, "run", "ours", NOON, "model", {"dim_item": entry})


def test_a_manifest_names_no_file_outside_of_its_table() -> None:
    body = manifest(ENTRY).encode()
    assert Processed.decode(body, 1).tables["dim_item"].live == ["0000000001-a.parquet"]

    content = json.loads(body)
    content["tables"]["dim_item"]["live"] = ["../other/0000000001-a.parquet"]
    with pytest.raises(StateError, match="the table's own folder"):
        Processed.decode(json.dumps(content).encode(), 1)


def test_after_a_rebuild_a_manifest_does_not_say_what_the_version_before_it_had() -> None:
    rebuilt = Rebuilt(1, "again", "model", {"dim_item": 9}, facts=[], entries={})

    found = rebuilt.apply(manifest(ENTRY)).tables["dim_item"]

    assert (found.version, found.years, found.live) == (9, (), ())
