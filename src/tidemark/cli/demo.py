"""The command `demo`: everything at once on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import out, print_json


def demo(
    ctx: typer.Context,
    *,
    directory: Annotated[Path, typer.Option(help="Where databases and files of the demo lie.")] = Path(
        ".tidemark/demo"
    ),
    reset: Annotated[bool, typer.Option("--reset", help="Start over, with empty databases.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the database server running.")] = False,
    batches: Annotated[int, typer.Option(min=1, help="How many batches of activity follow the first load.")] = 5,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of the source: 1 is that of the real one.")] = 1.0,
) -> None:
    """See it all at once: a PostgreSQL of its own as source and warehouse, generated rows, several batches of activity.

    Example: `tidemark demo --keep`
    """
    from tidemark.embedded.demo import run_demo  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    result = run_demo(directory=directory, reset=reset, keep=keep, batches=batches, seed=seed, scale=scale)
    if called.as_json:
        print_json(result)
    else:
        out().print(result)
