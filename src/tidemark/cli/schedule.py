"""Trying again and repeating: back-off within one run, and runs one after the other until a signal asks to stop."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from tidemark.cli import signals
from tidemark.cli.output import is_quiet
from tidemark.errors import OvertakenError, TransientError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

LONGEST_PAUSE_SECONDS = 300.0
_SLICE_SECONDS = 0.1
_STDERR = 2


class Stop:
    """Whether somebody asked to stop, and a sleep that ends when they do."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask to stop."""
        self.requested = True

    def wait(self, seconds: float) -> bool:
        """Sleep; return at once, and True, when somebody asked to stop."""
        # It sleeps in slices and does not wait for a threading.Event: setting one in a signal handler can deadlock,
        # because the handler may interrupt the very thread that holds the event's lock.
        until = time.monotonic() + seconds
        while not self.requested and (rest := until - time.monotonic()) > 0:
            time.sleep(min(rest, _SLICE_SECONDS))
        return self.requested


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Turn the first SIGTERM or SIGINT into a request to stop; a second one ends the command at once."""
    stop = Stop()

    def receive(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.requested:
            signals.end(number)
        stop.request()
        # Not through a logger: its stream may be in the middle of a write, and then it refuses another.
        if not is_quiet():
            os.write(_STDERR, b"stopping after the batch in hand; a second signal stops at once\n")

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def attempted(work: Callable[[], Result], *, name: str, attempts: int, wait: Callable[[float], bool]) -> Result:
    """Do the work, and try again: after 1, 2, 4 … seconds while something outside is away, at once when overtaken.

    An error whose facts have `retry_after_seconds` asks for a longer pause.

    Args:
        work: may raise anything; it is tried again only after a TransientError or an OvertakenError.
        name: what the log calls the work.
        attempts: how often the work is tried at most.
        wait: sleeps, and says whether to give up.

    """
    for attempt in range(1, attempts + 1):
        try:
            return work()
        except (TransientError, OvertakenError) as exc:
            if attempt == attempts or signals.exit_code():
                raise
            if isinstance(exc, OvertakenError):
                logger.warning("%s: %s; going on from there (attempt %d of %d)", name, exc.message, attempt, attempts)
                continue
            pause_seconds = max(pause_after(attempt), _asked_pause(exc))
            logger.warning(
                "%s: %s; trying again in %g s (attempt %d of %d)", name, exc.message, pause_seconds, attempt, attempts
            )
            if wait(pause_seconds):
                raise
    raise AssertionError


def repeated(
    tick: Callable[[], bool],
    *,
    every_seconds: float,
    stop: Stop,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Do `tick` at once, and again at a fixed interval until asked to stop; a missed tick is not made up for.

    Args:
        tick: returns whether all went well; while it returns False, the pauses grow.
        every_seconds: the time from the beginning of one tick to the beginning of the next.
        stop: ends the repetition, immediately if it is waiting.
        clock: counts seconds.

    """
    due, failures = clock(), 0
    while not stop.requested:
        failures = 0 if tick() else failures + 1
        now = clock()
        due = max(due + every_seconds, now)
        if failures:
            due = max(due, now + pause_after(failures))
            logger.warning("next attempt in %.0f s", due - now)
        stop.wait(due - now)


def _asked_pause(exc: TransientError) -> float:
    asked = exc.facts.get("retry_after_seconds")
    return asked if isinstance(asked, float) else 0.0


def pause_after(failures: int) -> float:
    """Return the seconds to wait after this number of failures in a row: 1, 2, 4 … and five minutes at most."""
    return min(2.0 ** min(failures - 1, 30), LONGEST_PAUSE_SECONDS)
