"""What every place for objects does alike: a directory, a bucket, a prefix in a bucket."""

import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import deltalake
import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.objects import KEYS, keys
from tidemark.errors import ConfigError, StateError
from tidemark.objects import ObjectExistsError, ObjectMissingError, Objects, open_objects
from tidemark.objects.s3 import S3Objects

if TYPE_CHECKING:
    from tests.support.s3 import S3


@pytest.fixture(params=["directory", "bucket", "prefix"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the objects of a test lie."""
    if request.param == "directory":
        return str(tmp_path / "not" / "there" / "yet")
    s3: S3 = request.getfixturevalue("s3")
    return f"s3://{s3.create_bucket()}" + ("/some/prefix" if request.param == "prefix" else "")


@pytest.fixture
def objects(url: str) -> Objects:
    """An empty place for objects."""
    return open_objects(url)


# For what takes hundreds of requests: a bucket and a prefix differ in the address alone, which other tests are about.
ON_ONE_OF_EACH = pytest.mark.parametrize(
    "url", ["directory", pytest.param("bucket", marks=pytest.mark.exhaustive), "prefix"], indirect=True
)


def test_what_was_put_is_got(objects: Objects) -> None:
    objects.put_new("changes/staff/17.jsonl", b"one\n")

    assert objects.get("changes/staff/17.jsonl") == b"one\n"
    assert objects.exists("changes/staff/17.jsonl")
    assert objects.size("changes/staff/17.jsonl") == 4


def test_an_empty_object_is_an_object(objects: Objects) -> None:
    objects.put_new("empty", b"")

    assert objects.get("empty") == b""
    assert objects.size("empty") == 0


@pytest.mark.parametrize("url", ["bucket"], indirect=True)
def test_the_end_of_an_object_comes_with_its_size(objects: Objects) -> None:
    assert isinstance(objects, S3Objects)
    objects.put_new("k", b"0123456789")
    objects.put_new("empty", b"")

    assert objects.get_end("k", 4) == (10, b"6789")
    assert objects.get_end("k", 4000) == (10, b"0123456789")
    assert objects.get_end("empty", 4) == (0, b"")
    with pytest.raises(ObjectMissingError):
        objects.get_end("gone", 4)


def test_a_file_that_was_put_is_got_and_downloaded(
    objects: Objects, new_file: Callable[[bytes], Path], tmp_path: Path
) -> None:
    body = os.urandom(3_000_001)

    objects.put_file_new("baseline/staff/1-p0001.jsonl", new_file(body))
    objects.download("baseline/staff/1-p0001.jsonl", tmp_path / "copy")

    assert objects.get("baseline/staff/1-p0001.jsonl") == body
    assert (tmp_path / "copy").read_bytes() == body


def test_the_same_bytes_may_be_put_again(objects: Objects, new_file: Callable[[bytes], Path]) -> None:
    objects.put_new("k", b"same")

    objects.put_new("k", b"same")
    objects.put_file_new("k", new_file(b"same"))

    assert objects.get("k") == b"same"


def test_other_bytes_never_take_an_objects_place(objects: Objects, new_file: Callable[[bytes], Path]) -> None:
    objects.put_new("k", b"first")

    for other in (b"other", b"longer than the first"):
        with pytest.raises(ObjectExistsError, match="holds other bytes"):
            objects.put_new("k", other)
        with pytest.raises(ObjectExistsError, match="holds other bytes"):
            objects.put_file_new("k", new_file(other))

    assert objects.get("k") == b"first"


def test_of_many_puts_at_once_one_succeeds(url: str) -> None:
    def put(number: int) -> bool:
        try:
            open_objects(url).put_new("batches/0000000001.json", b"%d" % number)
        except ObjectExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(8)))

    assert won.count(True) == 1
    assert open_objects(url).get("batches/0000000001.json") == b"%d" % won.index(True)


def test_what_is_published_takes_the_place_of_the_one_before(objects: Objects) -> None:
    for body in (b"first", b"second, longer", b"3"):
        objects.publish("page.html", body, "text/html; charset=utf-8")

        assert objects.get("page.html") == body
    assert [each.key for each in objects.list()] == ["page.html"]


def test_a_browser_is_told_what_was_published(s3: "S3") -> None:
    bucket = s3.create_bucket()

    open_objects(f"s3://{bucket}").publish("page.html", b"<p>", "text/html; charset=utf-8")

    found = s3.client("s3").head_object(Bucket=bucket, Key="page.html")
    assert (found["ContentType"], found["CacheControl"]) == ("text/html; charset=utf-8", "private, no-cache")


def test_a_missing_object_is_named(objects: Objects, tmp_path: Path) -> None:
    assert not objects.exists("batches/1.json")
    for ask in (objects.get, objects.size, lambda key: objects.download(key, tmp_path / "copy")):
        with pytest.raises(ObjectMissingError, match=r"batches/1\.json is not there") as caught:
            ask("batches/1.json")
        assert caught.value.key == "batches/1.json"
        assert isinstance(caught.value, StateError)
    assert not (tmp_path / "copy").exists()


def test_a_key_is_not_taken_for_one_that_it_starts(objects: Objects) -> None:
    objects.put_new("batches/10", b"")

    assert not objects.exists("batches/1")
    assert not objects.exists("batches")


def test_a_listing_is_in_the_order_of_keys(objects: Objects) -> None:
    written = ["a/b", "a-b", "a.b", "ab", "a/b-c/d", "a/b.c", "a/bc", "Z", "é", "\uffee", "\U0001f600", "b/1", "b/10"]
    for key in written:
        objects.put_new(key, key.encode())

    assert keys(objects) == sorted(written)
    assert keys(objects, "a/b") == ["a/b", "a/b-c/d", "a/b.c", "a/bc"]
    assert keys(objects, "b/") == ["b/1", "b/10"]
    assert keys(objects, "c/") == []


def test_a_listing_starts_after_any_key(objects: Objects) -> None:
    written = sorted(["a/1", "a/2", "a/3/x", "a-", "b/1", "b/2", "c"])
    for key in written:
        objects.put_new(key, b"")

    for after in [*written, "0", "a", "a/", "a/25", "a/3", "a/3/", "a/3/y", "zz"]:
        assert keys(objects, start_after=after) == [key for key in written if key > after]
        assert keys(objects, "a/", after) == [key for key in written if key > after and key.startswith("a/")]


def test_a_listing_tells_size_and_age(objects: Objects) -> None:
    objects.put_new("k", b"12345")

    (found,) = objects.list()

    assert (found.key, found.size) == ("k", 5)
    assert found.last_modified.tzinfo is UTC
    assert abs(datetime.now(UTC) - found.last_modified) < timedelta(minutes=5)  # noqa: TID251 -- the server's clock


def test_nothing_is_listed_where_nothing_was_put(objects: Objects) -> None:
    assert keys(objects) == []
    assert keys(objects, "batches/") == []


@ON_ONE_OF_EACH
def test_a_listing_goes_on_beyond_a_page(objects: Objects) -> None:
    written = [f"batches/{number:010}" for number in range(1005)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: objects.put_new(key, b""), written))

    assert keys(objects, "batches/") == written
    objects.delete(written[:-1])
    assert keys(objects, "batches/") == written[-1:]


def test_what_was_deleted_is_gone(objects: Objects) -> None:
    objects.put_new("a/1", b"")
    objects.put_new("a/2", b"")

    objects.delete(["a/1", "a/never-there"])

    assert keys(objects) == ["a/2"]
    objects.put_new("a/1", b"other")
    assert objects.get("a/1") == b"other"


@pytest.mark.parametrize("key", ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/.", "a\0b", "a\nb"])
def test_no_key_leaves_the_root(objects: Objects, key: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for use in (
        objects.get,
        objects.exists,
        objects.size,
        objects.url,
        objects.local_path,
        lambda key: objects.put_new(key, b""),
        lambda key: objects.put_file_new(key, tmp_path / "file"),
        lambda key: objects.download(key, tmp_path / "copy"),
        lambda key: objects.delete([key]),
    ):
        with pytest.raises(ConfigError, match="expected a key"):
            use(key)


def test_no_listing_leaves_the_root(objects: Objects) -> None:
    for prefix in ("../", "a/../", "/"):
        with pytest.raises(ConfigError, match="expected a key"):
            keys(objects, prefix)


@ON_ONE_OF_EACH
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, body=st.binary(max_size=100))
def test_any_key_comes_back_as_it_was(objects: Objects, key: str, body: bytes) -> None:
    folder = f"{uuid.uuid4()}/"
    key = folder + key

    objects.put_new(key, body)

    assert objects.get(key) == body
    assert objects.size(key) == len(body)
    assert keys(objects, folder) == [key]
    assert keys(objects, key) == [key]
    assert keys(objects, folder, start_after=key) == []


def test_delta_tables_lie_where_the_objects_do(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    # boto3 may have its settings from a profile, of which delta-rs learns by the options alone.
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ALLOW_HTTP", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    for _ in range(2):
        deltalake.write_deltalake(
            objects.url("latest/staff"),
            duckdb.connect().from_query("select 1 as staff_id"),
            mode="append",
            storage_options=objects.storage_options(),
        )

    reopened = deltalake.DeltaTable(objects.url("latest/staff"), storage_options=objects.storage_options())

    assert reopened.version() == 1
    assert "latest/staff/_delta_log/00000000000000000001.json" in keys(objects, "latest/staff/")
