"""Database addresses from Secrets Manager, read from a server with the same interface."""

import json
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from tests.support.s3 import S3
from tidemark import secrets
from tidemark.errors import ConfigError, TransientError
from tidemark.pipeline import wire
from tidemark.secrets import database_url, engine_address, mask_salt, webhook_url
from tidemark.settings import Settings

NAME = "tidemark/source"
MEMBERS = {"host": "db.example", "port": 5433, "dbname": "shop", "username": "reader", "password": "p@ss/w:rd%?#"}


def keep(text: str) -> None:
    boto3.Session().client("secretsmanager").create_secret(Name=NAME, SecretString=text)


@pytest.mark.usefixtures("s3")
def test_a_secret_gives_the_address_of_its_database() -> None:
    keep(json.dumps(MEMBERS | {"engine": "postgres", "sslmode": "require"}))

    assert conninfo_to_dict(database_url(NAME)) == {
        "host": "db.example",
        "port": "5433",
        "dbname": "shop",
        "user": "reader",
        "password": "p@ss/w:rd%?#",
        "sslmode": "require",
    }


@given(text=st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1))
def test_any_password_survives_the_address(text: str) -> None:
    url = secrets._url(NAME, MEMBERS | {"password": text, "username": text})

    assert (conninfo_to_dict(url)["password"], conninfo_to_dict(url)["user"]) == (text, text)


@pytest.mark.usefixtures("s3")
def test_a_secret_without_a_value_is_told_from_none_at_all() -> None:
    boto3.Session().client("secretsmanager").create_secret(Name=NAME)

    with pytest.raises(ConfigError, match="or it has no value yet") as caught:
        database_url(NAME)

    assert "put-secret-value" in caught.value.advice


@pytest.mark.parametrize("host", ["db.example", "/var/run/postgresql", "::1", "one.example,two.example"])
def test_a_host_may_be_a_socket_or_an_address(host: str) -> None:
    members = MEMBERS | {"host": f"[{host}]" if host == "::1" else host}

    assert conninfo_to_dict(secrets._url(NAME, members))["host"] == host


@pytest.mark.usefixtures("s3")
def test_a_port_may_be_text_or_absent() -> None:
    keep(json.dumps({name: value for name, value in MEMBERS.items() if name != "port"}))

    assert conninfo_to_dict(database_url(NAME))["port"] == "5432"
    assert conninfo_to_dict(secrets._url(NAME, MEMBERS | {"port": "6432"}))["port"] == "6432"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hunter2", "no JSON object"),
        ('["hunter2"]', "no JSON object"),
        (json.dumps({"password": "hunter2", "port": 1}), "has no host, dbname, username"),
        (json.dumps(MEMBERS | {"password": "hunter2", "port": "many"}), "expected a number as port"),
    ],
)
def test_a_secret_that_describes_no_database_is_named_and_not_shown(text: str, message: str) -> None:
    keep(text)

    with pytest.raises(ConfigError, match=message) as caught:
        database_url(NAME)

    assert NAME in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.usefixtures("s3")
def test_a_missing_secret_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="there is no secret 'tidemark/source'"):
        database_url(NAME)


def test_a_service_that_is_away_is_a_transient_error(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url.rpartition(":")[0] + ":1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(TransientError):
        database_url(NAME)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("database", ["source", "warehouse"])
def test_the_wiring_takes_a_secret_where_there_is_no_url(database: str) -> None:
    keep(json.dumps(MEMBERS))
    named: dict[str, Any] = {f"{database}_secret": NAME}

    assert getattr(wire(Settings(**named)), f"{database}_url") == database_url(NAME)
    named[f"{database}_url"] = "postgresql://h/x"
    assert getattr(wire(Settings(**named)), f"{database}_url") == "postgresql://h/x"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"salt": "brief"}, "is too short: expected 16 characters or more"),
        ({"pepper": "a long and secret salt"}, "has no salt"),
    ],
)
def test_a_salt_that_is_none_is_refused_and_not_quoted(content: dict[str, str], said: str) -> None:
    keep(json.dumps(content))

    with pytest.raises(ConfigError, match=said) as caught:
        mask_salt(NAME)

    assert next(iter(content.values())) not in str(caught.value)


@pytest.mark.usefixtures("s3")
def test_a_secret_gives_the_salt() -> None:
    keep('{"salt": "a long and secret salt"}')

    assert mask_salt(NAME) == "a long and secret salt"


@pytest.mark.usefixtures("s3")
def test_a_secret_gives_the_address_of_the_webhook() -> None:
    keep('{"url": "https://hooks.example.com/s3cr3t"}')

    assert webhook_url(NAME) == "https://hooks.example.com/s3cr3t"


@pytest.mark.usefixtures("s3")
def test_a_secret_gives_the_address_of_the_engine() -> None:
    address = "sc://spark.example/;use_ssl=true;token=s3cr3t-t0ken"
    keep(json.dumps({"url": address}))

    assert wire(Settings(engine_secret=NAME)).transform.runs_on == address


@pytest.mark.usefixtures("s3")
def test_an_address_of_the_engine_that_is_none_is_refused_and_not_quoted() -> None:
    keep('{"url": "sc://spark.example/;token=s3cr3t-t0ken"}')

    with pytest.raises(ConfigError, match="holds no engine: expected use_ssl=true beside the token") as caught:
        engine_address(NAME)

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.usefixtures("s3")
def test_an_address_of_a_webhook_that_is_none_is_refused_and_not_quoted() -> None:
    keep('{"url": "ftp://hooks.example.com/s3cr3t"}')

    with pytest.raises(ConfigError, match="holds no webhook: expected an address such as https") as caught:
        webhook_url(NAME)

    assert "s3cr3t" not in str(caught.value)
