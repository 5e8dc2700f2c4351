"""Progress: what is being done right now, shown on a terminal and nowhere else."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tidemark.cli.output import can_animate, err
from tidemark.cli.pace import Pace
from tidemark.report import Progress, quiet

# What the line has beside the text: a spinner, the time so far, and the blanks between.
BESIDE_TEXT = 12


class Watched:
    """A progress that keeps for the display how the stage in hand gets on; several threads may call it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pace: Pace | None = None

    def __call__(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
        """Take note of a table."""
        with self._lock:
            if self._pace is None or self._pace.stage != stage:
                self._pace = Pace(stage, self._clock())
            self._pace.note(table, rows, size_bytes, is_done=bool(seconds), batch=batch)

    def foresee(self, stage: str, rows: Mapping[str, int | None], /) -> None:
        """Take note of what a stage is about to go through."""
        with self._lock:
            self._pace = Pace(stage, self._clock(), expected=rows)

    def observe(self, percent: Callable[[], float], /) -> None:
        """Take note of what tells how far the engine is with its statement in hand."""
        with self._lock:
            if self._pace:
                self._pace.percent = percent

    def line(self, width: int) -> str:
        """Say how the stage in hand gets on."""
        with self._lock:
            return self._pace.line(self._clock(), width) if self._pace else ""


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """Show the stage and table in hand on one line of stderr, which is erased at the end."""
    if not can_animate():
        yield quiet
        return
    from rich.progress import Progress as Display  # noqa: PLC0415 -- only a terminal needs it
    from rich.progress import ProgressColumn, SpinnerColumn, Task, TimeElapsedColumn  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415 -- as above

    watched = Watched(time.monotonic)

    class PaceColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            del task
            return Text(watched.line(err().width - BESIDE_TEXT), no_wrap=True, overflow="ellipsis")

    with Display(SpinnerColumn(), PaceColumn(), TimeElapsedColumn(), console=err(), transient=True) as display:
        display.add_task("", total=None)
        yield watched


@contextmanager
def waiting(doing: str) -> Iterator[None]:
    """Say on a terminal what is being done until the block ends."""
    if not can_animate():
        yield
        return
    with err().status(f"{doing} …"):
        yield
