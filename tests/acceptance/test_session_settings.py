"""Whatever a role, a database, a server or a PG* variable sets for a session, the same bytes arrive."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.pipeline import Rig, as_text, clock
from tests.support.postgres import Postgres
from tests.support.small_source import SmallSource, write_model
from tidemark.errors import ConfigError, DataError
from tidemark.postgres.connection import connect
from tidemark.postgres.session_settings import SETTINGS
from tidemark.verification.verify import Verify
from tidemark.warehouse.history import find_versioned, read_history
from tidemark.warehouse.schema import init
from tidemark.warehouse.session import ledger

# Each is valid, and none is what Tidemark works with.
AGAINST_US = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "datestyle": "SQL, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "9s",
    "intervalstyle": "sql_standard",
    "lc_monetary": "C.UTF-8",
    "lc_numeric": "C.UTF-8",
    "lc_time": "C.UTF-8",
    "lock_timeout": "9s",
    "quote_all_identifiers": "on",
    "row_security": "on",
    "standard_conforming_strings": "off",
    "statement_timeout": "9s",
    "synchronous_commit": "off",
    "timezone": "Asia/Kathmandu",
    "transaction_timeout": "9s",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
}
VARIABLES = {
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "German",
    "PGTZ": "America/St_Johns",
    "PGOPTIONS": "-c bytea_output=escape -c IntervalStyle=iso_8601 -c default_transaction_isolation=repeatable\\ read",
}
# Functions and types that a search_path puts before PostgreSQL's own.
ELSEWHERE = (
    "create schema elsewhere",
    "create function elsewhere.clock_timestamp() returns timestamptz language sql as 'select timestamptz ''epoch'''",
    "create function elsewhere.hash_record_extended(record, bigint) returns bigint language plpgsql as 'begin end'",
    "create type elsewhere.text as (a integer)",
)
TABLES = r"""
create type mood as enum ('glad', 'sad');
create table thing (
    id integer primary key, name text, stamp timestamptz, span interval, share float8, price money,
    image bytea, notes text[], how mood
);
insert into thing values
    (1, 'Zürich \ ''Ã©''', '2024-02-01 23:30+00', '-1 year 2 days 03:04', 0.1::float8 + 0.2, 1234.5,
     '\x00ff5c', '{a,NULL}', 'sad'),
    (2, '€', '2024-07-01 00:30+00', '1 day', 1e-300, -7, '\x', '{}', null);
"""
MODEL = """
name = "things"
[source.thing]
key = ["id"]
updated = "stamp"
[star.fact_thing]
kind = "fact"
key = ["thing_record_id"]
driving = "thing"
source_key = ["id"]
reads = ["thing"]
"""
FILES = {
    "fact/thing.sql": "select id, name, stamp, span, share, price, how from thing",
    "warehouse.sql": """
create table fact_thing (
    thing_record_id bigint primary key, id integer not null, name text, stamp timestamptz, span interval,
    share double precision, price text, how text, valid_from timestamp not null, valid_to timestamp,
    is_deleted boolean not null, batch_id bigint not null
);
""",
}
# All but its two moments, which are those of the poll where a row was deleted.
SHOWN = "select thing_record_id, id, name, stamp, span, share, price, how, is_deleted, batch_id from fact_thing"
NAME = r"Zürich \ 'Ã©'"
MORE = (
    "insert into thing values (3, 'ÿ', '2024-07-02 00:30+00', '1 mon', 'nan', 0, '\\x0a', '{NULL}', 'glad')",
    "update thing set share = 0.30000000000000004 + 1e-16 where id = 1",
    "delete from thing where id = 2",
)


NEW_LATIN1 = "create database {} template template0 encoding 'LATIN1' locale 'C' locale_provider 'libc'"
NEW_SQL_ASCII = NEW_LATIN1.replace("LATIN1", "SQL_ASCII")
NOTES = '[source.note]\nkey = ["id"]\n'


def set_against_us(url: str, settings: Mapping[str, str]) -> None:
    """Set the settings that the server knows: half of them for all roles, half for ours, which prevail."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = {row[0].lower() for row in connection.execute("select name from pg_settings")}
        database = sql.Identifier(connection.info.dbname)
        for number, (name, value) in enumerate(settings.items()):
            whose = sql.SQL("role postgres in database {}" if number % 2 else "database {}").format(database)
            written = sql.SQL(value) if name == "search_path" else sql.Literal(value)
            if name in known:
                connection.execute(sql.SQL("alter {} set {} to {}").format(whose, sql.SQL(name), written))


def verified(rig: Rig) -> tuple[int, int]:
    """Verify all places, and give the number of differences and the exit code."""
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    found = Verify(*parts, clock).run()
    return found.count, found.exit_code


def garble(url: str, before: str, after: str) -> None:
    """Write a name into the warehouse as a session with the wrong encoding would have."""
    with closing(connect(url, application="test")) as session:
        session.execute("update fact_thing set name = %s where name = %s", [after, before])


def reset(url: str) -> None:
    """Take back what `set_against_us` did."""
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
        database = sql.Identifier(connection.info.dbname)
        for whose in ("database {}", "role postgres in database {}"):
            connection.execute(sql.SQL(f"alter {whose} reset all").format(database))


@pytest.fixture
def rigs_of_things(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> tuple[Rig, Rig]:
    """Two equal pipelines of one table of many types; everything is set against the second."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(TABLES.encode())

    write_model(tmp_path / "model", MODEL, FILES)
    template = postgres.template("things", build)
    calm, rig = (new_rig(template, model=str(tmp_path / "model"), place=str(tmp_path / name)) for name in ("a", "b"))
    for url, path in ((rig.source_url, "elsewhere, pg_catalog"), (rig.warehouse_url, "public, elsewhere, pg_catalog")):
        with psycopg.connect(url) as connection:
            for statement in ELSEWHERE:
                connection.execute(statement.encode())
        set_against_us(url, AGAINST_US | {"search_path": path})
    return calm, rig


def test_the_same_bytes_arrive_whatever_is_set_against_us(
    rigs_of_things: tuple[Rig, Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, rig = rigs_of_things
    for each, variables in ((calm, {}), (rig, VARIABLES)):
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            each.run()
            with closing(connect(each.source_url, application="test")) as session:
                session.search_path = ["public"]
                for statement in MORE:
                    session.execute(statement)
            each.run()
            assert verified(each) == (0, 0)
            assert [row.batch for row in ledger(each.warehouse_url)] == [1, 2]
            assert (
                read_history(each.warehouse_url, find_versioned(each.model, "thing"), ["1"]).versions[-1]["name"]
                == NAME
            )

    garble(rig.warehouse_url, "ÿ", "ÿ".encode().decode("latin1"))
    assert verified(rig) == (1, DataError.exit_code)
    garble(rig.warehouse_url, "ÿ".encode().decode("latin1"), "ÿ")
    for url in (rig.source_url, rig.warehouse_url):
        reset(url)
    assert list(rig.lines("thing")) == list(calm.lines("thing"))
    mine, other = (each.newest().tables["thing"] for each in (rig, calm))
    assert (mine.columns, mine.rows, mine.hash_sum) == (other.columns, other.rows, other.hash_sum)
    assert as_text(rig.warehouse_url, SHOWN) == as_text(calm.warehouse_url, SHOWN)


def test_each_setting_is_ours_from_the_first_statement_and_nobody_elses_afterwards(
    new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    set_against_us(url, AGAINST_US)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)

    with closing(connect(url, application="test")) as session:
        for name, value in SETTINGS.items():
            row = session.execute("select setting from pg_settings where name ilike %s", [name]).fetchone()
            assert row in ((value,), None), name
        assert session.execute("show transaction_isolation").fetchone() == ("read committed",)
        assert session.execute("show transaction_read_only").fetchone() == ("off",)
        assert session.execute("show synchronous_commit").fetchone() == ("on",)
        assert session.execute("show client_encoding").fetchone() == ("UTF8",)
        # What a pooler would hand on to its next client is what it found.
        session.pgconn.exec_(b"begin")
        assert session.pgconn.exec_(b"show bytea_output").get_value(0, 0) == b"escape"


@pytest.fixture
def new_encoded(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Make databases with another encoding: `new_encoded(statement)` gives the address."""
    names: list[str] = []

    def create(statement: str) -> str:
        names.append(f"encoded_{len(names)}")
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(statement.format(names[-1]).encode())
        return postgres.url(names[-1])

    yield create
    for name in names:
        postgres.drop(name)


@pytest.mark.parametrize(
    ("statement", "texts"), [(NEW_LATIN1, ["Ã©", "é"]), (NEW_SQL_ASCII, ["Ã©", "é", "€"])], ids=["LATIN1", "SQL_ASCII"]
)
def test_a_source_may_have_another_encoding(
    new_encoded: Callable[[str], str], tmp_path: Path, statement: str, texts: list[str]
) -> None:
    source = SmallSource(tmp_path, new_encoded(statement), NOTES)
    with closing(connect(source.reads_as, application="test")) as session:
        session.execute('create table note (id integer primary key, "größe" text)')
        for number, text in enumerate(texts):
            session.execute("insert into note values (%s, %s)", [number, text])

    source.ingest()

    assert [row["größe"] for row in source.latest("note")] == texts
    assert source.ingest() is None


def test_bytes_that_are_no_text_are_refused_with_table_and_encoding(
    new_encoded: Callable[[str], str], tmp_path: Path
) -> None:
    source = SmallSource(tmp_path, new_encoded(NEW_SQL_ASCII), NOTES)
    source.execute("create table note (id integer primary key, a text)", "insert into note values (1, E'Z\\xfcrich')")

    with pytest.raises(ConfigError, match=r"note.*no text in UTF8.*SQL_ASCII.*0xfc"):
        source.ingest()


def test_a_warehouse_that_cannot_hold_a_text_says_so(
    rigs_of_things: tuple[Rig, Rig], new_encoded: Callable[[str], str]
) -> None:
    rig = replace(rigs_of_things[0], warehouse_url=new_encoded(NEW_LATIN1))
    init(rig.warehouse_url, rig.model)

    with pytest.raises(ConfigError, match='encoding "LATIN1"'):
        rig.run()

    assert rig.ledger() == []
