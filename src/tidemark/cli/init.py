"""The command `init`: make the warehouse's tables, or record that the source has moved."""

from dataclasses import asdict
from typing import Annotated

import typer

from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import out, print_json, say
from tidemark.cli.progress import waiting


def init(
    ctx: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the SQL, for somebody else to run.")] = False,
    new_source: Annotated[
        bool,
        typer.Option("--new-source", help="Only record that the source has moved to another server or database."),
    ] = False,
) -> None:
    """Create or upgrade the warehouse's tables; nothing that is there is lost.

    With --new-source it leaves the warehouse alone, and accepts the database of TIDEMARK_SOURCE_URL as the source of
    this log. The next poll compares all of its rows.

    Example: `tidemark init --dry-run | psql postgresql://owner@db/warehouse`
    """
    # The imports are here because `--help` does without psycopg and DuckDB.
    from tidemark.postgres.statements import headline  # noqa: PLC0415
    from tidemark.star.shape import require_shapes  # noqa: PLC0415
    from tidemark.warehouse import schema  # noqa: PLC0415

    called = invocation(ctx)
    if new_source:
        _record_new_source(called, dry_run=dry_run)
        return
    pipeline = called.pipeline()
    pipeline.require("warehouse")
    model = pipeline.whole_model
    require_shapes(model)
    with waiting("comparing the warehouse with the model"):
        prepare = schema.plan_init if dry_run else schema.init
        statements = prepare(pipeline.warehouse_url, model)
    if called.as_json:
        print_json({"statements": statements, "dry_run": dry_run})
    elif dry_run:
        for statement in statements:
            say(f"{statement};\n")
    elif statements:
        for statement in statements:
            out().print(f"  {headline(statement)}", highlight=False, markup=False, soft_wrap=True)
        out().print(f"the warehouse is ready: {len(statements)} statements were run")
    else:
        out().print("the warehouse is ready: nothing had to be done")


def _record_new_source(called: Invocation, *, dry_run: bool) -> None:
    pipeline = called.pipeline()
    pipeline.require("source")
    with waiting("asking the source who it is"):
        move = pipeline.new_source.run(dry_run=dry_run)
    if called.as_json:
        print_json({**asdict(move), "dry_run": dry_run})
    elif not move.is_one:
        out().print(f"{_shown(move.now)} is the source that the log is of: nothing had to be done")
    elif move.batch:
        out().print(f"batch {move.batch} records the move from {_shown(move.before)} to {_shown(move.now)}")
        out().print("the next poll compares every row of every table")
    else:
        out().print(f"a dry run: the source would move from {_shown(move.before)} to {_shown(move.now)}")


def _shown(place: tuple[str, str] | None) -> str:
    system, database = place or ("", "")
    return f"{database!r} of system {system}"
