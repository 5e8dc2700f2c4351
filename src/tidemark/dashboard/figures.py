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
# What the first comments say, by key, each with its line.
Said = Mapping[str, tuple[str, int]]
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


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file: `file` is relative to the model's directory, `line` is 0 where it is of none."""

    file: str
    line: int
    said: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.said}: expected {self.expected}"


def read_figures(directory: Path) -> tuple[tuple[Figure, ...], tuple[Filter, ...]]:
    """Read the figures and filters of a model's directory, in the order of their positions.

    Raises:
        ConfigError: a file says something that no figure has; every problem is named with file and line.
    """
    figures, filters, faults = examined(directory)
    if faults:
        raise ConfigError.of([str(each) for each in faults], advice="docs/models.md says what a figure may say")
    return figures, filters


def examined(directory: Path) -> tuple[tuple[Figure, ...], tuple[Filter, ...], list[Fault]]:
    """Read the figures and filters that are right, and say what is wrong with the others."""
    faults: list[Fault] = []
    folder = directory / FOLDER
    filters = [
        each
        for path in sorted((folder / FILTERS).glob("*.sql"))
        for each in _filter(path.stem, *_text(path, f"{FOLDER}/{FILTERS}/{path.name}", faults), faults)
    ]
    known = {each.name for each in filters} | BUILT_IN.keys()
    figures = [
        figure
        for path in sorted(folder.glob("*.sql"))
        for figure in _figure(path.stem, *_text(path, f"{FOLDER}/{path.name}", faults), known, faults)
    ]
    return tuple(sorted(figures, key=lambda each: (each.position, each.name))), tuple(filters), faults


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


def _text(path: Path, file: str, faults: list[Fault]) -> tuple[str, str]:
    try:
        return path.read_text("utf-8"), file
    except (OSError, UnicodeDecodeError) as exc:
        faults.append(Fault(file, 0, f"cannot be read: {exc}", "text in UTF-8"))
        return "", ""


def _filter(name: str, text: str, file: str, faults: list[Fault]) -> Iterator[Filter]:
    if not file:
        return
    said, sql = front_matter(text)
    found = list(_unknown(said, ("title",), file))
    if name in BUILT_IN or not NAME.fullmatch(name):
        found.append(Fault(file, 0, f"a filter cannot be called {name!r}", "a name in lower case that is not built in"))
    found += _not_one(sql, file)
    faults += found
    if not found:
        yield Filter(name, said.get("title", (name.replace("_", " ").capitalize(), 0))[0], sql)


def _figure(name: str, text: str, file: str, known: set[str], faults: list[Fault]) -> Iterator[Figure]:
    if not file:
        return
    said, sql = front_matter(text)
    chart = next((each for each in CHARTS if each == said.get("chart", ("table", 0))[0]), None)
    found = [*_unknown(said, KEYS, file), *_wrong(said, chart, known, file), *_not_one(sql, file)]
    if not NAME.fullmatch(name):
        found.append(Fault(file, 0, f"a figure cannot be called {name!r}", "lower-case letters, digits and _"))
    faults += found
    if found or chart is None:
        return
    text_of = {key: value for key, (value, _) in said.items()}
    yield Figure(
        name=name,
        title=text_of["title"],
        page=text_of["page"],
        sql=sql,
        chart=chart,
        position=int(text_of.get("position", UNPLACED)),
        x=text_of.get("x", ""),
        y=_names(said, "y"),
        series=text_of.get("series", ""),
        value=text_of.get("value", ""),
        filters=_names(said, "filters"),
        note=text_of.get("note", ""),
    )


def _wrong(said: Said, chart: Chart | None, known: set[str], file: str) -> Iterator[Fault]:
    if chart is None:
        yield Fault(file, said["chart"][1], f"chart is {said['chart'][0]!r}", f"one of {', '.join(CHARTS)}")
    for key in ("title", "page"):
        if not said.get(key, ("", 0))[0]:
            yield Fault(file, 0, f"has no {key}", f"a line -- {key}: …")
    for key in NEEDED.get(chart or "table", ()):
        if not said.get(key, ("", 0))[0]:
            yield Fault(file, 0, f"has no {key}, which a chart {chart} needs", f"a column's name, as -- {key}: …")
    for each in _names(said, "filters"):
        if each not in known:
            line = said["filters"][1]
            yield Fault(file, line, f"there is no filter {each!r}", f"some of {', '.join(sorted(known))}")
    position, line = said.get("position", (str(UNPLACED), 0))
    if not (position.isascii() and position.isdecimal()):
        yield Fault(file, line, f"position is {position!r}", "a number")


def _not_one(sql: str, file: str) -> Iterator[Fault]:
    if len(list(split_statements(sql))) != 1:
        yield Fault(file, 0, "has no statement, or several", "one SELECT below the first comments")


def _names(said: Said, key: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in said.get(key, ("", 0))[0].split(",") if each.strip())


def _unknown(said: Said, keys: Sequence[str], file: str) -> Iterator[Fault]:
    for key, (_, line) in said.items():
        if key not in keys:
            yield Fault(file, line, f"{key!r} means nothing here", f"one of {', '.join(keys)}")
