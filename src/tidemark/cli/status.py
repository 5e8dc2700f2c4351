"""The command `status`: how far log, star and warehouse are, and what the next run would do."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from tidemark.cli.metrics_file import MetricsFile, checked_place, write_metrics
from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_age, shown_count, shown_time
from tidemark.cli.progress import waiting

if TYPE_CHECKING:
    from tidemark.runs.health import Health
    from tidemark.status import Place, Status

STYLES = {"green": "green", "amber": "yellow", "red": "bold red"}


def status(ctx: typer.Context, *, metrics_file: MetricsFile = None) -> None:
    """Show health, batches, watermark, freshness, quarantine and what the next run would do.

    The first line is the health: green, amber or red, with the reasons. Each place is asked by itself, so that one that
    is away hides nothing of the others.

    Example: `tidemark status --json`
    """
    from tidemark.status import read_status  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    place, pipeline = checked_place(metrics_file), called.pipeline()
    with waiting("asking source, buckets and warehouse"):
        found = read_status(pipeline)
        if place:
            write_metrics(pipeline, place, found)
    if called.as_json:
        print_json({**asdict(found), "freshness_seconds": found.freshness and found.freshness.total_seconds()})
    else:
        _show(found)


def _show(found: "Status") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    if found.health:
        _show_health(found.health)
    table = new_table("place", "newest batch", "source as of", "rows", numbers=("newest batch", "rows"))
    for name, place in (
        ("change log", found.log),
        ("star", found.processed),
        ("warehouse", found.warehouse),
    ):
        table.add_row(name, str(place.batch or "-"), shown_time(place.captured_at), _rows(place))
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
        out().print(Text(f"{name:<23}{text}"), soft_wrap=True)


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


def _rows(place: "Place") -> str:
    return shown_count(sum(place.rows.values())) if place.rows else "-"
