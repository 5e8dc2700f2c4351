"""Wrong addresses and wrong AWS settings for objects, and the errors that they give."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.s3 import S3
from tidemark.errors import ConfigError, TransientError
from tidemark.objects import open_objects


@pytest.mark.parametrize("url", ["", "s3://", "s3:///prefix", "gs://bucket", "https://bucket/x"])
def test_an_address_of_another_kind_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match="expected s3://"):
        open_objects(url)


def test_a_missing_bucket_is_a_config_error(s3: S3, new_file: Callable[[bytes], Path]) -> None:
    assert s3.endpoint_url
    objects = open_objects("s3://there-is-none")

    for use in (
        lambda: objects.get("k"),
        lambda: objects.exists("k"),
        lambda: objects.put_new("k", b""),
        lambda: objects.put_file_new("k", new_file(b"")),
        lambda: list(objects.list()),
        lambda: objects.delete(["k"]),
    ):
        with pytest.raises(ConfigError, match="s3://there-is-none names a bucket that does not exist"):
            use()


def test_missing_credentials_are_a_config_error(s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket = s3.create_bucket()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    for use in (lambda: open_objects(f"s3://{bucket}").get("k"), open_objects(f"s3://{bucket}").storage_options):
        with pytest.raises(ConfigError, match="no AWS credentials"):
            use()


def test_an_unreachable_endpoint_is_transient(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")

    with pytest.raises(TransientError, match="could not be reached"):
        open_objects("s3://bucket").put_new("k", b"")


def test_an_endpoint_that_is_no_url_is_a_config_error(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")

    with pytest.raises(ConfigError, match="AWS settings"):
        open_objects("s3://bucket").put_new("k", b"")


def test_the_region_is_taken_from_either_variable(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.endpoint_url
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert open_objects("s3://bucket").storage_options()["aws_region"] == "eu-north-1"

    monkeypatch.delenv("AWS_REGION")
    assert open_objects("s3://bucket").storage_options()["aws_region"] == "eu-west-2"
