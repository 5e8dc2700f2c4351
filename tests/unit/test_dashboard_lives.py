"""How the key of a row is written and read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.dashboard.lives import read_key, written_key
from tidemark.errors import ConfigError
from tidemark.model import StarTable

ONE, TWO = (
    StarTable("fact_a", "fact", ("record",), ("a",), "", driving="a", source_key=key) for key in (("x",), ("x", "y"))
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"))


@given(TEXT, TEXT)
def test_a_key_is_read_as_it_was_written(first: str, second: str) -> None:
    row = {"x": first, "y": second, "z": 1}

    assert read_key(ONE, written_key(ONE, row)) == [first]
    assert read_key(TWO, written_key(TWO, row)) == [first, second]


def test_a_key_may_be_typed_with_blanks_after_commas() -> None:
    assert read_key(TWO, '"a, b", 1') == ["a, b", "1"]
    assert read_key(ONE, "a, b") == ["a, b"]


def test_what_is_no_key_is_refused() -> None:
    for text in ("a\x00", "a\nb,1"):
        with pytest.raises(ConfigError):
            read_key(TWO, text)
