"""What a command did, put into the record of runs when it ends, however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from typer import Exit

from tidemark.cli import signals
from tidemark.cli.metrics_file import try_to_write_metrics
from tidemark.cli.stdout import READER_GONE
from tidemark.runs import recording as core
from tidemark.runs.ending import Ending, ended_by_signal, family_of_code
from tidemark.runs.recording import Recording
from tidemark.runs.run import SET_ASIDE

if TYPE_CHECKING:
    from pathlib import Path

    from tidemark.pipeline import Pipeline
    from tidemark.runs.run import Run

QUARANTINE_EXIT = 7


@contextmanager
def recorded(
    pipeline: "Pipeline", command: str, *, is_dry: bool = False, metrics: "Path | None" = None
) -> Iterator[Recording]:
    """Record what is done within the block; a dry run changes nothing and is not recorded.

    `metrics` is the file that the run leaves for a collector.
    """

    def keep(run: "Run", recording: Recording) -> None:
        if not is_dry:
            # A command that is told to end asks no server any more.
            is_away = recording.is_warehouse_away or bool(signals.exit_code())
            pipeline.records.keep(run, is_warehouse_away=is_away)
            if metrics and not signals.exit_code():
                try_to_write_metrics(pipeline, metrics)

    watchers = None if is_dry else pipeline.watchers(command)
    with core.recorded(command, pipeline.clock, keep, _ending, watchers) as recording:
        yield recording


def _ending(recording: Recording, exc: BaseException | None) -> Ending | None:
    if code := signals.exit_code():
        return ended_by_signal(code)
    if isinstance(exc, Exit) and exc.exit_code == READER_GONE:
        return ended_by_signal(READER_GONE)
    if isinstance(exc, Exit):
        outcome = SET_ASIDE if exc.exit_code == QUARANTINE_EXIT else family_of_code(exc.exit_code)
        return Ending(exc.exit_code, outcome, recording.message)
    return None
