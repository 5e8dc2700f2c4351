"""What is read from a URL's query, and what a SELECT gets of it."""

from datetime import date, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.dashboard.figures import Figure
from tidemark.dashboard.filters import Chosen, read_chosen

FIGURE = Figure("a", "A", "Sales", "select 1", filters=("dates", "currency", "moment"))


def test_nothing_chosen_means_every_row() -> None:
    assert read_chosen({}, ["currency"]).parameters(FIGURE) == {
        "first": "-infinity",
        "last": "infinity",
        "currency": None,
        "moment": "infinity",
    }


def test_what_is_chosen_becomes_a_parameter() -> None:
    query = {"first": "2024-01-01", "last": "2024-02-29", "currency": "EUR", "moment": "2024-03-01T12:30", "x": "y"}

    chosen = read_chosen(query, ["currency"])

    assert chosen == Chosen(
        date(2024, 1, 1),
        date(2024, 2, 29),
        datetime.fromisoformat("2024-03-01T12:30"),
        {"currency": "EUR"},
    )
    assert chosen.parameters(FIGURE) == {
        "first": "2024-01-01",
        "last": "2024-02-29",
        "currency": "EUR",
        "moment": "2024-03-01 12:30:00",
    }


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"first": "yesterday"}, "expected a day such as 2024-11-30, got 'yesterday'; it is left out"),
        ({"last": "2024-02-30"}, "expected a day such as 2024-11-30, got '2024-02-30'; it is left out"),
        ({"moment": "noon"}, "expected a moment such as 2024-11-30T12:00, got 'noon'; it is left out"),
        ({"moment": "2024-01-01T00:00+02:00"}, "a moment is in UTC and has no zone of its own; the zone is left out"),
        ({"first": "2024-02-01", "last": "2024-01-01"}, "the first day 2024-02-01 is after the last day 2024-01-01"),
        ({"currency": "a\x00b"}, "the value of currency is none that a text of the warehouse can have"),
        ({"currency": "a" * 201}, "the value of currency is none that a text of the warehouse can have"),
    ],
)
def test_what_cannot_be_read_is_named_and_left_out(query: dict[str, str], problem: str) -> None:
    chosen = read_chosen(query, ["currency"])

    assert len(chosen.problems) == 1
    assert chosen.problems[0].startswith(problem)
    assert chosen.values == {}


def test_what_is_chosen_is_said_in_words() -> None:
    assert read_chosen({}, []).words == "all rows"
    assert read_chosen({"last": "2024-02-29", "currency": "EUR"}, ["currency"]).words == "to 2024-02-29, EUR"


def test_a_link_keeps_what_is_chosen_and_no_more() -> None:
    chosen = read_chosen({"first": "2024-01-01", "currency": "a&b=c", "moment": "2024-01-01T00:00:00"}, ["currency"])

    assert dict(parse_qsl(chosen.query(["dates", "currency"]))) == {"first": "2024-01-01", "currency": "a&b=c"}
    assert not chosen.query([])


@given(st.dictionaries(st.sampled_from(["first", "last", "moment", "currency"]), st.text()))
def test_no_query_makes_a_page_fail(query: dict[str, str]) -> None:
    chosen = read_chosen(query, ["currency"])

    assert set(chosen.parameters(FIGURE)) == {"first", "last", "currency", "moment"}
    assert read_chosen(dict(parse_qsl(chosen.query(FIGURE.filters))), ["currency"]).values == chosen.values
