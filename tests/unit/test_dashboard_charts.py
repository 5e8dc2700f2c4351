"""The charts: equal rows give equal pictures, and nothing of a row is read as SVG."""

import re
from datetime import date
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.dashboard.cards import drawn_if_fit, runnable
from tidemark.dashboard.charts import MOST_BARS, MOST_SERIES, draw, series_of
from tidemark.dashboard.figures import CHARTS, Chart, Figure
from tidemark.dashboard.numbers import as_number, label, short, shown, some, ticks
from tidemark.dashboard.reader import Answer
from tidemark.errors import ConfigError

SVG = "{http://www.w3.org/1999/xhtml}"
MONTHS = (date(2024, 10, 1), date(2024, 11, 1), date(2024, 12, 1))
DRAWN: tuple[Chart, ...] = ("lines", "columns", "bars", "heat")


def figure(chart: Chart = "bars", **more: object) -> Figure:
    columns: dict[str, object] = {"x": "x", "y": ("y",), "value": "v"}
    return Figure("f", "Title", "Sales", "select 1", chart=chart, **(columns | more))  # type: ignore[arg-type]


def answer(*rows: tuple[object, ...], columns: tuple[str, ...] = ("x", "y", "v")) -> Answer:
    return Answer(columns, rows)


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(f"<all>{markup}</all>")  # noqa: S314 -- what is parsed is our own


def test_bars_are_as_long_as_their_values() -> None:
    drawn = parsed(draw(figure(), answer(("a", 50, 0), ("b", Decimal("12.5"), 0), ("c", 0, 0))))

    assert [each.get("width") for each in drawn.iter("rect")] == ["100%", "25%", "0%"]
    assert [each.text for each in drawn.iter("text")] == ["a", "50", "b", "12.5", "c", "0"]


def test_more_bars_than_a_page_can_show_are_left_to_the_table() -> None:
    drawn = parsed(draw(figure(), answer(*((str(number), 1, 0) for number in range(40)))))

    assert len(list(drawn.iter("rect"))) == MOST_BARS


def test_lines_have_a_mark_for_each_value_and_a_gap_where_there_is_none() -> None:
    rows = [(month, name, value) for month in MONTHS for name, value in (("EUR", 10), ("GBP", 20))]
    rows.remove((MONTHS[1], "GBP", 20))

    drawn = parsed(draw(figure("lines", y=("v",), series="y"), answer(*rows)))
    points = [each.get("points") or "" for each in drawn.iter("polyline")]

    assert [len(each.split()) for each in points] == [3, 2]
    # A mark for each value and one for each line of the legend, in the shape of the series.
    assert (len(list(drawn.iter("circle"))), len(list(drawn.iter("rect")))) == (3 + 1, 2 + 1)
    assert [each.text for each in drawn.iter("span")] == ["EUR", "GBP"]


def test_series_differ_in_shape_and_not_only_in_colour() -> None:
    rows = [(MONTHS[0], str(number), 1) for number in range(MOST_SERIES)]

    drawn = parsed(draw(figure("lines", y=("v",), series="y"), answer(*rows)))
    shapes = {re.sub(r"s\d", "", ET.tostring(each[0][0], "unicode")) for each in drawn.iter("li")}

    assert len(shapes) == MOST_SERIES


def test_columns_stand_on_zero_and_hang_below_it() -> None:
    drawn = parsed(draw(figure("columns"), answer(("a", 10, 0), ("b", -10, 0))))
    above, below = drawn.iter("rect")

    assert float(above.get("y", "")) + float(above.get("height", "")) == float(below.get("y", ""))
    assert above.get("height") == below.get("height")


def test_a_heat_map_has_a_cell_for_each_pair_and_leaves_out_the_number_that_orders_a_name() -> None:
    drawn = parsed(draw(figure("heat"), answer((9, "1 Monday", 4), (10, "1 Monday", 0), (9, "2 Tuesday", 2))))

    assert [each.get("class") for each in drawn.iter("rect")] == ["h5", "h0", "h3", "h0"]
    assert [each.text for each in drawn.iter("text")][:2] == ["Monday", "Tuesday"]


@pytest.mark.parametrize("chart", CHARTS)
def test_no_rows_give_no_picture(chart: Chart) -> None:
    assert not draw(figure(chart), answer())


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="yields no column 'z', it yields x, y, v"):
        draw(figure(y=("z",)), answer(("a", 1, 1)))


@pytest.mark.parametrize("chart", DRAWN)
def test_what_a_row_says_is_never_read_as_svg(chart: Chart) -> None:
    trap = '"><script>alert(1)</script><text x="\u202e'

    drawn = draw(figure(chart, series="s"), answer((trap, 1, 1, trap), columns=("x", "y", "v", "s")))

    assert "<script" not in drawn
    assert "\u202e" not in drawn
    assert not [each for each in parsed(drawn).iter() if set(each.attrib) & {"style", "onload", "href"}]


@given(
    chart=st.sampled_from(DRAWN),
    rows=st.lists(
        st.tuples(
            st.text(max_size=8),
            st.none() | st.decimals(allow_nan=True, allow_infinity=True) | st.integers(),
            st.none() | st.floats(),
        ),
        max_size=8,
    ),
)
def test_any_rows_can_be_drawn_and_give_the_same_picture_again(chart: Chart, rows: list[tuple[object, ...]]) -> None:
    # A heat map orders the names of its rows, so they are of one type.
    found = answer(*[(row[0], row[0], row[2]) if chart == "heat" else row for row in rows])

    assert draw(figure(chart), found) == draw(figure(chart), found)


def test_series_are_parted_by_name_and_by_column() -> None:
    rows = answer(("a", 1, 2), ("b", 3, None))

    axis, series = series_of(figure(y=("y", "v")), rows)

    assert (axis, [(each.name, each.values) for each in series]) == (["a", "b"], [("y", (1, 3)), ("v", (2, None))])


@given(st.floats(min_value=-1e12, max_value=1e12), st.floats(min_value=0, max_value=1e12))
def test_an_axis_reaches_around_all_values_in_few_equal_steps(lowest: float, span: float) -> None:
    marks = ticks(lowest + span, lowest=lowest)

    assert marks[0] <= max(lowest, marks[0])
    assert 2 <= len(marks) <= 8
    assert 0 in marks


@pytest.mark.parametrize(
    ("value", "full", "brief"),
    [
        (None, "-", "-"),
        (True, "yes", "yes"),
        (1234567, "1,234,567", "1.23M"),
        (999_999, "999,999", "1,000k"),
        (Decimal("1234.50"), "1,234.50", "1.23k"),
        (0.25, "0.25", "0.25"),
        (Decimal("NaN"), "NaN", "NaN"),
        ("text", "text", "text"),
    ],
)
def test_values_are_written_for_people(value: object, full: str, brief: str) -> None:
    assert (shown(value), short(value)) == (full, brief)


def test_a_month_is_labelled_by_its_name() -> None:
    assert [label(each) for each in (MONTHS[0], date(2024, 10, 2), 2024, "x")] == [
        "Oct 2024",
        "02 Oct 2024",
        "2024",
        "x",
    ]


def test_an_axis_shows_some_of_many_labels() -> None:
    assert some([str(number) for number in range(24)], 6) == [0, 4, 8, 12, 16, 20]
    assert some(["a"], 6) == [0]


def test_what_has_no_end_is_not_drawn() -> None:
    assert [as_number(each) for each in (Decimal("Infinity"), float("nan"), True, "1", 10**400)] == [None] * 5


@pytest.mark.parametrize("rows", [[(9, None, 4), (9, "b", 1)], [(9, ["b"], 4)]])
def test_what_fits_no_chart_is_an_error_of_this_figure_alone(rows: list[tuple[object, ...]]) -> None:
    with pytest.raises(ConfigError, match="the chart heat cannot show what the SELECT yields"):
        drawn_if_fit(figure("heat"), answer(*rows))


def test_a_statement_that_cannot_take_its_values_is_shown_as_it_stands() -> None:
    assert runnable("select 'a' like 'a%'", {}) == "select 'a' like 'a%';"
