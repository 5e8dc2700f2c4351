"""The command `status`: how far log, star and warehouse are, and what the next run would do."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import err, new_table, out, print_json, shown_age, shown_count, shown_time
from tidemark.cli.progress import waiting
from tidemark.errors import TransientError
from tidemark.settings import parse_duration

if TYPE_CHECKING:
    from tidemark.status import Place, Status


def status(
    ctx: typer.Context,
    *,
    max_age: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End with 3 if the last poll is older, or a place cannot be asked."),
    ] = None,
) -> None:
    """Show batches, watermark, freshness, quarantine and what the next run would do, even when something is away.

    With --max-age it is a health check: it ends with 3, and says why, where a schedule seems to stand still.

    Example: `tidemark status --json`
    """
    from tidemark.status import read_status, standstill  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    most = None if max_age is None else parse_duration(max_age)
    with waiting("asking source, buckets and warehouse"):
        found = read_status(called.pipeline())
    reasons = () if most is None else standstill(found, most)
    if called.as_json:
        asked = {} if most is None else {"standstill": reasons}
        print_json({**asdict(found), "freshness_seconds": found.freshness and found.freshness.total_seconds(), **asked})
    else:
        _show(found)
    for reason in reasons:
        err().print(f"standstill: {reason}", style="bold red", markup=False, soft_wrap=True)
    if reasons:
        raise typer.Exit(TransientError.exit_code)


def _show(found: "Status") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

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


def _quarantine(found: "Status") -> str:
    if not found.quarantine:
        return "empty" if found.processed.problem is None else "-"
    counts = ", ".join(f"{name} {shown_count(count)}" for name, count in found.quarantine.items())
    return f"{shown_count(sum(found.quarantine.values()))} rows set aside ({counts}): see tidemark quarantine list"


def _rows(place: "Place") -> str:
    return shown_count(sum(place.rows.values())) if place.rows else "-"
