"""How rows of text are laid out: nothing is wider than the room, and nothing of a value gets lost."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tidemark.answers import AnswerColumn, Position
from tidemark.cli.grid import GAP, LEAST, fitted_widths, natural_widths, one_below_the_other, shown, side_by_side
from tidemark.cli.sql import csv_line
from tidemark.disclosure import UNSEEN

TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
VALUES = st.none() | TEXTS


@given(st.lists(st.integers(1, 200), min_size=1, max_size=12), st.integers(LEAST, 300))
def test_columns_that_fit_keep_their_width_and_others_share_what_there_is(natural: list[int], room: int) -> None:
    widths = fitted_widths(natural, room)

    rest = room - len(GAP) * (len(natural) - 1)
    if sum(natural) <= rest:
        assert widths == natural
    elif widths is None:
        assert sum(min(width, LEAST) for width in natural) > rest
    else:
        assert sum(widths) <= rest
        assert all(min(old, LEAST) <= new <= old for old, new in zip(natural, widths, strict=True))


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=4), st.integers(40, 120))
def test_a_table_holds_every_letter_of_its_values_within_its_width(
    rows: list[tuple[str | None, ...]], room: int
) -> None:
    cells = [list(map(shown, row)) for row in rows]
    widths = fitted_widths(natural_widths(cells), room)
    assert widths is not None

    lines = list(side_by_side(cells, widths))

    assert max(map(cell_len, lines)) <= room
    # The second line or more is the rule.
    letters = sorted("".join(lines).replace("─", "").replace(" ", ""))
    assert letters == sorted("".join(map("".join, cells)).replace("─", "").replace(" ", "").replace("\n", ""))


@given(st.dictionaries(st.text("abc_", min_size=1, max_size=50), VALUES, min_size=1, max_size=5), st.integers(50, 120))
def test_a_list_holds_every_letter_of_its_values_within_its_width(row: dict[str, str | None], room: int) -> None:
    values = list(map(shown, row.values()))

    lines = list(one_below_the_other(list(row), values, room))

    assert max(map(cell_len, lines)) <= room
    assert sorted("".join(lines).replace(" ", "")) == sorted(
        "".join([*row, *values]).replace(" ", "").replace("\n", "")
    )


def test_a_number_is_aligned_to_the_right_and_a_wide_letter_counts_as_two_cells() -> None:
    rows = [["n", "text"], ["1", "世界"], ["1000", "ab"]]

    assert list(side_by_side(rows, natural_widths(rows), numbers={0})) == [
        "   n  text",
        "────  ────",
        "   1  世界",
        "1000  ab",
    ]


@given(TEXTS)
def test_what_a_terminal_would_obey_is_shown(value: str) -> None:
    found = shown(value)

    assert not UNSEEN.search(found)
    assert "\t" not in found


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=4))
def test_csv_gives_the_same_texts_and_tells_null_from_no_text(rows: list[list[str | None]]) -> None:
    written = "".join(csv_line(tuple(row)) for row in rows)

    read = list(csv.reader(io.StringIO(written, newline=""), strict=True))

    assert read == [[value or "" for value in row] for row in rows]
    assert csv_line(("", None)) == '"",\n'


@given(st.text("ab\n", min_size=1), st.data())
def test_a_position_counts_lines_and_columns_from_one(statement: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(statement)))

    found = Position.of(statement, at)

    lines = statement.split("\n")
    assert sum(len(line) + 1 for line in lines[: found.line - 1]) + found.column == at


def test_a_type_says_what_its_values_are() -> None:
    kinds = ("bigint", "HUGEINT", "numeric(10,2)", "DECIMAL(38,0)", "double precision", "boolean", "text", "integer[]")
    columns = [AnswerColumn("a", kind) for kind in kinds]

    assert [column.type for column in columns if column.is_integer] == ["bigint", "HUGEINT"]
    assert [column.type for column in columns if column.is_number] == list(kinds[:5])
    assert [column.type for column in columns if column.is_boolean] == ["boolean"]
