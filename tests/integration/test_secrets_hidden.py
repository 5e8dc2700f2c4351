"""No password is ever shown or kept: not in output, logs, errors, tracebacks, `--json`, nor in any file."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psycopg
import pytest
import typer

from tests.support.kept import small_template
from tests.support.library import LIBRARY, library_template
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tests.support.spark import refusing_server
from tidemark.cli import run
from tidemark.cli.app import app

# Nothing in it is escaped in a URL, in JSON or by repr(): any way of showing it shows this.
MARK = "tell-n0body"
PASSWORD = f"{MARK}%40x"
EVERY: dict[str, list[tuple[str, ...]]] = {
    "run": [()],
    "ingest": [()],
    "transform": [()],
    "load": [()],
    "status": [()],
    "catalog": [("--dry-run",)],
    "backfill": [("--from", "2024-01-01", "--to", "2025-01-01"), ("--from", "soon", "--to", "later")],
    "verify": [(), ("--deep",)],
    "history": [("loan", "1"), ("loan", "no number"), ("nothing", "1")],
    "sql": [("select 1",), ("select nothing",), ("--lake", "show tables"), ("--lake", "from nothing")],
    "dashboard": [("--export", "pages"), ("--host", "256.0.0.1")],
    "quarantine": [("list",)],
    "rebuild": [("latest",), ("star",), ("warehouse",)],
    "compact": [()],
    "init": [(), ("--dry-run",)],
    "doctor": [(), ("--sql", "source"), ("--sql", "warehouse"), ("--sql", "dashboard")],
    "model": [("new", "made"), ("check",), ("show",)],
    "generate": [("--rows", "5", "--seed", "1")],
}
# It makes its own databases, into which nobody logs in with a password.
WITHOUT_ONE = {"demo"}


@dataclass
class Listener:
    """The command line in this process, and everything that it has written so far."""

    capture: pytest.CaptureFixture[str]
    folder: Path
    heard: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str) -> int:
        code = run(arguments)
        shown = self.capture.readouterr()
        self.heard += [shown.out, shown.err]
        for text in (shown.out, shown.err):
            assert MARK not in text, (arguments, text)
        return code

    def each_way(self, *arguments: str) -> set[int]:
        # With --verbose there are the logs and tracebacks beside all that there is without.
        return {self(*arguments, "--verbose", *flags) for flags in ((), ("--json",))}

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Listener]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{MARK}/key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{MARK}-token")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    root, ours = logging.getLogger(), logging.getLogger("tidemark")
    handlers, level = list(root.handlers), ours.level
    yield Listener(capsys, tmp_path)
    root.handlers[:] = handlers
    ours.setLevel(level)


def with_password(url: str) -> str:
    return url.replace("postgres@", f"postgres:{PASSWORD}@", 1)


@pytest.fixture
def databases(new_database: Callable[..., str], postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The addresses of a filled source and an empty warehouse, with the password, which are also in the environment."""
    template = library_template(postgres)
    urls = with_password(new_database(template)), with_password(new_database())
    for name, url in zip(("SOURCE", "WAREHOUSE"), urls, strict=True):
        monkeypatch.setenv(f"TIDEMARK_{name}_URL", url)
    monkeypatch.setenv("TIDEMARK_MODEL", str(LIBRARY))
    return urls


def test_every_command_is_heard_here() -> None:
    command: Any = typer.main.get_command(app)
    assert set(EVERY) | WITHOUT_ONE == set(command.commands)


@pytest.mark.usefixtures("databases")
def test_no_command_shows_or_keeps_a_password(listener: Listener) -> None:
    assert listener("init") == 0
    assert listener("run", "--verbose") == 0
    for command, cases in EVERY.items():
        for arguments in cases:
            listener.each_way(command, *arguments)
    listener(*("run", "--every", "0s"))

    assert listener.files() == []
    assert any("fact_loan" in text for text in listener.heard)


def test_generating_rows_shows_no_password(
    listener: Listener, new_database: Callable[..., str], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_SOURCE_URL", with_password(new_database(small_template(postgres))))

    assert listener.each_way("generate", "--rows", "5", "--seed", "1") == {0}

    assert listener.files() == []


BROKEN = {
    "no URL at all": MARK,
    "another scheme": f"mysql://u:{MARK}@db/shop",
    "a bare @": f"postgresql://u:{MARK}@more@db/shop",
    "a bare slash": f"postgresql://u:{MARK}/x@db:5432/shop",
    "a bare question mark": f"postgresql://u:{MARK}?x@db:5432/shop",
    "a bare %": f"postgresql://u:{MARK}%zz@db/shop",
    "no port": f"postgresql://u:{MARK}@db:port/shop",
    "a port too high": f"postgresql://u:{MARK}@127.0.0.1:99999/shop",
    "an unknown option": f"postgresql://u:{MARK}@db/shop?colour=red",
    "a password option": f"postgresql://u@127.0.0.1:1/shop?password={MARK}&sslpassword={MARK}",
    "nobody there": f"postgresql://u:{MARK}@127.0.0.1:1/shop",
    "no such host": f"postgresql://u:{MARK}@nowhere.invalid/shop",
    "no such option value": f"postgresql://u:{MARK}@127.0.0.1:1/shop?sslmode=perhaps",
}


@pytest.mark.parametrize("url", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_or_unreachable_address_is_not_shown(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    once = ("--attempts", "1")
    for command in (("run", *once), ("ingest", *once), ("status",), ("doctor",), ("init",), ("verify",), ("generate",)):
        code = listener(*command, "--source-url", url, "--warehouse-url", url, "--json", "--verbose")
        # It says what it can say without the databases.
        assert code or command in {("status",), ("verify",)}
    monkeypatch.setenv("TIDEMARK_SOURCE_URL", url)
    monkeypatch.setenv("TIDEMARK_WAREHOUSE_URL", url)
    assert 0 not in listener.each_way("load", *once)
    assert 0 not in listener.each_way("rebuild", "warehouse")

    assert listener.files() == []


def test_the_file_of_settings_is_not_shown(listener: Listener, tmp_path: Path) -> None:
    for text in (
        f'source_url = "mysql://u:{MARK}@db/x"\n',
        f'source_url = "postgresql://u:{MARK}@db/x\n',
        f'source_url = ["{MARK}"]\n',
        f'pointer = "s3://u:{MARK}@bucket/x"\n',
        f'ingestion = "postgresql://u:{MARK}@db/x"\n',
    ):
        (tmp_path / "tidemark.toml").write_text(text)
        assert 0 not in listener.each_way("ingest")
        listener.each_way("doctor")


def failing(database: str, statements: Sequence[str]) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_errors_of_the_databases_show_no_password(listener: Listener, databases: tuple[str, str]) -> None:
    source, warehouse = databases
    assert 2 in listener.each_way("load")
    assert listener("init") == 0
    parts = urlsplit(source)
    for url in (source.replace(parts.path, "/no_such_database", 1), source.replace("postgres:", "no_such_role:", 1)):
        assert 0 not in listener.each_way("ingest", "--source-url", url, "--attempts", "1")
        assert 0 not in listener.each_way("load", "--warehouse-url", url, "--attempts", "1")
    assert listener("run") == 0
    failing(warehouse, ["alter table fact_loan add constraint never check (loan_id < 0) not valid"])
    failing(source, ["update loan set fee = fee + 1, changed = now() where loan_id = 21"])
    assert listener.each_way("run") == {5}
    assert listener.each_way("verify")
    failing(warehouse, ["drop table fact_loan cascade"])
    assert 0 not in listener.each_way("load")
    failing(source, ["alter table loan rename column fee to was_fee"])
    assert listener.each_way("ingest") == {4}
    failing(source, ["drop table loan"])
    assert listener.each_way("ingest", "--attempts", "1") == {4}

    assert listener.files() == []


def test_errors_of_aws_show_no_key(listener: Listener, s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lake = ("--ingestion", "s3://no-such-bucket/log", "--processed", "s3://no-such-bucket/star")
    for endpoint in (s3_server.endpoint_url, "http://127.0.0.1:1", f"http://u:{MARK}@127.0.0.1:1"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert 0 not in listener.each_way("transform", *lake, "--attempts", "1")
        assert 0 not in listener.each_way("compact", *lake)
        listener.each_way("ingest", "--source-secret", "no/such/secret", "--attempts", "1")
        listener.each_way("status", "--pointer", "ssm:/no/such")


@pytest.mark.parametrize(
    "secret",
    [
        f'{{"password": "{MARK}"',
        f'{{"password": "{MARK}"}}',
        f'["{MARK}"]',
        f"postgresql://u:{MARK}@one@two/x",
        f"{MARK}",
        f'{{"host": "127.0.0.1", "port": 1, "dbname": "x", "username": "u", "password": "{MARK}"}}',
    ],
)
def test_a_secret_is_not_shown(listener: Listener, s3_server: S3, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    s3_server.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint_url)
    boto3.Session(region_name="eu-west-2").client("secretsmanager").create_secret(Name="shop", SecretString=secret)

    assert 0 not in listener.each_way("ingest", "--source-secret", "shop", "--attempts", "1")
    listener.each_way("doctor", "--source-secret", "shop", "--warehouse-secret", "shop")
    assert listener.files() == []


@pytest.mark.usefixtures("databases")
def test_an_engine_that_quotes_its_token_shows_none_of_it(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listener("init") == 0
    assert listener("ingest") == 0
    with refusing_server() as (port, heard):
        monkeypatch.setenv("TIDEMARK_ENGINE", f"sc://localhost:{port}/;token={MARK}%2Bt0ken;x-key={MARK}-key")
        assert listener.each_way("transform", "--attempts", "1") == {2}
    assert heard[0] == f"Bearer {MARK}+t0ken"
    assert any("the Spark Connect server refuses us" in text for text in listener.heard)

    # Nobody listens there any more.
    assert listener.each_way("transform", "--attempts", "1") == {3}
    for command in ("status", "doctor"):
        listener.each_way(command)
    assert listener.files() == []
