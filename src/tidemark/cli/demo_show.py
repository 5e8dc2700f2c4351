"""The demo on a terminal: its steps while they are done, and at the end what a newcomer wants to see."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tidemark.amounts import shown_bytes
from tidemark.cli.output import out, shown_count
from tidemark.embedded.demo_report import FACT, Answer, DemoReport
from tidemark.report import TableReport
from tidemark.warehouse.history import History

DIRECTORY = Path(".tidemark/demo")
WIDTH = 100
MARK = "●"
# Of the fact's 19 columns, those that the demo changes, and those that distinguish one version from another.
EVOLVING = (
    "sales_record_id",
    "units_sold",
    "agreed_delivery_location_id",
    "valid_from",
    "valid_to",
    "is_deleted",
    "batch_id",
)
VERSIONS = 3


class SilentTeller:
    """A teller that prints nothing, for the demo's `--json`."""

    def begins(self, step: str, tables: int, /) -> None:
        """Ignore it."""

    def works(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, /) -> None:
        """Ignore it."""

    def ends(self, result: str, seconds: float, /) -> None:
        """Ignore it."""


class ScreenTeller:
    """A teller that prints each step that is done; on a terminal it also shows the step in hand below."""

    def __init__(self, display: Progress | None) -> None:
        self._display = display
        self._task = display.add_task("", total=None) if display else None
        self._step = ""

    def begins(self, step: str, tables: int, /) -> None:
        """Show that a step begins."""
        self._step = step
        if self._display and self._task is not None:
            self._display.reset(self._task, total=tables or None, description=f"{step} …")

    def works(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, /) -> None:
        """Show the table in hand, and count it when it is done."""
        del rows, size_bytes
        if self._display and self._task is not None:
            self._display.update(self._task, description=f"{self._step}: {stage} {table}", advance=int(seconds > 0))

    def ends(self, result: str, seconds: float, /) -> None:
        """Print what came of the step."""
        room = _width() - 14
        # The text in brackets can be left out.
        shown = result if len(result) <= room else result.partition(" (")[0]
        out().print(Text.assemble(("  ✓ ", "green"), f"{shown:<{room}}", (f"{seconds:6.1f} s", "dim")), soft_wrap=True)


@contextmanager
def screen() -> Iterator[ScreenTeller]:
    """Give a teller that shows the demo's steps on stdout until the block ends."""
    out().print(Text.assemble(("Tidemark demo", "bold"), ": PostgreSQL → change log → star schema → PostgreSQL"))
    if not out().is_terminal:
        yield ScreenTeller(None)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(16), TimeElapsedColumn())
    with Progress(*columns, console=out(), transient=True) as display:
        yield ScreenTeller(display)


def show(report: DemoReport, directory: Path) -> None:
    """Print the report; `directory` is the directory as the command line named it."""
    console = out()
    for title, part in _parts(report):
        console.print()
        console.print(Text(title, style="bold"))
        console.print(Padding(part, (0, 0, 0, 2), expand=False), width=_width())
    console.print()
    console.print(Text("Go on from here", style="bold"))
    for label, value in _ways(report, directory):
        # A command is never wrapped, so that it can be copied.
        console.print(Text.assemble(f"  {label:<14}", (value, "cyan")), soft_wrap=True)


def _parts(report: DemoReport) -> Iterator[tuple[str, RenderableType]]:
    batches = [batch.batch for batch in report.batches]
    span = f"batch {batches[0]}" if len(batches) == 1 else f"batches {batches[0]} to {batches[-1]}" if batches else ""
    yield f"What arrived where: {span}; the stages in seconds", _arrivals(report)
    told = ((report.updated, "was updated"), (report.deleted, "was deleted"))
    found = [(each, f"{_order(each)} {what}") for each, what in told if each]
    if found:
        histories = [each for each, _ in found]
        groups = [histories] if _width() >= WIDTH else [[each] for each in histories]
        title = f"How orders evolve: {', '.join(what for _, what in found)} ({MARK} differs from before)"
        yield title, Group(*(_evolution(group) for group in groups))
    for number, answer in enumerate(report.queries, 1):
        yield f"Query {number}. {answer.title}", _answer(answer)


def _arrivals(report: DemoReport) -> RenderableType:
    ingest, transform, load = (report.tables.get(stage, {}) for stage in ("ingest", "transform", "load"))
    left = [(source, *_numbers(ingest.get(source))) for source, _ in report.pairs]
    right = [(star, *_numbers(transform.get(star)), _seconds(load.get(star))) for _, star in report.pairs]
    # A table's seconds include its waits for other tables, so their sum would say nothing.
    left.append(("all", *_numbers(_total(ingest))[:-1], ""))
    right.append(("all", *_numbers(_total(transform))[:-1], "", ""))
    headers = (("source table", "rows", "bytes", "ingest"), ("warehouse table", "rows", "bytes", "transform", "load"))
    if _width() < WIDTH:
        return Group(_numbered(headers[0], left), "", _numbered(headers[1], right))
    both = [(*one, *other) for one, other in zip(left, right, strict=True)]
    return _numbered((*headers[0], *headers[1]), both)


def _numbered(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = _table()
    for header in headers:
        table.add_column(header, justify="left" if header.endswith("table") else "right", no_wrap=True)
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_row(*rows[-1], style="bold")
    return table


def _numbers(report: TableReport | None) -> tuple[str, str, str]:
    if report is None:
        return "", "", ""
    return shown_count(report.rows) if report.rows else "-", _bytes(report.bytes), _seconds(report)


def _bytes(size_bytes: int) -> str:
    if not size_bytes:
        return "-"
    number, _, unit = shown_bytes(size_bytes).partition(" ")
    return f"{float(number):.3g} {unit}" if len(number) > 4 else f"{number} {unit}"  # noqa: PLR2004 -- 529.4 becomes 529


def _seconds(report: TableReport | None) -> str:
    return f"{report.seconds:.2f}" if report else ""


def _total(tables: Mapping[str, TableReport]) -> TableReport:
    rows, size = (sum(getattr(each, name) for each in tables.values()) for name in ("rows", "bytes"))
    return TableReport(rows, size)


def _order(history: History) -> str:
    return next(iter(history.key.values()))


def _evolution(histories: Sequence[History]) -> Table:
    # A cell begins with two characters for the mark, which also keep the columns apart.
    table = _table(gap=0)
    table.add_column(Text(f"\n{FACT}"), no_wrap=True)
    shown = []
    for history in histories:
        first = max(0, len(history.versions) - VERSIONS)
        for version in range(first, len(history.versions)):
            heading = f"  order {_order(history)}" if version == first else ""
            table.add_column(Text(f"{heading}\n  version {version + 1}"), no_wrap=True)
            shown.append((history, version))
    for column in EVOLVING:
        cells = []
        for history, version in shown:
            text = _text(history.versions[version][column], digits=1).replace(" ", "\n")
            changed = history.has_changed(version, column)
            cells.append(Text(f"{MARK} {text}".replace("\n", "\n  "), style="yellow") if changed else _indented(text))
        table.add_row(Text(column), *cells)
    return table


def _indented(text: str) -> Text:
    return Text(f"  {text}".replace("\n", "\n  "))


def _answer(answer: Answer) -> RenderableType:
    table = _table()
    for number, name in enumerate(answer.columns):
        is_number = any(
            isinstance(row[number], int | Decimal) and not isinstance(row[number], bool) for row in answer.rows
        )
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for row in answer.rows:
        table.add_row(*(_text(value) for value in row))
    grid = Table.grid()
    grid.add_row(Text(answer.sql, style="cyan"))
    grid.add_row(table)
    return grid


def _ways(report: DemoReport, directory: Path) -> Iterator[tuple[str, str]]:
    place = shlex.quote(str(directory))
    command = f"{_program()} demo" + ("" if directory == DIRECTORY else f" --directory {place}")
    yield "more batches", command
    yield "start over", f"{command} --reset"
    if report.is_running:
        yield "psql", f"{place}/psql warehouse"
        yield "", f"{place}/psql totesys"
        yield "explore", f"(cd {place} && {_program(away=True)} status)"
        yield "stop it", f"{command} --stop"
    else:
        yield "psql", f"{command} --keep && {place}/psql warehouse"
        yield "", f"{command} --stop    # needed after --keep alone"
    yield "files", f"{directory}/"
    for sample in report.places.samples:
        yield "", sample


def _program(*, away: bool = False) -> str:
    """Return the command that starts this program in a shell, in this directory or (`away`) in any."""
    called = Path(sys.argv[0]).absolute()
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m {called.parent.name}"
    if shutil.which(called.name) == str(called):
        return called.name
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) and not away else called))


def _width() -> int:
    return min(WIDTH, out().width)


def _table(gap: int = 1) -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim", show_edge=False)


def _text(value: object, digits: int = 3) -> str:
    """Write a value so that it fits a cell; `digits` is the number of decimals of a moment's seconds."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S.%f}"[: digits - 6]
    if isinstance(value, Decimal):
        return f"{value:,}"
    return str(value)
