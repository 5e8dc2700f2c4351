"""The charts: rows of a figure become SVG; the same rows give the same text.

A chart is as wide as its place. So positions across are percentages, and texts keep their size on a phone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tidemark.dashboard.figures import Chart, Figure
from tidemark.dashboard.numbers import as_number, label, short, shown, some, ticks
from tidemark.dashboard.reader import Answer
from tidemark.dashboard.svg import element, percent, picture

# As many series have colours and marks of their own; the others are in the table.
MOST_SERIES = 6
MOST_BARS = 10
LABELS = 6
LONGEST_LABEL = 34
PLOT, ABOVE, BELOW = 220, 10, 26
BAR, GAP, HEAD = 10, 9, 18
CELL, LEFT_OF_CELLS = 26, 0.12
STAGES, STAGES_HEIGHT = ("ingest", "transform", "load"), 8
# Where the plot begins and ends across; left of it stand the numbers of the axis.
LEFT, RIGHT = 0.09, 0.99
MARKS = ("circle", "square", "diamond", "triangle", "cross", "ring")
MARK_SIZE = 4.0


@dataclass(frozen=True)
class Series:
    """The values of one line, or of one colour of bars, by their place on the axis; None: there is no value."""

    name: str
    values: tuple[float | None, ...]


def draw(figure: Figure, answer: Answer) -> Markup:
    """Draw a figure's rows; empty where its chart is a table alone, or where nothing can be drawn."""
    drawing = _DRAWINGS.get(figure.chart)
    return drawing(figure, answer) if drawing and answer.rows else Markup("")


def series_of(figure: Figure, answer: Answer) -> tuple[list[Any], list[Series]]:
    """Part a figure's rows into the values of the axis, in their order, and the series over them."""
    along = answer.values(figure.x)
    axis = list(dict.fromkeys(along))
    found: dict[str, dict[object, float | None]] = {}
    named = [shown(each) for each in answer.values(figure.series)] if figure.series else [""] * len(along)
    for column in figure.y:
        for at, name, value in zip(along, named, answer.values(column), strict=True):
            title = ", ".join(filter(None, (name, _words(column) if len(figure.y) > 1 else "")))
            found.setdefault(title or _words(column), {})[at] = as_number(value)
    return axis, [Series(name, tuple(values.get(at) for at in axis)) for name, values in found.items()]


def stages_bar(parts: Sequence[tuple[str, float]], longest: float) -> Markup:
    """Draw how long the stages of a run took, one behind the other; the longest run fills the width."""
    drawn, left = [], 0.0
    for name, seconds in parts:
        number = STAGES.index(name) if name in STAGES else len(STAGES)
        width = max(seconds / (longest or 1), 0.002)
        drawn.append(_block(left, 0, width, STAGES_HEIGHT, number, f"{name}: {seconds:.1f} s"))
        left += width
    summary = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts)
    return picture(drawn, height=STAGES_HEIGHT, kind="stages", summary=summary)


def _lines(figure: Figure, answer: Answer) -> Markup:
    axis, every = series_of(figure, answer)
    series = every[:MOST_SERIES]
    scale = _Scale.of(series)
    across = [_across((number + 0.5) / len(axis)) for number in range(len(axis))]
    parts = [*_grid(scale), *_labels([label(each) for each in axis], across)]
    for number, each in enumerate(series):
        parts.append(_polyline(each, across, scale, number))
        parts += [
            _mark(number, x, scale.y(value), f"{each.name}, {label(at)}: {short(value)}")
            for at, x, value in zip(axis, across, each.values, strict=True)
            if value is not None
        ]
    return _framed(figure, parts, series, PLOT + ABOVE + BELOW)


def _columns(figure: Figure, answer: Answer) -> Markup:
    axis, every = series_of(figure, answer)
    series = every[:MOST_SERIES]
    scale = _Scale.of(series)
    slot = (RIGHT - LEFT) / len(axis)
    width = slot * 0.8 / len(series)
    across = [_across((number + 0.5) / len(axis)) for number in range(len(axis))]
    parts = [*_grid(scale), *_labels([label(each) for each in axis], across)]
    for number, each in enumerate(series):
        for at, middle, value in zip(axis, across, each.values, strict=True):
            if value is None:
                continue
            top, zero = scale.y(value), scale.y(0)
            left = middle - slot * 0.4 + number * width
            title = f"{each.name}, {label(at)}: {short(value)}"
            parts.append(_block(left, min(top, zero), width, max(1.0, abs(top - zero)), number, title))
    return _framed(figure, parts, series, PLOT + ABOVE + BELOW)


def _bars(figure: Figure, answer: Answer) -> Markup:
    axis, every = series_of(figure, answer)
    series, axis = every[:MOST_SERIES], axis[:MOST_BARS]
    highest = max((abs(value) for each in series for value in each.values if value is not None), default=0) or 1
    height = HEAD + BAR * len(series) + GAP
    parts = []
    for row, at in enumerate(axis):
        top = row * height
        values = [(number, each, each.values[row]) for number, each in enumerate(series)]
        said = ", ".join("-" if value is None else short(value) for _, _, value in values)
        parts.append(element("text", _cut(shown(at)), element("title", shown(at)), x="0", y=top + 13, class_="name"))
        parts.append(element("text", said, x="100%", y=top + 13, class_="amount", text_anchor="end"))
        for number, each, value in values:
            title = f"{shown(at)}, {each.name}: {shown(value) if value is None else short(value)}"
            share = abs(value or 0) / highest
            parts.append(_block(0, top + HEAD + number * BAR, share, BAR - 2, number, title))
    return _framed(figure, parts, series if len(series) > 1 else (), len(axis) * height)


def _heat(figure: Figure, answer: Answer) -> Markup:
    rows, columns = (sorted(set(answer.values(name))) for name in (figure.y[0], figure.x))
    found = {
        (row, column): as_number(value)
        for row, column, value in zip(
            answer.values(figure.y[0]), answer.values(figure.x), answer.values(figure.value), strict=True
        )
    }
    highest = max((value for value in found.values() if value is not None), default=0) or 1
    width = (1 - LEFT_OF_CELLS) / len(columns)
    parts = []
    for y, row in enumerate(rows):
        name = _without_order(shown(row))
        parts.append(element("text", name, x="0", y=y * CELL + 17, class_="name"))
        for x, column in enumerate(columns):
            value = found.get((row, column)) or 0.0
            title = f"{name}, {shown(column)}: {short(value)}"
            step = 0 if value <= 0 else min(5, 1 + int(value / highest * 4.999))
            left = LEFT_OF_CELLS + x * width
            parts.append(
                element(
                    "rect",
                    element("title", title),
                    x=percent(left),
                    y=y * CELL + 1,
                    width=percent(width * 0.94),
                    height=CELL - 2,
                    class_=f"h{step}",
                )
            )
    for x in some([shown(each) for each in columns], 2 * LABELS):
        middle = percent(LEFT_OF_CELLS + (x + 0.5) * width)
        place = {"x": middle, "y": len(rows) * CELL + 16, "text_anchor": "middle"}
        parts.append(element("text", shown(columns[x]), class_="tick", **place))
    return _framed(figure, parts, (), len(rows) * CELL + BELOW)


_DRAWINGS: Mapping[Chart, Callable[[Figure, Answer], Markup]] = {
    "lines": _lines,
    "columns": _columns,
    "bars": _bars,
    "heat": _heat,
}


@dataclass(frozen=True)
class _Scale:
    """The axis of numbers, from its lowest mark at the bottom of the plot to its highest at the top."""

    marks: tuple[float, ...]

    @classmethod
    def of(cls, series: Sequence[Series]) -> "_Scale":
        values = [value for each in series for value in each.values if value is not None] or [0.0]
        return cls(tuple(ticks(max(values), lowest=min(values))))

    def y(self, value: float) -> float:
        low, high = self.marks[0], self.marks[-1]
        return round(ABOVE + PLOT * (high - value) / (high - low), 2)


def _grid(scale: _Scale) -> list[Markup]:
    parts = []
    for mark in scale.marks:
        y = scale.y(mark)
        parts.append(element("line", x1=percent(LEFT), x2=percent(RIGHT), y1=y, y2=y, class_="grid"))
        place = {"x": percent(LEFT - 0.01), "y": y + 4, "text_anchor": "end"}
        parts.append(element("text", short(mark), class_="tick", **place))
    return parts


def _labels(labels: Sequence[str], across: Sequence[float]) -> list[Markup]:
    parts = []
    for count, number in enumerate(some(labels, LABELS)):
        # On a phone there is room for every other one.
        kind = "tick minor" if count % 2 else "tick"
        place = {"x": percent(across[number]), "y": ABOVE + PLOT + 20, "text_anchor": "middle"}
        parts.append(element("text", labels[number], class_=kind, **place))
    return parts


def _polyline(series: Series, across: Sequence[float], scale: _Scale, number: int) -> Markup:
    """Draw a line in a picture of its own that is stretched to the width, since points cannot be percentages."""
    points = [
        f"{x * 100:.3f},{scale.y(value)}" for x, value in zip(across, series.values, strict=True) if value is not None
    ]
    line = element(
        "polyline", points=" ".join(points), class_=f"line s{number + 1}", vector_effect="non-scaling-stroke"
    )
    frame = {"preserveAspectRatio": "none", "viewBox": f"0 0 100 {PLOT + ABOVE + BELOW}"}
    return element("svg", line, width="100%", height="100%", **frame)


def _mark(number: int, x: float, y: float, title: str) -> Markup:
    """Draw a point by the mark of its series, so that series differ in shape as well as in colour."""
    return element("svg", sign(number), element("title", title), x=percent(x), y=y, class_="mark", overflow="visible")


def sign(number: int) -> Markup:
    """Draw the mark of a series around the origin."""
    size, kind, name = MARK_SIZE, MARKS[number % len(MARKS)], f"s{number + 1}"
    if kind in ("circle", "ring"):
        return element("circle", r=size, class_=f"{kind} {name}")
    if kind == "square":
        return element("rect", x=-size, y=-size, width=2 * size, height=2 * size, class_=name)
    points = {
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1)),
        "cross": ((-1.2, -0.4), (1.2, -0.4), (1.2, 0.4), (-1.2, 0.4)),
    }[kind]
    return element("polygon", points=" ".join(f"{x * size:g},{y * size:g}" for x, y in points), class_=name)


def icon(number: int) -> Markup:
    """Draw the mark of a series by itself, as in a legend."""
    return element("svg", sign(number), width=12, height=12, viewBox="-6 -6 12 12", aria_hidden="true", class_="mark")


def _block(left: float, top: float, width: float, height: float, number: int, title: str) -> Markup:
    place = {"x": percent(left), "y": f"{top:g}", "width": percent(width), "height": f"{height:g}"}
    return element("rect", element("title", title), rx=2, class_=f"s{number + 1}", **place)


def _framed(figure: Figure, parts: Sequence[Markup], series: Sequence[Series], height: float) -> Markup:
    summary = f"{figure.title}; the table below has the numbers"
    drawn = picture(parts, height=height, kind=figure.chart, summary=summary)
    return _legend(series) + drawn if len(series) > 1 else drawn


def _legend(series: Sequence[Series]) -> Markup:
    items = [
        element(
            "li",
            icon(number),
            element("span", each.name),
        )
        for number, each in enumerate(series)
    ]
    return element("ul", *items, class_="legend")


def _across(part: float) -> float:
    return LEFT + part * (RIGHT - LEFT)


def _words(column: str) -> str:
    return column.replace("_", " ")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _without_order(text: str) -> str:
    """Leave out the number that orders names, such as that of `1 Monday`."""
    number, _, name = text.partition(" ")
    return name if number.isdecimal() and name else text
