"""Manifests, the names of objects, and finding the newest batch."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.errors import OvertakenError, StateError
from tidemark.log.changelog import (
    ChangeLog,
    LogObject,
    Manifest,
    TableEntry,
    carried_over,
    manifest_key,
    newest_batch,
    object_key,
)
from tidemark.log.columns import Column
from tidemark.objects import open_objects
from tidemark.star.star_manifest import Processed, Rebuilt

NOON = datetime(2024, 11, 11, 12, 0, 0, 123456, tzinfo=UTC)
columns = st.builds(Column, name=st.text(min_size=1), type=st.sampled_from(["integer", "text"]), nullable=st.booleans())
# What can be a part of an object's key.
names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/"), min_size=1).filter(
    lambda name: name not in {".", ".."}
)
log_objects = st.builds(
    LogObject,
    key=names,
    rows=st.integers(0),
    bytes=st.integers(0),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
)
entries = st.builds(
    TableEntry,
    columns=st.lists(columns).map(tuple),
    first_ordinal=st.integers(1),
    rows=st.integers(0),
    hash_sum=st.integers().map(str),
    objects=st.lists(log_objects).map(tuple),
    inserted=st.integers(0),
    latest_row_id=st.none() | st.text(),
)
times = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- given its zone here


def placed(tables: dict[str, TableEntry]) -> dict[str, TableEntry]:
    """Put the objects of each table into one of its folders."""
    return {
        name: replace(entry, objects=tuple(replace(each, key=f"changes/{name}/{each.key}") for each in entry.objects))
        for name, entry in tables.items()
    }


manifests = st.builds(
    Manifest,
    batch=st.integers(1),
    run_id=st.uuids().map(str),
    pipeline_id=st.uuids().map(str),
    source=st.just({"system_identifier": "7", "database": "totesys", "major_version": 18}),
    snapshot=st.text(),
    captured_at=times,
    watermark=st.none() | times,
    tables=st.dictionaries(names, entries, max_size=3).map(placed),
    highest=st.none() | times,
)


def a_manifest(batch: int, run_id: str = "run") -> Manifest:
    source = {"system_identifier": "7", "database": "totesys"}
    return Manifest(batch, run_id, "pipeline", source, "1:1:", NOON, None, {})


@given(manifests)
def test_a_manifest_survives_encoding(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode()) == manifest


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"tables": {}}', b"\xff"])
def test_what_is_no_manifest_is_a_state_error(body: bytes) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        Manifest.decode(body)


def test_an_object_is_named_by_highest_key_and_snapshot_time() -> None:
    assert object_key(1, "payment", 15836, NOON) == "baseline/payment/15836-2024-11-11T12-00-00.123456.jsonl"
    assert object_key(2, "payment", 7, NOON, 3) == "changes/payment/7-2024-11-11T12-00-00.123456-p0003.jsonl"


def test_an_object_is_named_in_utc() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    assert object_key(2, "t", 1, elsewhere) == "changes/t/1-2024-11-11T12-00-00.123456.jsonl"


def test_ordinals_go_on_behind_the_changes_of_the_batch_before() -> None:
    entry = TableEntry((), first_ordinal=11, rows=5, hash_sum="0", inserted=3, updated=2, deleted=1)
    assert carried_over(entry).first_ordinal == 17
    assert carried_over(carried_over(entry)).first_ordinal == 17


@pytest.mark.parametrize("newest", [1, 2, 999, 1000, 1001, 3500])
def test_the_newest_batch_is_found_among_any_number(tmp_path: Path, newest: int) -> None:
    objects = open_objects(str(tmp_path))
    (tmp_path / "batches").mkdir()
    for batch in range(1, newest + 1):
        (tmp_path / manifest_key(batch)).write_bytes(b"{}")
    assert newest_batch(objects) == newest
    assert newest_batch(objects, newest) == newest


def test_an_empty_bucket_has_no_batch(tmp_path: Path) -> None:
    assert newest_batch(open_objects(str(tmp_path))) == 0


@pytest.mark.parametrize("missing", [1, 3, 1000])
def test_a_missing_number_is_a_state_error(tmp_path: Path, missing: int) -> None:
    objects = open_objects(str(tmp_path))
    (tmp_path / "batches").mkdir()
    for batch in range(1, 1200 if missing == 1000 else 5):
        if batch != missing:
            (tmp_path / manifest_key(batch)).write_bytes(b"{}")
    with pytest.raises(StateError, match="missing"):
        newest_batch(objects)


def test_the_second_to_commit_a_batch_is_overtaken(tmp_path: Path) -> None:
    log = ChangeLog(open_objects(str(tmp_path)))
    log.commit(a_manifest(1, "first"))
    with pytest.raises(OvertakenError):
        log.commit(a_manifest(1, "second"))
    assert log.manifest(1).run_id == "first"


def test_committing_again_after_a_lost_answer_succeeds(tmp_path: Path) -> None:
    log = ChangeLog(open_objects(str(tmp_path)))
    log.commit(a_manifest(1))
    log.commit(a_manifest(1))
    assert log.newest() == a_manifest(1)


def test_a_manifest_under_another_number_is_a_state_error(tmp_path: Path) -> None:
    log = ChangeLog(open_objects(str(tmp_path)))
    log.objects.put_new(manifest_key(2), replace(a_manifest(1)).encode())
    with pytest.raises(StateError, match="says that it is batch 1"):
        log.manifest(2)


def in_format(body: bytes, form: object) -> bytes:
    return json.dumps(json.loads(body) | {"format": form}).encode()


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (Manifest.decode, a_manifest(7).encode()),
        (lambda body: Processed.decode(body, 7), Processed(7, "run", "pipeline", NOON, "model", {}).encode()),
        (Rebuilt.decode, Rebuilt(7, "run", "model", {}, [], {}).encode()),
    ],
    ids=["manifest of the log", "manifest of the star", "record of a rebuild"],
)
class TestFormats:
    def test_what_a_newer_tidemark_wrote_asks_for_an_upgrade(
        self, read: Callable[[bytes], object], body: bytes
    ) -> None:
        newer = json.loads(in_format(body, 2)) | {"what_this_one_does_not_know": 1}

        with pytest.raises(StateError, match="is in format 2, and this Tidemark knows no format after 1") as caught:
            read(json.dumps(newer).encode())

        assert "upgrade" in caught.value.advice
        assert "older versions" not in caught.value.advice

    @pytest.mark.parametrize("form", [0, -1, "2", None, 1.5])
    def test_a_format_that_never_was_is_an_altered_record(
        self, read: Callable[[bytes], object], body: bytes, form: object
    ) -> None:
        with pytest.raises(StateError, match=r"cannot be read: expected format 1") as caught:
            read(in_format(body, form))

        assert "older versions" in caught.value.advice

    def test_a_record_without_a_format_is_an_altered_one(self, read: Callable[[bytes], object], body: bytes) -> None:
        content = json.loads(body)
        del content["format"]

        with pytest.raises(StateError, match="cannot be read"):
            read(json.dumps(content).encode())

    def test_its_own_format_is_read(self, read: Callable[[bytes], Any], body: bytes) -> None:
        assert read(body).encode() == body
