"""The command `rebuild`: make latest, the star or the warehouse again, and compare it with what is there."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_count
from tidemark.cli.progress import progress_shown
from tidemark.cli.recording import recorded
from tidemark.errors import DataError

if TYPE_CHECKING:
    from tidemark.lake.rebuilt import RebuildReport
    from tidemark.pipeline import Pipeline
    from tidemark.report import Progress

ACCEPT = "if you want this, run it again with --accept-differences"


def rebuild(
    ctx: typer.Context,
    what: Annotated[
        Literal["latest", "star", "warehouse"],
        typer.Argument(help="Latest and the star are made from the change log, the warehouse from the star."),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare, and change nothing.")] = False,
    accept_differences: Annotated[
        bool,
        typer.Option(
            "--accept-differences",
            help="Latest, star: put it in place even where that undoes what another model or an unfinished run made.",
        ),
    ] = False,
) -> None:
    """Make latest, the star or the warehouse again, say how many rows differ, and put it in place.

    It ends with 5 where it would undo what another model or an unfinished run made: see --accept-differences.

    Example: `tidemark rebuild star --dry-run`
    """
    called = invocation(ctx)
    pipeline = called.pipeline()
    if what == "warehouse":
        pipeline.require("warehouse")
    with recorded(pipeline, f"rebuild {what}", is_dry=dry_run) as recording:
        recording.begin(f"rebuild {what}")
        with progress_shown() as progress:
            report = _rebuilt(pipeline, what, progress, dry_run=dry_run, accepts=accept_differences)
        recording.did(f"rebuild {what}", rows=report.differences)
        recording.message = "; ".join(report.reasons)
        _tell(report, as_json=called.as_json)
        if report.reasons and not report.is_in_place and not dry_run:
            raise typer.Exit(DataError.exit_code)


def _rebuilt(pipeline: "Pipeline", what: str, progress: "Progress", *, dry_run: bool, accepts: bool) -> "RebuildReport":
    if what == "warehouse":
        return pipeline.rebuild_warehouse(dry_run=dry_run).run(progress)
    parts = pipeline.rebuild(dry_run=dry_run, accepts=accepts)
    return parts.latest(progress) if what == "latest" else parts.star(progress)


def _tell(report: "RebuildReport", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "what": report.what,
                "batch": report.batch,
                "tables": report.tables,
                "differences": report.differences,
                "is_in_place": report.is_in_place,
                "reasons": report.reasons,
            }
        )
    else:
        _show(report)


def _show(report: "RebuildReport") -> None:
    if not report.batch:
        out().print(f"{report.what}: there is no batch yet, so there is nothing to make again")
        return
    columns = ("rows", "missing there", "too many there")
    table = new_table("table", *columns, "", numbers=columns, title=f"{report.what}, batches 1 to {report.batch}")
    for name, each in report.tables.items():
        counts = [shown_count(count) for count in (each.rows, each.missing, each.surplus)]
        table.add_row(name, *counts, each.note, style="yellow" if each.is_different else None)
    out().print(table)
    outcome = "put in place" if report.is_in_place else "nothing was changed"
    out().print(f"{shown_count(report.differences)} differences; {outcome}")
    for reason in report.reasons:
        out().print(f"not as it was: {reason}", style="yellow", markup=False)
    if report.reasons and not report.is_in_place:
        way = "run it again when the run has ended" if report.is_run_at_work else ACCEPT
        out().print(f"what to do: {way}", markup=False)
