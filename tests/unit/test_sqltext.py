"""Pieces of SQL for DuckDB."""

from tidemark.lake.sqltext import Condition, all_of, any_of


def test_conditions_are_joined_without_those_that_decide_nothing() -> None:
    one, other = Condition("a = 1"), Condition("b = 2")

    assert any_of([one, Condition("false"), other]) == "a = 1 or b = 2"
    assert all_of([one, Condition("true"), other]) == "a = 1 and b = 2"
    assert (any_of([]), any_of([Condition("false")])) == ("false", "false")
    assert (all_of([]), all_of([Condition("true")])) == ("true", "true")
