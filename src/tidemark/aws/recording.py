"""The record of runs that a function keeps: only where it has the warehouse anyway, since it has no right elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tidemark.aws.request import Request
from tidemark.pipeline import Pipeline
from tidemark.runs import recording as core
from tidemark.runs.recording import Recording
from tidemark.runs.run import Run


@contextmanager
def recorded(kept: Callable[[], Pipeline], stage: str, request: Request) -> Iterator[Recording]:
    """Record what is done within the block, unless the warehouse is away: then the state machine alone tells of it.

    `kept` gives the pipeline, which may be another one at the end.
    """

    def keep(run: Run, recording: Recording) -> None:
        if not recording.is_warehouse_away:
            # Without a place beside the pointer, which no function may write.
            replace(kept().records, beside=None).keep(run)

    with core.recorded(_command(stage, request), kept().clock, keep) as recording:
        recording.begin(stage)
        yield recording


def _command(stage: str, request: Request) -> str:
    if request.verifies:
        return "verify"
    return f"rebuild {request.rebuilds}" if request.rebuilds else stage
