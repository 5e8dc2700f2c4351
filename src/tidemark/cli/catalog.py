"""The command `catalog`: tell the AWS Glue Data Catalog of the lake's tables, so that Athena finds them by name."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_count

if TYPE_CHECKING:
    from tidemark.glue import RegistrationReport


def catalog(
    ctx: typer.Context,
    *,
    database: Annotated[
        str, typer.Option(metavar="NAME", help="The catalog's database; it is made if it is not there.")
    ] = "tidemark",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Register the tables of the star and of latest in the AWS Glue Data Catalog, for Athena.

    Each table of versions gets two views: `<table>_history`, with the end of each version, and `<table>_current`, its
    live rows. Run it again when the model has changed. A table or view that Tidemark did not make is never touched.

    Example: `tidemark catalog --dry-run`
    """
    called = invocation(ctx)
    report = called.pipeline().catalog(database).run(dry_run=dry_run)
    if called.as_json:
        steps = [{"name": each.name, "what": each.what, "outcome": each.outcome} for each in report.steps]
        print_json({"database": report.database, "entries": steps, "dry_run": dry_run})
    else:
        _show(report, dry_run=dry_run)


def _show(report: "RegistrationReport", *, dry_run: bool) -> None:
    changes = [step for step in report.steps if step.outcome != "unchanged"]
    if changes:
        table = new_table("entry", "what", "would be" if dry_run else "was")
        for step in changes:
            table.add_row(step.name, step.what, step.outcome)
        out().print(table)
    written = f"{shown_count(len(changes))} entries {'to write' if dry_run else 'written'}"
    out().print(f"database {report.database}: {written}, {shown_count(report.count('unchanged'))} as they should be")
