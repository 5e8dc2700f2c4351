"""A run while it is at work: what it did so far, until its end, however it ends, makes a record of it."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from tidemark.errors import TidemarkError, TransientError
from tidemark.report import StageReport
from tidemark.runs.ending import Ending, ending_of, shown
from tidemark.runs.run import Run, StageRun, Verified
from tidemark.runs.watching import Watchers

# The stages that need the warehouse.
OF_WAREHOUSE = ("load", "rebuild warehouse")


class Recording:
    """A run that has not ended.

    `message` says how a run ended that ends with an exit code and without an error. `is_warehouse_away` says that the
    run found the warehouse away.
    """

    def __init__(self, watchers: Watchers | None = None) -> None:
        self._watchers = watchers
        self.stages: list[StageRun] = []
        self.verified: Verified | None = None
        self.message = ""
        self.is_warehouse_away = False
        self._stage = ""
        self._survived: Ending | None = None
        self._warnings: list[str] = []
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Tell how long the run has taken so far."""
        return time.perf_counter() - self._begun

    def begin(self, stage: str) -> None:
        """Take note of the stage that is now in hand."""
        self._stage = stage
        if self._watchers:
            self._watchers.begin(stage)

    def finished(self, report: StageReport, warning: str = "") -> None:
        """Take note of a stage that is done; `warning` says what went wrong after it that does not fail it."""
        warnings = [warning] if warning else []
        self._warnings += warnings
        self.stages.append(StageRun(report.stage, report.seconds, report.batches, report.rows, len(warnings)))
        if self._watchers:
            self._watchers.end(Ending(), report)

    def did(self, work: str, batches: tuple[int, ...] = (), rows: int = 0) -> None:
        """Take note of work that has no report of a stage; it took the time since the stages before it."""
        seconds = self.seconds - sum(each.seconds for each in self.stages)
        self.stages.append(StageRun(work, seconds, batches, rows))

    def failed(self, exc: TidemarkError) -> None:
        """Take note of an error of the stage in hand, after which the run may go on; the first one is its ending."""
        self.is_warehouse_away |= isinstance(exc, TransientError) and self._stage in OF_WAREHOUSE
        ending = ending_of(exc)
        self._survived = self._survived or ending
        if self._watchers:
            self._watchers.end(ending)

    def ending(self, exc: BaseException | None) -> Ending:
        """Say how the run ended."""
        if isinstance(exc, TidemarkError):
            self.failed(exc)
        elif exc is not None:
            return ending_of(exc)
        return self._survived or Ending(message="; ".join(filter(None, (self.message, *self._warnings))))


Entrance = Callable[[Recording, BaseException | None], Ending | None]


@contextmanager
def recorded(
    command: str,
    clock: Callable[[], datetime],
    keep: Callable[[Run, Recording], None],
    entrance: Entrance = lambda _, __: None,
    watchers: Watchers | None = None,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Iterator[Recording]:
    """Record what is done within the block.

    Args:
        command: what the record calls it.
        clock: gives the present time in UTC.
        keep: takes the record.
        entrance: may say how the run ended, where that is not by an error of Tidemark, such as by an exit code.
        watchers: are told of each stage.
        new_id: makes the id of the run.
    """
    recording, started_at = Recording(watchers), clock()
    end: BaseException | None = None
    try:
        yield recording
    except BaseException as exc:
        end = exc
        raise
    finally:
        ending = entrance(recording, end) or recording.ending(end)
        run = Run(
            new_id(),
            command,
            started_at,
            recording.seconds,
            ending.exit_code,
            ending.outcome,
            shown(ending.message),
            tuple(recording.stages),
            recording.verified,
        )
        keep(run, recording)
        if watchers:
            watchers.close(run)
