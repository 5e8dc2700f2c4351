"""What the roles of `doctor --sql` may do: all that a run needs, and no more; and when a connection is encrypted."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.kept import small_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.site import Site, new_site
from tidemark.errors import ConfigError
from tidemark.model_reader import load_model
from tidemark.postgres.connection import connect
from tidemark.postgres.encryption import demanded_encryption, proven_by
from tidemark.postgres.role_writes import possible_writes
from tidemark.verification.laws import laws_of_warehouse
from tidemark.verification.star_warehouse import open_snapshot
from tidemark.warehouse.roles import ROLES, role_sql

SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


def as_role(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@", 1)


def run_script(url: str, script: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())


@pytest.fixture
def dropped_roles(postgres: Postgres) -> Iterator[list[str]]:
    """Databases whose privileges for the two roles are taken back at the end, and the roles dropped."""
    urls: list[str] = []
    yield urls
    with psycopg.connect(postgres.url()) as connection:
        made = [row[0] for row in connection.execute("select rolname from pg_roles where rolname like 'tidemark_%'")]
    for url in urls:
        run_script(url, "; ".join(f"drop owned by {role}" for role in made))
    run_script(postgres.url(), "; ".join(f"drop role {role}" for role in made))


@pytest.fixture
def limited(new_rig: Callable[..., Rig], postgres: Postgres, dropped_roles: list[str]) -> Rig:
    """A pipeline that reads and loads as the roles that the scripts make."""
    rig = new_rig(small_template(postgres))
    for url, database in ((rig.source_url, "source"), (rig.warehouse_url, "warehouse")):
        for _ in range(2):
            run_script(url, role_sql(rig.model, database))  # type: ignore[arg-type]
    dropped_roles += [rig.source_url, rig.warehouse_url]
    reader, loader = ROLES["source"], ROLES["warehouse"]
    return replace(rig, source_url=as_role(rig.source_url, reader), warehouse_url=as_role(rig.warehouse_url, loader))


def test_the_roles_may_do_all_that_a_run_needs(limited: Rig) -> None:
    limited.run()
    with psycopg.connect(limited.source_url.replace(ROLES["source"], "postgres")) as connection:
        connection.execute("update staff set first_name = 'Ada', last_updated = now() where staff_id = 1")
        connection.execute("delete from payment where payment_id = 1")
    limited.run()

    assert limited.ledger() == [1, 2]
    assert limited.newest().is_floor_known
    with open_snapshot(limited.warehouse_url) as warehouse:
        proofs = laws_of_warehouse(limited.model, warehouse).tables
    assert [proof for proof in proofs if not proof.is_proven or proof.note] == []


@pytest.mark.parametrize(
    "statement",
    [
        "insert into payment_type values (99, 'x')",
        "update staff set first_name = 'x'",
        "delete from payment",
        "truncate payment",
        "drop table payment",
        "create table mine ()",
    ],
)
def test_the_reader_may_change_nothing(limited: Rig, statement: str) -> None:
    # Even in a session that turns off what the role begins with.
    options = "-c default_transaction_read_only=off"
    connection = psycopg.connect(limited.source_url, options=options)
    with connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_the_readers_sessions_refuse_what_everybody_may_write(limited: Rig, new_database: Callable[..., str]) -> None:
    def refuses(session: psycopg.Connection) -> None:
        for statement in (b"create temporary table mine ()", b"select lo_create(0)"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), session.transaction():
                session.execute(statement)

    with psycopg.connect(limited.source_url) as theirs:
        refuses(theirs)
    # The transactions of a poll refuse it whatever the role is.
    with closing(connect(new_database(), application="test", only_reads=True)) as ours:
        refuses(ours)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from fact_payment",
        "truncate dim_staff",
        "drop table fact_payment",
        "alter table fact_payment add column x integer",
        "update tidemark.batch set batch = 7",
        "delete from tidemark.batch",
        "create table mine ()",
        "create schema mine",
    ],
)
def test_the_loader_may_only_add_and_update(limited: Rig, statement: str) -> None:
    with psycopg.connect(limited.warehouse_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


def test_doctor_has_nothing_against_the_roles_that_it_prints(site: Site, dropped_roles: list[str]) -> None:
    site.run("init")
    dropped_roles += [site.source, site.warehouse]
    run_script(site.source, site.run("doctor", "--sql", "source").stdout)
    run_script(site.warehouse, site.json("doctor", "--sql", "warehouse")["sql"])
    limited = replace(
        site, source=as_role(site.source, ROLES["source"]), warehouse=as_role(site.warehouse, ROLES["warehouse"])
    )

    found = limited.json("doctor")["findings"]

    assert [each for each in found if each["outcome"] == "failure"] == []
    hints = {(each["area"], each["found"].partition(":")[0]) for each in found if each["outcome"] == "hint"}
    assert hints == {("source", "there is no index for the cursor, so every poll reads these from end to end")}
    assert "the tables are those of the model" in {each["found"] for each in found}


def test_doctor_says_what_a_role_may_do_too_much(site: Site, dropped_roles: list[str]) -> None:
    site.run("init")
    dropped_roles += [site.source, site.warehouse]
    run_script(site.source, site.run("doctor", "--sql", "source").stdout)
    reader = replace(site, source=as_role(site.source, ROLES["source"]))
    run_script(site.source, f"grant update on payment to {ROLES['source']}")
    run_script(site.source, f"alter role {ROLES['source']} reset default_transaction_read_only")

    found = reader.json("doctor")["findings"]

    hints = {each["found"]: each["advice"] for each in found if each["outcome"] == "hint"}
    assert hints["the role may also write public.payment, which a poll never does"] == (
        f"revoke insert, update, delete, truncate on public.payment from {ROLES['source']}"
    )
    assert "the role postgres is a superuser, which may do anything at all" in hints
    writes = "the role may make temporary tables and write large objects, which a poll never does"
    assert hints[writes] == f"alter role {ROLES['source']} set default_transaction_read_only = on"
    run_script(reader.source, hints[writes])
    assert possible_writes(reader.source, ROLES["source"], "test") == ([], "")


def test_names_with_sql_in_them_are_quoted_in_the_scripts(tmp_path: Path) -> None:
    (tmp_path / "dimension").mkdir()
    (tmp_path / "warehouse.sql").write_text("")
    (tmp_path / "dimension" / 'x"; drop table y; --.sql').write_text("select 1 as k")
    (tmp_path / "model.toml").write_text(
        "[source.'Order \"; drop table z; --']\nkey = ['k']\nschema = 'A b'\n"
        "[star.'dim_x\"; drop table y; --']\nkind = 'dimension'\nkey = ['k']\n"
        "reads = ['Order \"; drop table z; --']\n"
    )
    model = load_model(str(tmp_path))

    assert '"A b"."Order ""; drop table z; --"' in role_sql(model, "source")
    assert '"dim_x""; drop table y; --"' in role_sql(model, "warehouse")


@pytest.fixture
def guarded(new_database: Callable[..., str]) -> Iterator[str]:
    """The address of a database as a role that the server asks for its password, which is `right`."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role guarded login password 'right'")
        (place,) = connection.execute("show hba_file").fetchone() or ("",)
        rules = Path(place).read_text()
        Path(place).write_text(f"local all guarded scram-sha-256\n{rules}")
        connection.execute("select pg_reload_conf()")
        try:
            yield as_role(url, "guarded")
        finally:
            Path(place).write_text(rules)
            connection.execute("select pg_reload_conf()")
            connection.execute("drop role guarded")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("guarded:wrong@", "password authentication failed"),
        ("guarded@", "no password supplied"),
        ("nobody_at_all@", 'role "nobody_at_all" does not exist'),
    ],
)
def test_a_server_that_refuses_us_is_not_one_that_is_away(guarded: str, given: str, found: str) -> None:
    with closing(eventually(guarded.replace("guarded@", "guarded:right@"))) as connection:
        assert connection.execute("select current_user").fetchone() == ("guarded",)

    with pytest.raises(ConfigError, match=found) as caught:
        connect(guarded.replace("guarded@", given), application="test")

    assert " refuses: " in caught.value.message
    assert caught.value.advice == "check user, password and database in the URL or the secret"


def test_a_database_that_is_not_there_is_no_server_that_is_away(new_database: Callable[..., str]) -> None:
    url = new_database()
    name = str(conninfo_to_dict(url)["dbname"])

    with pytest.raises(ConfigError, match="does not exist"):
        connect(url.replace(name, f"{name}_gone"), application="test")


def eventually(url: str) -> psycopg.Connection:
    """Connect once the server has read its rules again, which it does by and by."""
    for _ in range(100):
        with suppress(ConfigError):
            connect(url.replace("right", "wrong"), application="test").close()
            time.sleep(0.05)
            continue
        break
    return connect(url, application="test")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@db.example/shop", {"sslmode": "require"}),
        ("postgresql://u:p@10.0.0.7:5433/shop", {"sslmode": "require"}),
        ("postgresql://u@/shop?host=db.example", {"sslmode": "require"}),
        ("postgresql://u@localhost,db.example/shop", {"sslmode": "require"}),
        ("postgresql://u@localhost/shop?hostaddr=10.0.0.7", {"sslmode": "require"}),
        ("postgresql://u@/shop?host=/var/run/postgresql&hostaddr=10.0.0.7", {"sslmode": "require"}),
        ("postgresql://u@localhost,localhost/shop?hostaddr=127.0.0.1,10.0.0.7", {"sslmode": "require"}),
        ("postgresql://u@db.example/shop?sslrootcert=/ca.pem", {"sslmode": "require"}),
        ("postgresql://u@db.example/shop?hostaddr=127.0.0.1", {"sslmode": "require"}),
        ("postgresql://u@db.example/shop?sslmode=disable", {}),
        ("postgresql://u@db.example/shop?sslmode=verify-full&sslrootcert=/ca.pem", {}),
        ("postgresql://u@db.example/shop?sslrootcert=system", {}),
        ("postgresql://u@localhost/shop", {}),
        ("postgresql://u@127.0.0.9/shop", {}),
        ("postgresql://u@[::1]/shop", {}),
        ("postgresql://u@/shop?host=/var/run/postgresql", {}),
        ("postgresql:///shop", {}),
        ("postgresql://u:50%zz@db.example/shop", {}),
    ],
)
def test_a_connection_to_another_host_is_encrypted_unless_its_url_says_otherwise(
    url: str, expected: dict[str, str]
) -> None:
    assert demanded_encryption(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@db.example/shop", "?sslmode=verify-full&sslrootcert={file}"),
        ("postgresql://u:p@db.example/shop?sslmode=require", "&sslrootcert={file}"),
        ("postgresql://u@db.example/shop?sslmode=disable&sslrootcert=/other", ""),
        ("postgresql://u@localhost/shop?hostaddr=10.0.0.7", "&sslmode=verify-full&sslrootcert={file}"),
        ("postgresql://u@localhost/shop", ""),
        ("postgresql://u@/shop?host=/var/run/postgresql", ""),
    ],
)
def test_a_server_on_another_host_must_prove_who_it_is(url: str, expected: str, tmp_path: Path) -> None:
    bundle = tmp_path / "rds.pem"
    bundle.touch()

    assert proven_by(url, str(bundle)) == url + expected.format(file=quote(str(bundle), safe=""))


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a file with the certificates"):
        proven_by("postgresql://u@db.example/shop", str(tmp_path / "none.pem"))


def test_libpqs_own_variables_are_not_weakened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert demanded_encryption("postgresql://u@db.example/shop") == {}
    monkeypatch.delenv("PGSSLMODE")
    monkeypatch.setenv("PGHOST", "db.example")
    assert demanded_encryption("postgresql:///shop") == {"sslmode": "require"}


def test_a_server_without_tls_gets_no_password_and_the_error_says_how_to_do_without() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard: list[bytes] = []

        def refuse() -> None:
            client, _ = server.accept()
            with client:
                heard.append(client.recv(1024))
                client.sendall(b"N")
                heard.append(client.recv(1024))

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match="sslmode=disable"):
            connect(f"postgresql://u:tell-nobody@db.example:{port}/shop?hostaddr=127.0.0.1", application="test")
        thread.join()

    assert heard == [SSL_REQUEST, b""]


def test_a_right_that_is_missing_is_a_config_error(limited: Rig) -> None:
    with psycopg.connect(limited.source_url.replace(ROLES["source"], "postgres")) as connection:
        connection.execute(f"revoke select on payment from {ROLES['source']}".encode())

    with pytest.raises(ConfigError, match="payment"):
        limited.ingest()
