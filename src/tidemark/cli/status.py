"""The command `status`: how far log, star and warehouse are, and what the next run would do."""

import sys
import textwrap
import threading
import time
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.amounts import shown_age
from tidemark.cli.metrics_file import MetricsFile, checked_place, write_metrics
from tidemark.cli.options import invocation
from tidemark.cli.output import (
    is_quiet,
    is_seen,
    new_table,
    out,
    print_json,
    say,
    shown_count,
    shown_time,
)
from tidemark.cli.progress import waiting
from tidemark.cli.screen import Screen, ended_by_interrupt, laid_out
from tidemark.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tidemark.last_changes import TableState
    from tidemark.runs.health import Health
    from tidemark.status import Place, Status

NAMES_WIDTH = 23
STYLES = {"green": "green", "amber": "yellow", "red": "bold red"}


def status(
    ctx: typer.Context,
    *,
    check: Annotated[bool, typer.Option("--check", help="End with 3 while the health is red.")] = False,
    metrics_file: MetricsFile = None,
    watch: Annotated[
        str | None,
        typer.Option(metavar="[SECONDS]", help="Look again every so many seconds, 2 if not said, until Ctrl-C."),
    ] = None,
) -> None:
    """Show health, batches, watermark, freshness, quarantine and what the next run would do.

    The first line is the health: green, amber or red, with the reasons. Each place is asked by itself, so you see
    the others when one is away. At the end come the source's tables, the last changed first: on a terminal as
    many as fit on the screen.

    With --watch a terminal shows one picture that changes; elsewhere one follows the other, and with --json each is one
    line.

    Example: `tidemark status --watch 5`
    """
    from tidemark.status import read_status  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    moments: dict[int, datetime] = {}
    if watch is not None:
        if check or metrics_file:
            raise ConfigError("--watch goes on until Ctrl-C, so it takes neither --check nor --metrics-file")
        # A pipeline for each, because a password in Secrets Manager may have changed.
        watched(lambda: read_status(called.pipeline(), moments), _seconds(watch), as_json=called.as_json)
        return
    place, pipeline = checked_place(metrics_file), called.pipeline()
    with waiting("asking source, buckets and warehouse"):
        found = read_status(pipeline, moments)
        if place:
            write_metrics(pipeline, place, found)
    if called.as_json:
        print_json(described(found))
    else:
        show(found)
    if check and found.health and found.health.colour == "red":
        raise typer.Exit(TransientError.exit_code)


def watched(read: "Callable[[], Status]", seconds: float, *, as_json: bool) -> None:
    """Show one status after another until somebody asks to stop, which is no error."""
    screen = Screen() if is_seen() and not (out().is_dumb_terminal or as_json or is_quiet()) else None
    with ended_by_interrupt(), screen or nullcontext():
        while True:
            found = read()
            if as_json:
                print_json(described(found), in_one_line=True)
            elif screen:
                screen.paint(partial(show, found))
            else:
                show(found)
                say("")
            sys.stdout.flush()
            time.sleep(seconds)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ConfigError(f"expected a number of seconds above zero after --watch, got {text!r}")
    return seconds


def described(found: "Status") -> dict[str, object]:
    """Return a status as `--json` prints it."""
    return {**asdict(found), "freshness_seconds": found.freshness and found.freshness.total_seconds()}


def show(found: "Status") -> None:
    """Print a status, and of the tables as many as fit below it on a terminal."""
    with out().capture() as captured:
        _show(found)
    rows = laid_out(captured.get(), out().width)
    for row in rows:
        out().print(row, soft_wrap=True)
    _show_tables(found, out().height - len(rows) if is_seen() else None)


def _show_tables(found: "Status", room: int | None) -> None:
    """Print the tables of the source within so many lines, without which there is no limit."""
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    from tidemark.cli import grid  # noqa: PLC0415 -- as above

    # A blank line, names, a rule, how many are left out, and the line of the prompt.
    most = len(found.tables) if room is None else max(room - 5, 0)
    fits = len(found.tables) <= most + 1
    shown = dict(list(found.tables.items())[: None if fits else most])
    cells = [
        (name, shown_count(state.rows), shown_time(state.changed_at), _ago(found, state), str(state.batch or "-"))
        for name, state in shown.items()
    ]
    rows = [("table", "rows", "last change", "ago", "batch"), *([grid.shown(cell) for cell in row] for row in cells)]
    if shown:
        natural = grid.natural_widths(rows)
        widths = grid.fitted_widths(natural, out().width) or natural
        for line in ("", *grid.side_by_side(rows, widths, numbers={1, 4})):
            out().print(Text(line), soft_wrap=True)
    if not fits:
        left = shown_count(len(found.tables) - len(shown))
        out().print(Text(f"{left} more tables: tidemark status --json", style="dim"), soft_wrap=True)


def _ago(found: "Status", state: "TableState") -> str:
    return shown_age(found.now - state.changed_at) if state.changed_at else "-"


def _show(found: "Status") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    if found.health:
        _show_health(found.health)
    table = new_table("place", "newest batch", "source as of", "rows", numbers=("newest batch",))
    for name, place, which in found.counted:
        table.add_row(name, str(place.batch or "-"), shown_time(place.captured_at), _rows(place, which))
    out().print(table)
    for name, place in (
        ("source", found.source),
        ("change log", found.log),
        ("pointer", found.pointer),
        ("star", found.processed),
        ("warehouse", found.warehouse),
    ):
        if place.problem:
            out().print(Text(f"{name} cannot be asked: {place.problem}", style="red"), soft_wrap=True)
        if place.advice:
            out().print(Text(f"{'':8}what to do: {place.advice}"), soft_wrap=True)
        if place.misfit:
            out().print(Text(f"{name}: {place.misfit}", style="red"), soft_wrap=True)
    fresh = shown_time(found.fresh_as_of)
    facts = [
        ("watermark", shown_time(found.watermark)),
        ("last poll", shown_time(found.checked_at)),
        ("warehouse fresh as of", f"{fresh}, {shown_age(found.freshness)} ago" if found.freshness else fresh),
        ("quarantine", _quarantine(found)),
        *(("" if number else f"shape, batch {found.drift_batch}", each) for number, each in enumerate(found.drift)),
        *(
            ("" if number else "not mirrored", f"{name}: {reason}")
            for number, (name, reason) in enumerate(found.left_out.items())
        ),
        *(("" if number else "the next run would", step) for number, step in enumerate(found.next_steps)),
    ]
    for name, text in facts:
        for line in _beside(f"{name:<{NAMES_WIDTH}}", text):
            out().print(Text(line), soft_wrap=True)


def _beside(name: str, text: str) -> list[str]:
    """Give the lines of a text beside its name; a terminal gets whole words."""
    if not is_seen():
        return [f"{name}{text}"]
    room = max(out().width, 2 * NAMES_WIDTH)
    indent = " " * NAMES_WIDTH
    return textwrap.wrap(text, room, initial_indent=name, subsequent_indent=indent, break_on_hyphens=False) or [name]


def _show_health(health: "Health") -> None:
    from rich.text import Text  # noqa: PLC0415 -- as above

    style = STYLES[health.colour]
    first, *others = health.reasons or ("",)
    line = f"{health.colour}, {health.word}{f': {first}' if first else ''}"
    for text in (line, *(f"{'':{len(health.colour) + 2}}{other}" for other in others)):
        out().print(Text(text, style=style), soft_wrap=True)


def _quarantine(found: "Status") -> str:
    if not found.quarantine:
        return "empty" if found.processed.problem is None else "-"
    counts = ", ".join(f"{name} {shown_count(count)}" for name, count in found.quarantine.items())
    return f"{shown_count(sum(found.quarantine.values()))} rows set aside ({counts}): see tidemark quarantine list"


def _rows(place: "Place", which: str) -> str:
    return f"{shown_count(sum(place.rows.values()))} {which}" if place.rows else "-"
