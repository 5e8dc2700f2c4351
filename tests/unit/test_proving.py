"""What a verification says of a table that it cannot compare."""

import duckdb
import pytest

from tidemark.verification.proving import REPORT, RESTORE, not_verified


@pytest.mark.parametrize("statement", ["select", "select " + "1 + " * 2000 + "1", "select b from (select 1 as a)"])
def test_a_statement_that_the_engine_refuses_is_no_damaged_file(statement: str) -> None:
    with pytest.raises(duckdb.Error) as caught:
        duckdb.sql(statement)
    problem, cause, advice = not_verified(caught.value)
    assert problem.startswith("cannot be compared")
    assert "says nothing of rows and files" in cause
    assert advice == REPORT


def test_any_other_error_is_of_a_file() -> None:
    problem, _, advice = not_verified(duckdb.Error("Snappy decompression failure"))
    assert (problem, advice) == ("cannot be read: Snappy decompression failure", RESTORE)
