"""The command `compact`: make small files of the lake into large ones, and remove what nothing needs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.amounts import shown_bytes
from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_count
from tidemark.cli.progress import progress_shown
from tidemark.cli.recording import recorded

if TYPE_CHECKING:
    from tidemark.compact import CompactReport


def compact(
    ctx: typer.Context,
    *,
    retention: Annotated[
        str, typer.Option(metavar="TIME", help="How long old files stay readable, 1h or more.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Make large data files out of small ones, and remove old ones and objects that are part of no batch.

    Readers and runs may be at work meanwhile. A table that a run changes at the same moment is left for the next time.

    Example: `tidemark compact --retention 14d`
    """
    from tidemark.settings import parse_duration  # noqa: PLC0415 -- `--help` does without

    called = invocation(ctx)
    kept_for = parse_duration(retention)
    pipeline = called.pipeline()
    with recorded(pipeline, "compact", is_dry=dry_run) as recording, progress_shown() as progress:
        report = pipeline.compact(kept_for).run(dry_run=dry_run, progress=progress)
        recording.did("compact")
    if called.as_json:
        print_json({**asdict(report), "dry_run": dry_run})
    else:
        _show(report, dry_run=dry_run)


def _show(report: "CompactReport", *, dry_run: bool) -> None:
    columns = ("rewritten", "into", "removed", "freed")
    table = new_table("table", *columns, "", numbers=columns)
    worked = {path: each for path, each in report.tables.items() if each.rewritten or each.removed or each.skipped}
    for path, each in worked.items():
        into = "" if dry_run or not each.rewritten else shown_count(each.written)
        counts = (shown_count(each.rewritten), into, shown_count(each.removed), shown_bytes(each.removed_bytes))
        table.add_row(path, *counts, each.skipped)
    if worked:
        out().print(table)
    older = [each.renewed for each in report.tables.values() if each.renewed]
    if older:
        verb = "would be" if dry_run else "were"
        out().print(
            f"{shown_count(len(older))} tables of an older Tidemark {verb} written anew"
            f" ({shown_count(sum(older))} files): no reader needs a table feature for them then"
        )
    kept = sorted({each.kept for each in report.tables.values() if each.kept})
    for reason in kept:
        out().print(f"old files of the star stay: {reason}", style="yellow")
    verb = "would go" if dry_run else "removed"
    out().print(
        f"{shown_count(len(report.tables) - len(worked))} tables need nothing;"
        f" {shown_count(report.orphans)} objects of no batch ({shown_bytes(report.orphan_bytes)}) {verb},"
        f" {shown_count(report.leftovers)} leftovers of killed runs {verb},"
        f" {shown_count(report.sums)} old sums of latest {verb}"
    )
