"""Errors and log lines hold no value of a row and no control character, unless somebody asks for the values."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import psycopg
import pytest

from tests.support.library import LIBRARY, library_template
from tests.support.postgres import Postgres
from tidemark.cli import run
from tidemark.disclosure import show_values, traceback_of
from tidemark.errors import ConfigError, DataError, TidemarkError
from tidemark.model_reader import load_model
from tidemark.postgres.connection import translated
from tidemark.warehouse.model_file import located

# What a value can hold: an escape sequence, its short form, a change of direction, and a line that looks like a log's.
EVIL = "\x1b[31mEVIL\x9b2J\u202e\n2026-01-01T00:00:00Z ERROR forged\u2028x"
# What is said of the text that a function wrote.
RAISED = "'…' (PL/pgSQL function inline_code_block line 1 at RAISE)"
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def databases(new_database: Callable[..., str], postgres: Postgres) -> tuple[str, str]:
    return new_database(library_template(postgres)), new_database()


@pytest.fixture
def command(
    databases: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Runs a command in this process, and gives its code and all that it wrote."""
    monkeypatch.chdir(tmp_path)
    for name, url in zip(("SOURCE", "WAREHOUSE"), databases, strict=True):
        monkeypatch.setenv(f"TIDEMARK_{name}_URL", url)
    monkeypatch.setenv("TIDEMARK_MODEL", str(LIBRARY))

    def call(*arguments: str) -> tuple[int, str]:
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.err + shown.out

    yield call
    show_values(wanted=False)


def change(url: str, *statements: str, values: tuple[str, ...] = ()) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode(), values if "%s" in statement else None)


def is_clean(text: str) -> bool:
    return text.isascii() or not set(text) & set("\x1b\x9b\u202e\u2028")


def test_no_message_shows_a_value_or_obeys_one(databases: tuple[str, str], command: Command) -> None:
    source, warehouse = databases
    assert command("init")[0] == 0
    change(
        source, "alter table loan alter fee type text", "update loan set fee = %s where loan_id = 21", values=(EVIL,)
    )

    code, said = command("run", "--verbose")

    assert code == 0
    assert "1 rows set aside in batch 1, such as: loan_id 21: fee is …, which is no DECIMAL(10,2)" in said
    assert "EVIL" not in said

    shown = command("quarantine", "show")[1]
    assert "fee is '\\x1b[31mEVIL\\x9b2J\\u202e" in shown
    assert is_clean(shown + said)
    document = command("quarantine", "show", "--json")[1]
    assert is_clean(document)
    assert json.loads(document)["rows"][0]["row"]["fee"] == EVIL

    change(source, "update loan set fee = %s where loan_id = 22", values=(EVIL,))
    assert command("ingest")[0] == 0
    said = command("transform", "--show-values", "true")[1]
    assert "loan_id 22: fee is '\\x1b[31mEVIL" in said
    assert [line for line in said.splitlines() if line.startswith("2026-01-01")] == []
    assert is_clean(said)

    change(warehouse, "alter table fact_loan add constraint cheap check (fee < 1000) not valid")
    change(source, "update loan set fee = '98765.43' where loan_id = 23")
    for flags in ((), ("--verbose",), ("--json",)):
        code, said = command("run", "--attempts", "1", *flags)
        assert code == 5
        assert 'violates check constraint "cheap"' in said.replace('\\"', '"')
        assert "TIDEMARK_SHOW_VALUES=true shows the values" in said
        assert "98765" not in said
    assert "98765.43" in command("load", "--show-values", "true")[1]


@pytest.mark.parametrize(
    ("statement", "family", "expected"),
    [
        ("raise exception 'no right to %', {value} using errcode = '42501'", ConfigError, f"denies a right: {RAISED}"),
        ("raise exception 'not yet: \"%\"', {value} using errcode = '55000'", ConfigError, RAISED),
        ("raise exception 'twice' using errcode = '23505', detail = {value}", DataError, f"refuses a row: {RAISED}"),
        ("raise exception 'no' using errcode = '23514', constraint = {value}", DataError, RAISED),
        ("assert false, {value}", DataError, "'…' (PL/pgSQL function inline_code_block line 1 at ASSERT)"),
        ("perform set_config({value}, 'x', true)", ConfigError, "unrecognized configuration parameter '…'"),
        ("perform {value}::regclass", DataError, "a function, trigger or view that fails: invalid name syntax"),
        ("execute 'selec ' || {value}", DataError, "that fails: syntax error at or near '…'"),
    ],
)
def test_what_fails_within_a_function_tells_no_value_whatever_its_code(
    new_database: Callable[..., str], statement: str, family: type[TidemarkError], expected: str
) -> None:
    body = statement.format(value="'EVIL x'")
    with psycopg.connect(new_database()) as connection, pytest.raises(family) as caught, translated("the warehouse"):
        connection.execute(f"do $$ begin {body}; end $$".encode())

    assert expected in str(caught.value)
    assert "EVIL" not in f"{caught.value} {caught.value.facts} {traceback_of(caught.value)}"


@pytest.mark.parametrize(
    ("statement", "shown", "hidden"),
    [
        ("insert into fact_loan values (2, 9, 1, 'EVIL x')", "Key (email)=(…) already exists.", "EVIL"),
        ("insert into fact_loan values (2, 9, 1, 'EV)IL')", "Key (email)=(…) already exists.", "EV"),
        ("insert into fact_loan values (2, 7, 1, 'b')", "Key (loan_id)=(7) already exists.", "…"),
        ("insert into fact_loan values (1, 8, 1, 'b')", "Key (loan_record_id)=(1) already exists.", "…"),
        (
            "insert into fact_loan values (2, 8, 77, 'b')",
            'Key (shelf_id)=(77) is not present in table "dim_shelf".',
            "…",
        ),
        ("delete from dim_shelf", 'Key (shelf_id)=(1) is still referenced from table "fact_loan".', "…"),
        ("insert into mail values ('EVIL y')", 'Key (email)=(…) is not present in table "fact_loan".', "EVIL"),
        ("create unique index on mail (lower(other))", "Key (lower(other))=(…) is duplicated.", "evil"),
    ],
)
def test_the_value_of_a_key_is_told_if_it_is_one_of_the_model(
    new_database: Callable[..., str], statement: str, shown: str, hidden: str
) -> None:
    load_model(str(LIBRARY))
    with psycopg.connect(new_database()) as connection:
        connection.execute(
            "create table dim_shelf (shelf_id integer primary key); create table fact_loan (loan_record_id integer"
            " primary key, loan_id integer unique, shelf_id integer references dim_shelf, email text unique);"
            "create table mail (email text references fact_loan (email), other text); insert into dim_shelf values (1);"
            "insert into fact_loan values (1, 7, 1, 'EVIL x'), (3, 3, 1, 'EV)IL');"
            "insert into mail values (null, 'evil'), (null, 'Evil')"
        )
        with pytest.raises(DataError) as caught, translated("the warehouse"):
            connection.execute(statement.encode())

    said = f"{caught.value} {caught.value.facts} {traceback_of(caught.value)}"
    assert shown in caught.value.message
    assert hidden not in said
    assert ("TIDEMARK_SHOW_VALUES=true shows the values" in said) == ("…" in shown)


def test_the_hint_of_a_function_that_warehouse_sql_calls_is_not_told(new_database: Callable[..., str]) -> None:
    raising = "do $$ begin raise exception '%', 'EV' || 'IL' using errcode = '42704', hint = 'EV' || 'IL'; end $$"
    with (
        psycopg.connect(new_database()) as connection,
        pytest.raises(ConfigError) as caught,
        located(load_model(str(LIBRARY)), raising),
    ):
        connection.execute(raising.encode())

    assert "EVIL" not in f"{caught.value} {traceback_of(caught.value)}"
    assert caught.value.advice == "mend it there; nothing was changed"


def test_a_cast_that_fails_tells_no_value(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Path(copytree(LIBRARY, tmp_path / "model"))
    (model / "dimension" / "shelf.sql").write_text("select shelf_id, cast(label as integer)::text as label from shelf")
    assert command("ingest")[0] == 0
    monkeypatch.setenv("TIDEMARK_MODEL", str(model))

    code, said = command("transform", "--verbose")

    assert code == 5
    assert "cannot convert a value: Conversion Error: Could not convert string '…' to INT32" in said
    assert "shelf 1" not in said
    assert "'shelf 1" in command("transform", "--show-values", "true")[1]
