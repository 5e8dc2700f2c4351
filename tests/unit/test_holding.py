"""The type that holds what a column was and what it is."""

import pytest

from tidemark.postgres.widening import holding, widens

INTEGERS = ("smallint", "integer", "bigint", "numeric")


@pytest.mark.parametrize(
    ("before", "now", "held"),
    [
        *((one, other, other) for place, one in enumerate(INTEGERS) for other in INTEGERS[place:]),
        *((other, one, other) for place, one in enumerate(INTEGERS) for other in INTEGERS[place:]),
        ("", "date", "date"),
        ("numeric(5,2)", "numeric(7,2)", "numeric(7,2)"),
        ("numeric(7,2)", "numeric(5,2)", "numeric(7,2)"),
        ("numeric(5,2)", "numeric(9,3)", "numeric"),
        ("numeric(5,2)", "numeric", "numeric"),
        ("integer", "numeric(5,2)", "numeric"),
        ("character varying(9)", "character varying(5)", "character varying(9)"),
        ("character varying(9)", "text", "text"),
        ("character(3)", "character(5)", "bpchar"),
        ("character(3)", "text", "text"),
        ("text", "integer", "text"),
        ("date", "timestamp without time zone", "text"),
        ("timestamp(3) with time zone", "timestamp with time zone", "timestamp with time zone"),
        ("timestamp(3) with time zone", "timestamp(6) without time zone", "text"),
        ("numeric(5,2)[]", "numeric(6,2)", "text"),
    ],
)
def test_a_column_gets_the_type_that_holds_all_its_values(before: str, now: str, held: str) -> None:
    assert holding(before, now) == held
    # It stays what it is, whatever of the two comes again.
    assert holding(held, now) == held


def test_a_type_with_another_zone_or_of_arrays_is_no_wider_one() -> None:
    assert not widens("time(3) with time zone", "time(6) without time zone")
    assert not widens("numeric(5,2)", "numeric(6,2)[]")
    assert not widens("numeric(5,2)[]", "numeric(6,1)[]")
    assert widens("numeric(5,2)[]", "numeric(6,2)[]")
