"""Watchers of a run: libraries of others that are told of each stage, such as OpenLineage's and OpenTelemetry's.

Whatever goes wrong with one is a warning, and nobody tells it any more.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from tidemark.report import StageReport
from tidemark.runs.ending import Ending
from tidemark.runs.run import Run

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 5.0


class Watcher(Protocol):
    """Be told of a run."""

    def began(self, stage: str, at: datetime) -> None:
        """Take note of a stage that begins."""

    def ended(self, stage: str, at: datetime, ending: Ending, report: StageReport | None) -> None:
        """Take note of a stage that ended; one that failed has no report."""

    def closed(self, run: Run) -> None:
        """Take note of the end of the run, and send what is not sent yet."""


class Watchers:
    """Several watchers, of which none can do harm: a thread of its own makes them and tells them, one after the other.

    So a receiver that is slow holds up no stage, and the end of a run by `PATIENCE_SECONDS` at most.
    """

    def __init__(self, make: Callable[[], Sequence[Watcher]], clock: Callable[[], datetime]) -> None:
        self._make, self._clock = make, clock
        self._told: SimpleQueue[Callable[[Watcher], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._stage = ""

    def begin(self, stage: str) -> None:
        """Tell of a stage that begins."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name="tidemark watchers", daemon=True)
            self._thread.start()
        self._stage = stage
        at = self._clock()
        self._told.put(lambda watcher: watcher.began(stage, at))

    def end(self, ending: Ending, report: StageReport | None = None) -> None:
        """Tell of the end of the stage in hand, if there is one."""
        stage, at = self._stage, self._clock()
        if stage:
            self._told.put(lambda watcher: watcher.ended(stage, at, ending, report))
        self._stage = ""

    def close(self, run: Run) -> None:
        """Tell of the end of the run; a stage still in hand ended with it."""
        self.end(Ending(run.exit_code, run.outcome, run.message))
        if self._thread is None:
            return
        self._told.put(lambda watcher: watcher.closed(run))
        self._told.put(None)
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            logger.warning("not all was told of this run's stages: a receiver is slow or away")

    def _work(self) -> None:
        watchers: list[Watcher] = []
        _guarded(lambda: watchers.extend(self._make()))
        while tell := self._told.get():
            for watcher in list(watchers):
                if not _guarded(partial(tell, watcher)):
                    watchers.remove(watcher)


def _guarded(work: Callable[[], object]) -> bool:
    try:
        work()
    except Exception as exc:  # noqa: BLE001 -- a library of others, which must not end a run; its text may name an address
        logger.warning("nobody is told of this run's stages any more: %s", type(exc).__name__)
        return False
    return True
