"""The command `demo`: the whole pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import err, out, print_json


def demo(
    ctx: typer.Context,
    *,
    directory: Annotated[Path, typer.Option(help="Where the demo keeps its databases and files.")] = Path(
        ".tidemark/demo"
    ),
    reset: Annotated[bool, typer.Option("--reset", help="Start over, with empty databases.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the database server running.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Only stop the server that --keep left running.")] = False,
    batches: Annotated[int, typer.Option(min=1, help="How many batches of activity follow.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed makes the same rows.")] = 1,
    scale: Annotated[float, typer.Option(min=0.001, help="Size of the source; 1 is the real one's size.")] = 1.0,
) -> None:
    """Show it all on this machine: its own PostgreSQL as source and warehouse, generated rows, batches of activity.

    When run again, it goes on with more batches. Nothing is left running unless --keep is given.

    Example: `tidemark demo --keep`
    """
    from tidemark.cli.demo_show import SilentTeller, screen, show  # noqa: PLC0415 -- `--help` does without Rich
    from tidemark.embedded.demo import Demo, run_demo, stop_demo  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    if stop:
        was_running = stop_demo(directory)
        if called.as_json:
            print_json({"was_running": was_running})
        else:
            out().print("the demo's server has been stopped" if was_running else "no server of the demo was running")
        return
    wanted = Demo(directory, reset=reset, keep=keep, batches=batches, seed=seed, scale=scale)
    if called.as_json:
        print_json(run_demo(wanted, SilentTeller()))
        return
    try:
        with screen() as teller:
            report = run_demo(wanted, teller)
    except (KeyboardInterrupt, SystemExit):
        err().print("interrupted: the server has been stopped; the same command goes on from here")
        raise
    show(report, directory)
