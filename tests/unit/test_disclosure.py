"""What a message says of a row: names and keys, and no value unless somebody asked for values."""

from collections.abc import Iterator

import duckdb
import pytest

from tidemark.disclosure import show_values, told, traceback_of, without_literals, without_values
from tidemark.star.quarantine import reason_in_log

EMAIL = "alice@x.org"


@pytest.fixture(autouse=True)
def hidden() -> Iterator[None]:
    """Puts values out of sight again after the test."""
    show_values(wanted=False)
    yield
    show_values(wanted=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('invalid input syntax for type integer: "a "b" c"', "invalid input syntax for type integer: '…'"),
        ('invalid input value for enum "mood": "x"', "invalid input value for enum \"mood\": '…'"),
        ('value "99999999999" is out of range for type integer', "value '…' is out of range for type integer"),
        ("value too long for type character varying(3)", "value too long for type character varying(3)"),
        ('invalid byte sequence for encoding "UTF8": 0xe9', 'invalid byte sequence for encoding "UTF8": 0xe9'),
        ('ungültige Eingabesyntax für Typ integer: »x« "y', "ungültige Eingabesyntax für Typ integer: »x« '…'"),
        (
            'new row for relation "item" violates check constraint "positive"',
            'new row for relation "item" violates check constraint "positive"',
        ),
        ("Could not convert string 'it's' to INT32", "Could not convert string '…' to INT32"),
        ("Could not convert string 'cut", "Could not convert string '…'"),
        ("Could not cast value 99999.5 to DECIMAL(4,2)", "Could not cast value … to DECIMAL(4,2)"),
        ("Type INT64 with value 5000000000 can't be cast", "Type INT64 with value … can't be cast"),
        ("Overflow in multiplication of INT16 (300 * 300)!", "Overflow in multiplication of INT16 …!"),
        ("bad time 2024-01-05 10:00:00.5+02", "bad time … …"),
        (
            "No magic bytes in file '/lake/a 1.parquet'",
            "No magic bytes in file '/lake/a 1.parquet'",
        ),
    ],
)
def test_a_text_of_others_keeps_its_names_and_loses_its_values(text: str, expected: str) -> None:
    assert without_values(text) == expected
    show_values(wanted=True)
    assert without_values(text) == text


@pytest.mark.parametrize(
    "select",
    [
        f"select cast('{EMAIL}' as integer)",
        f"select cast('{EMAIL}' || chr(10) || chr(39) || '{EMAIL}' as date)",
        f"select strptime('{EMAIL}', '%Y')",
        f'select cast(\'{{"a": "{EMAIL}"\' as json)',
        f"select cast('{EMAIL}' as decimal(4, 2)) from range(2)",
    ],
)
def test_the_engine_quotes_no_value(select: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.execute(select).fetchall()
    assert EMAIL in str(caught.value)
    assert EMAIL not in told(caught.value) + traceback_of(caught.value)
    show_values(wanted=True)
    assert EMAIL in traceback_of(caught.value)


def test_an_error_that_speaks_of_no_row_is_told_as_it_is() -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.execute("select * from 'no such file.parquet'")
    assert "no such file.parquet" in told(caught.value)
    assert told(KeyError("name")) == "'name'"


def test_a_reason_in_the_log_has_no_value_and_keeps_the_key() -> None:
    assert reason_in_log("fee is 'a', which is no b', which is no DATE") == "fee is …, which is no DATE"
    assert reason_in_log("it is made with x, such as t.c is '1\n2', which no DATE can hold") == (
        "it is made with x, such as t.c is …, which no DATE can hold"
    )
    assert reason_in_log("shelf_id 7 is not in its dimension") == "shelf_id 7 is not in its dimension"


def test_the_statement_of_another_session_has_no_literals() -> None:
    assert without_literals("update staff set email = 'it''s', n = 'y' where id = 7") == (
        "update staff set email = '…' where id = 7"
    )
    assert without_literals("select 'cut") == "select '…'"
    assert without_literals("do $a$ secret $a$; select 1") == "do '…'; select 1"
