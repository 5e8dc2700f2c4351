"""Progress: what is being done right now, shown on a terminal and nowhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tidemark.cli.output import err, shown_bytes, shown_count
from tidemark.report import Progress, quiet


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Show the stage and table in hand on one line of stderr, which is erased at the end."""
    if not sys.stderr.isatty():
        yield quiet
        return
    from rich.progress import Progress as Display  # noqa: PLC0415 -- only a terminal needs it
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 -- as above

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Display(*columns, console=err(), transient=True) as display:
        task = display.add_task("", total=None)
        done = dict.fromkeys(("tables", "rows", "bytes"), 0)
        stage_before = ""

        def note(stage: str, table: str, rows: int, size_bytes: int, seconds: float, _batch: int = 0, /) -> None:
            nonlocal stage_before
            if stage != stage_before:
                stage_before = stage
                done.update(tables=0, rows=0, bytes=0)
            finished = bool(seconds)
            done["tables"] += finished
            done["rows"] += rows
            done["bytes"] += size_bytes
            so_far = f"{done['tables']} tables, {shown_count(done['rows'])} rows, {shown_bytes(done['bytes'])} so far"
            display.update(task, description=f"{stage}: {table} {'done' if finished else '…'} ({so_far})")

        yield note


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """Say on a terminal what is being done until the block ends."""
    if not sys.stderr.isatty():
        yield
        return
    with err().status(f"{doing} …"):
        yield
