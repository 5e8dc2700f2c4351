"""The command `init`: the warehouse's tables."""

from typing import Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import out, print_json
from tidemark.cli.progress import waiting


def init(
    ctx: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL and nothing else, for someone else to run.")
    ] = False,
) -> None:
    """Create or upgrade the warehouse's tables; nothing that is there is lost.

    Example: `tidemark init --dry-run | psql postgresql://owner@db/warehouse`
    """
    from tidemark import warehouse  # noqa: PLC0415 -- `--help` does without psycopg

    called = invocation(ctx)
    pipeline = called.pipeline()
    pipeline.require("warehouse")
    with waiting("comparing the warehouse with the model"):
        prepare = warehouse.plan_init if dry_run else warehouse.init
        statements = prepare(pipeline.warehouse_url, pipeline.model)
    if called.as_json:
        print_json({"statements": statements, "dry_run": dry_run})
    elif dry_run:
        for statement in statements:
            typer.echo(f"{statement};\n")
    elif statements:
        out().print(f"the warehouse is ready: {len(statements)} statements were run")
    else:
        out().print("the warehouse is ready: nothing had to be done")
