"""The command `backfill`: read a range of time again."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_count, shown_time
from tidemark.cli.progress import progress_shown
from tidemark.cli.recording import recorded
from tidemark.cli.schedule import Stop, attempted
from tidemark.cli.stages import ATTEMPTS, Attempts
from tidemark.settings import parse_moment

if TYPE_CHECKING:
    from tidemark.backfill import BackfillReport

COUNTS = ("read", "inserted", "updated", "deleted")


def backfill(
    ctx: typer.Context,
    *,
    first: Annotated[
        str, typer.Option("--from", metavar="T", help="The first moment: 2024-11-01 or 2024-11-01T12:00, in UTC.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="T", help="The first moment after the range, written as --from.")],
    table: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A source table; repeat it for several. Default: all.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many rows would be read and changed, and write nothing.")
    ] = False,
    attempts: Attempts = ATTEMPTS,
) -> None:
    """Read the rows that were created or changed in a range of time again; what differs becomes a batch.

    The watermark stays. Rows of the range that are gone from the source become deletes. The next transform and load
    bring the batch into the warehouse.

    Example: `tidemark backfill --from 2024-11-01 --to 2024-11-08 --table sales_order --dry-run`
    """
    called = invocation(ctx)
    pipeline = called.pipeline()
    pipeline.require("source")
    span = parse_moment(first), parse_moment(end)
    with recorded(pipeline, "backfill", is_dry=dry_run) as recording, progress_shown() as progress:

        def work() -> "BackfillReport":
            return pipeline.backfill.run(*span, table or (), dry_run=dry_run, progress=progress)

        report = attempted(work, name="backfill", attempts=attempts, wait=Stop().wait)
        recording.did("backfill", (report.batch,) if report.batch else (), _changes(report))
    if called.as_json:
        print_json({**asdict(report), "dry_run": dry_run, "from": span[0], "to": span[1]})
    else:
        _show(report, dry_run=dry_run, title=f"from {shown_time(span[0])} to {shown_time(span[1])}")


def _changes(report: "BackfillReport") -> int:
    return sum(each.inserted + each.updated + each.deleted for each in report.tables.values())


def _show(report: "BackfillReport", *, dry_run: bool, title: str) -> None:
    out().print(title, style="bold")
    shown = new_table("table", *COUNTS, numbers=COUNTS)
    for name, each in report.tables.items():
        shown.add_row(name, *(shown_count(getattr(each, count)) for count in COUNTS))
    out().print(shown)
    if report.skipped:
        out().print(f"skipped, no column of time (polls compare every row): {', '.join(report.skipped)}", style="dim")
    changes = _changes(report)
    if report.batch:
        out().print(
            f"batch {report.batch} holds {shown_count(changes)} changes; next: tidemark transform, tidemark load"
        )
    elif dry_run and changes:
        out().print(f"a dry run: {shown_count(changes)} changes would become a batch, nothing was written")
    else:
        out().print("nothing differs, nothing was written")
