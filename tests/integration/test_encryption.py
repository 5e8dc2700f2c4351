"""What a server must offer and prove, however its host is given, and what is said of one that does not."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.certificates import Authority
from tests.support.wires import Wire, wire_to
from tidemark.errors import ConfigError
from tidemark.postgres.connection import connect, where
from tidemark.postgres.encryption import proven_by

# The name that the server's certificate has; it listens on the loopback interface.
NAME = "db.example"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:///shop?service=none", 'definition of service "none" not found'),
        ("postgresql://db.example/shop?sslmode=always", 'invalid sslmode value: "always"'),
        ("postgresql://db.example/shop?sslmode=require&sslrootcert=system", 'weak sslmode "require"'),
        ("postgresql://a.example,b.example/shop?hostaddr=10.0.0.7", "could not match 2 host names to 1 hostaddr"),
    ],
)
def test_what_libpq_does_not_take_is_no_server_that_is_away(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"libpq does not take the URL.*{said}"):
        connect(url, application="test")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority.pem")


@pytest.fixture
def wire(new_database: Callable[..., str], authority: Authority) -> Iterator[Wire]:
    with wire_to(new_database()) as wire:
        wire.tls = authority.server(NAME)
        yield wire


def address(wire: Wire, host: str = NAME) -> str:
    parts = conninfo_to_dict(wire.url)
    return f"postgresql://{parts['user']}@{host}:{parts['port']}/{parts['dbname']}?hostaddr=127.0.0.1"


def is_encrypted(url: str, authority: Authority) -> bool:
    with closing(connect(proven_by(url, str(authority.file)), application="test")) as session:
        return session.pgconn.ssl_in_use


def test_a_server_proves_itself_however_its_host_is_given(
    wire: Wire, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = conninfo_to_dict(wire.url)
    bare = f"postgresql://{parts['user']}@/{parts['dbname']}"
    assert is_encrypted(address(wire), authority)
    wrong = Authority(tmp_path / "another.pem")

    services = tmp_path / "services.conf"
    services.write_text(f"[shop]\nhost={NAME}\nhostaddr=127.0.0.1\nport={parts['port']}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    for variables, url in (
        ({"PGHOST": NAME, "PGHOSTADDR": "127.0.0.1", "PGPORT": str(parts["port"])}, bare),
        ({"PGSERVICE": "shop"}, bare),
        ({}, f"{bare}?service=shop"),
    ):
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            assert is_encrypted(url, authority)
            assert where(url) == f"{NAME}/{parts['dbname']}"
            with pytest.raises(ConfigError, match="does not prove who it is"):
                is_encrypted(url, wrong)


def test_a_server_that_does_not_prove_itself_is_a_config_error_that_says_what_to_do(
    wire: Wire, authority: Authority, tmp_path: Path
) -> None:
    def refused(url: str, file: Path) -> ConfigError:
        with pytest.raises(ConfigError, match="does not prove who it is") as caught:
            connect(proven_by(url, str(file)), application="test")
        return caught.value

    port = conninfo_to_dict(wire.url)["port"]
    wrong = Authority(tmp_path / "another.pem")
    look = f"openssl s_client -starttls postgres -connect 127.0.0.1:{port} -CAfile "
    assert look + str(wrong.file) in refused(address(wire), wrong.file).advice

    other = refused(address(wire, "other.example"), authority.file)
    assert f'server certificate for "{NAME}" does not match host name "other.example"' in other.message
    assert "write the server's name in the URL as its certificate has it" in other.advice
    wire.tls = authority.server(NAME, until=datetime(2021, 1, 1, tzinfo=UTC))
    assert "the certificate has expired" in refused(address(wire), authority.file).advice

    no_pem = tmp_path / "empty.pem"
    no_pem.write_text("no certificate")
    assert "to a file of PEM certificates" in refused(address(wire), no_pem).advice
