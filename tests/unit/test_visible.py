"""A text from elsewhere is shown on a terminal and never obeyed by it, and reads back from JSON as it was."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.cli.logs import configure_logging
from tidemark.cli.output import err, new_table, out, print_json
from tidemark.disclosure import escaped_in_json, in_one_block, visible

EVIL = "a\x1b[31mb\x9bc\x7fd\u202ee\u2066f\u2028g\rh\x00i"
SHOWN = r"a\x1b[31mb\x9bc\x7fd\u202ee\u2066f\u2028g\x0dh\x00i"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    left = {unicodedata.category(each) for each in visible(text) if each not in "\n\t"}
    assert left & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert visible(visible(text)) == visible(text)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_json_holds_the_same_text(text: str) -> None:
    written = escaped_in_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(written) == {text: [text]}
    assert visible(written) == written


def test_ordinary_text_of_every_script_stays() -> None:
    text = "été\tЖ 日本 \N{FAMILY} עברית\nline"
    assert visible(text) == text


def test_a_line_that_a_value_begins_looks_like_none_of_ours() -> None:
    assert in_one_block("bad\nwhat to do: x") == "bad\n    what to do: x"


def test_every_way_of_showing_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    for cached in (out, err):
        cached.cache_clear()
    table = new_table(EVIL, title=EVIL)
    table.add_row(EVIL)
    out().print(table)
    err().print(EVIL, markup=False)
    print_json({EVIL: EVIL})
    configure_logging(verbose=False)
    shown = capsys.readouterr()
    for cached in (out, err):
        cached.cache_clear()

    for text in (shown.out, shown.err):
        assert visible(text) == text
    # Rich itself takes a few characters out.
    assert shown.out.count(SHOWN) == 1
    assert json.loads(shown.out[shown.out.index("{") :]) == {EVIL: EVIL}
