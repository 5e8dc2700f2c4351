"""The figures of a model: SELECTs over the warehouse in `dashboard/*.sql`; comments at the top say how to draw them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tidemark.errors import ConfigError
from tidemark.postgres.statements import split_statements

Chart = Literal["tiles", "lines", "columns", "bars", "heat", "table"]
CHARTS: tuple[Chart, ...] = get_args(Chart)
FOLDER, FILTERS = "dashboard", "filters"
# The filters that need no SELECT of their own, with the parameters that each one gives.
BUILT_IN: Mapping[str, tuple[str, ...]] = {"dates": ("first", "last"), "moment": ("moment",)}
LINE = re.compile(r"-- (?P<key>[a-z_]+): *(?P<value>.*?)\s*")
NAME = re.compile(r"[a-z][a-z0-9_]*")
# What has no position comes last.
UNPLACED = 1000
# Which columns each chart has to be told.
NEEDED: Mapping[Chart, tuple[str, ...]] = {
    "tiles": (),
    "table": (),
    "lines": ("x", "y"),
    "columns": ("x", "y"),
    "bars": ("x", "y"),
    "heat": ("x", "y", "value"),
}
KEYS = ("title", "page", "position", "chart", "x", "y", "series", "value", "filters", "note")


@dataclass(frozen=True)
class Figure:
    """One figure: its SELECT with named parameters, and how its rows are drawn.

    `x`, `y`, `series` and `value` name columns. `filters` names what narrows the figure down: `dates`, `moment`, or a
    filter of the model.
    """

    name: str
    title: str
    page: str
    sql: str
    chart: Chart = "table"
    position: int = UNPLACED
    x: str = ""
    y: tuple[str, ...] = ()
    series: str = ""
    value: str = ""
    filters: tuple[str, ...] = ()
    note: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Name the parameters that its filters give."""
        return tuple(name for each in self.filters for name in BUILT_IN.get(each, (each,)))


@dataclass(frozen=True)
class Filter:
    """A filter of a model: a SELECT of the texts that a person may choose from."""

    name: str
    title: str
    sql: str


def read_figures(directory: Path) -> tuple[tuple[Figure, ...], tuple[Filter, ...]]:
    """Read the figures and filters of a model's directory, in the order of their positions.

    Raises:
        ConfigError: a file says something that no figure has; every problem is named with file and line.
    """
    problems: list[str] = []
    folder = directory / FOLDER
    filters = [
        _filter(path.stem, path.read_text("utf-8"), f"{FOLDER}/{FILTERS}/{path.name}", problems)
        for path in sorted((folder / FILTERS).glob("*.sql"))
    ]
    known = {each.name for each in filters} | BUILT_IN.keys()
    figures = [
        figure
        for path in sorted(folder.glob("*.sql"))
        for figure in _figure(path.stem, path.read_text("utf-8"), f"{FOLDER}/{path.name}", known, problems)
    ]
    if problems:
        raise ConfigError.of(problems, advice="docs/models.md says what a figure may say")
    return tuple(sorted(figures, key=lambda each: (each.position, each.name))), tuple(filters)


def pages_of(figures: Sequence[Figure]) -> dict[str, list[Figure]]:
    """Gather figures by their pages, in the order of the figures."""
    found: dict[str, list[Figure]] = {}
    for figure in figures:
        found.setdefault(figure.page, []).append(figure)
    return found


def slug(name: str) -> str:
    """Write a page's name as a part of a URL."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "page"


def front_matter(text: str) -> tuple[dict[str, tuple[str, int]], str]:
    """Part a file into what its first comments say, each with its line, and the statement below them."""
    said: dict[str, tuple[str, int]] = {}
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        found = LINE.fullmatch(line)
        if found is None:
            return said, "\n".join(lines[number - 1 :]).strip().removesuffix(";")
        said[found["key"]] = found["value"], number
    return said, ""


def _filter(name: str, text: str, where: str, problems: list[str]) -> Filter:
    said, sql = front_matter(text)
    if name in BUILT_IN or not NAME.fullmatch(name):
        problems.append(f"{where}: a filter cannot be called {name!r}: expected a lower-case name that is not built in")
    problems += _unknown(said, ("title",), where)
    return Filter(name, said.get("title", (name.replace("_", " ").capitalize(), 0))[0], sql)


def _figure(name: str, text: str, where: str, known: set[str], problems: list[str]) -> Iterator[Figure]:
    said, sql = front_matter(text)
    found = list(_unknown(said, KEYS, where))
    chart = next((each for each in CHARTS if each == said.get("chart", ("table", 0))[0]), None)
    if chart is None:
        found.append(f"{where}:{said['chart'][1]}: chart is {said['chart'][0]!r}: expected one of {', '.join(CHARTS)}")
    found += [f"{where}: has no {key}: expected a line -- {key}: …" for key in ("title", "page") if key not in said]
    found += [
        f"{where}: has no {key}: a chart {chart} needs the column's name, as a line -- {key}: …"
        for key in NEEDED.get(chart or "table", ())
        if key not in said
    ]
    filters = _names(said, "filters")
    found += [
        f"{where}:{said['filters'][1]}: there is no filter {each!r}: expected some of {', '.join(sorted(known))}"
        for each in filters
        if each not in known
    ]
    position, line = said.get("position", (str(UNPLACED), 0))
    if not position.isdecimal():
        found.append(f"{where}:{line}: position is {position!r}: expected a number")
    if not NAME.fullmatch(name):
        found.append(f"{where}: a figure cannot be called {name!r}: expected lower-case letters, digits and _")
    if len(list(split_statements(sql))) != 1:
        found.append(f"{where}: expected one SELECT below the first comments")
    problems += found
    if found or chart is None:
        return
    text_of = {key: value for key, (value, _) in said.items()}
    yield Figure(
        name=name,
        title=text_of["title"],
        page=text_of["page"],
        sql=sql,
        chart=chart,
        position=int(position),
        x=text_of.get("x", ""),
        y=_names(said, "y"),
        series=text_of.get("series", ""),
        value=text_of.get("value", ""),
        filters=filters,
        note=text_of.get("note", ""),
    )


def _names(said: Mapping[str, tuple[str, int]], key: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in said.get(key, ("", 0))[0].split(",") if each.strip())


def _unknown(said: Mapping[str, tuple[str, int]], keys: Sequence[str], where: str) -> Iterator[str]:
    for key, (_, line) in said.items():
        if key not in keys:
            yield f"{where}:{line}: {key!r} means nothing here: expected one of {', '.join(keys)}"
