"""What every place for the pointer does alike: a file and Parameter Store."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.s3 import S3
from tidemark.errors import ConfigError, StateError, TransientError
from tidemark.log.pointer import Pointer, open_pointer

NOON = datetime(2024, 11, 14, 12, 0, 0, 123456, tzinfo=UTC)
POINTER = Pointer("6f1f4a5c-6a2e-4a0b-9f6b-3a1d2c4b5e6f", 17, NOON, NOON + timedelta(minutes=10))

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds UTC
POINTERS = st.builds(Pointer, st.uuids().map(str), st.integers(0), st.none() | TIMES, TIMES)


@pytest.fixture(params=["file", "parameter"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the pointer of a test lies."""
    if request.param == "file":
        return str(tmp_path / "not" / "there" / "pointer.json")
    request.getfixturevalue("s3")
    return "ssm:/tidemark/pointer"


def put(location: str, text: str) -> None:
    if location.startswith("ssm:"):
        name = location.removeprefix("ssm:")
        boto3.client("ssm").put_parameter(Name=name, Value=text, Type="String", Overwrite=True)
    else:
        Path(location).parent.mkdir(parents=True, exist_ok=True)
        Path(location).write_text(text, encoding="utf-8")


def test_there_is_no_pointer_at_first(location: str) -> None:
    assert open_pointer(location).read() is None


@pytest.mark.usefixtures("s3")
def test_a_parameter_that_was_made_for_it_holds_none_yet() -> None:
    put("ssm:/tidemark/pointer", "{}")
    assert open_pointer("ssm:/tidemark/pointer").read() is None


def test_the_pointer_written_last_is_read(location: str) -> None:
    store = open_pointer(location)

    store.write(Pointer(POINTER.pipeline_id, 16, None, NOON))
    store.write(POINTER)

    assert store.read() == POINTER
    assert open_pointer(location).read() == POINTER


def test_what_the_last_poll_knew_is_kept_and_an_older_pointer_knows_nothing(location: str) -> None:
    pointer = replace(POINTER, polls=3, sums="sums/1.json", bound="0123456789abcdef")
    store = open_pointer(location)

    store.write(pointer)
    assert store.read() == pointer

    members = json.loads(pointer.encode())
    del members["sums"], members["bound"]
    put(location, json.dumps(members))
    assert store.read() == replace(pointer, sums=None, bound=None)


def test_a_pointer_without_a_watermark_is_kept(location: str) -> None:
    pointer = Pointer(POINTER.pipeline_id, 0, None, NOON)

    open_pointer(location).write(pointer)

    assert open_pointer(location).read() == pointer


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "null",
        "[]",
        '{"batch": 1}',
        json.dumps({"pipeline_id": "x", "batch": 1, "watermark": None, "checked_at": "2024-11-14T12:00:00+00:00"}),
        POINTER.encode().replace("17", "-1"),
        POINTER.encode().replace("17", "true"),
        POINTER.encode().replace("+00:00", ""),
        POINTER.encode().replace("2024", "soon"),
        "[" * 3000,
    ],
)
def test_a_pointer_that_cannot_be_understood_says_that_it_is_a_cache(location: str, text: str) -> None:
    put(location, text)

    with pytest.raises(StateError, match=r"cannot be understood.*only a cache: delete"):
        open_pointer(location).read()


def test_a_replaced_pointer_leaves_nothing_behind(tmp_path: Path) -> None:
    store = open_pointer(str(tmp_path / "pointer.json"))

    for _ in range(3):
        store.write(POINTER)

    assert [path.name for path in tmp_path.iterdir()] == ["pointer.json"]


def test_a_place_that_cannot_be_used_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be written"):
        open_pointer(str(tmp_path / "file" / "pointer.json")).write(POINTER)
    with pytest.raises(ConfigError, match="cannot be"):
        open_pointer(str(tmp_path)).read()


def test_missing_credentials_are_a_config_error(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert s3.endpoint_url
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match="no AWS credentials for parameter /tidemark/pointer"):
        open_pointer("ssm:/tidemark/pointer").read()


def test_a_missing_region_is_a_config_error(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert s3.endpoint_url
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match="no AWS region"):
        open_pointer("ssm:/tidemark/pointer").read()


def test_an_unreachable_endpoint_is_transient(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(TransientError, match="parameter /tidemark/pointer could not be reached"):
        open_pointer("ssm:/tidemark/pointer").read()


@given(POINTERS)
def test_decoding_what_was_encoded_gives_the_same(pointer: Pointer) -> None:
    assert Pointer.decode(pointer.encode()) == pointer


@given(POINTERS)
def test_a_pointer_fits_into_a_standard_parameter(pointer: Pointer) -> None:
    assert len(pointer.encode()) < 4096


def test_times_are_kept_in_utc() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2)))

    got = Pointer.decode(Pointer(POINTER.pipeline_id, 1, elsewhere, elsewhere).encode())

    assert got.watermark == NOON
    assert got.checked_at.tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a time with a zone"):
        Pointer(POINTER.pipeline_id, 1, None, NOON.replace(tzinfo=None)).encode()


def test_members_of_a_later_version_are_passed_over() -> None:
    text = json.dumps({**json.loads(POINTER.encode()), "colour": "blue"})

    assert Pointer.decode(text) == POINTER
