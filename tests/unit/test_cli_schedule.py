"""Trying again and going on, with a clock and a sleep of the test's own."""

import os
import signal
from collections.abc import Callable

import pytest

from tidemark.cli import signals
from tidemark.cli.schedule import Stop, attempted, pause_after, repeated, stopped_by_signals
from tidemark.errors import OvertakenError, StateError, TidemarkError, TransientError


class Clock(Stop):
    """A clock that only waiting moves."""

    def __init__(self, *, end_seconds: float) -> None:
        super().__init__()
        self.now = 0.0
        self.end_seconds = end_seconds

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        self.requested = self.requested or self.now >= self.end_seconds
        return self.requested

    def read(self) -> float:
        return self.now


def failing(times: int, error: TidemarkError | None = None) -> Callable[[], str]:
    left = [error or TransientError("away")] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


def test_work_is_tried_again_after_growing_pauses() -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    got = attempted(failing(3), name="ingest", attempts=4, wait=wait)

    assert got == "done"
    assert pauses == [1, 2, 4]


def test_work_that_gave_way_is_tried_again_after_the_pause_that_its_error_asks_for() -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    gave_way = TransientError("is needed by others", retry_after_seconds=30.0)

    assert attempted(failing(2, gave_way), name="ingest", attempts=4, wait=wait) == "done"
    assert pauses == [30, 30]


def test_work_that_another_run_overtook_is_done_again_at_once() -> None:
    overtaken = OvertakenError("a table was changed at the same time")

    assert attempted(failing(2, overtaken), name="load", attempts=3, wait=lambda _: pytest.fail("waited")) == "done"
    with pytest.raises(OvertakenError):
        attempted(failing(2, overtaken), name="load", attempts=2, wait=lambda _: pytest.fail("waited"))


def test_the_last_attempt_raises() -> None:
    with pytest.raises(TransientError):
        attempted(failing(3), name="ingest", attempts=3, wait=lambda _: False)


def test_nothing_is_tried_again_once_a_stop_is_requested() -> None:
    with pytest.raises(TransientError):
        attempted(failing(1), name="ingest", attempts=9, wait=lambda _: True)


def test_other_errors_are_not_tried_again() -> None:
    def work() -> None:
        raise StateError("ours")

    with pytest.raises(StateError):
        attempted(work, name="load", attempts=9, wait=lambda _: pytest.fail("waited"))


def test_ticks_begin_at_equal_distances() -> None:
    clock = Clock(end_seconds=50)
    began = []

    def tick() -> bool:
        began.append(clock.now)
        clock.now += 3
        return True

    repeated(tick, every_seconds=10, stop=clock, clock=clock.read)

    assert began == [0, 10, 20, 30, 40]


def test_a_missed_tick_is_not_made_up() -> None:
    clock = Clock(end_seconds=60)
    began = []

    def tick() -> bool:
        began.append(clock.now)
        clock.now += 25 if len(began) == 1 else 1
        return True

    repeated(tick, every_seconds=10, stop=clock, clock=clock.read)

    assert began == [0, 25, 35, 45, 55]


def test_the_pauses_grow_while_ticks_fail_and_are_short_again_after_success() -> None:
    clock = Clock(end_seconds=20)
    began = []

    def tick() -> bool:
        began.append(clock.now)
        return len(began) > 4

    repeated(tick, every_seconds=1, stop=clock, clock=clock.read)

    assert began == [0, 1, 3, 7, 15, 16, 17, 18, 19]


def test_a_pause_never_exceeds_five_minutes() -> None:
    assert [pause_after(failures) for failures in (1, 2, 9, 10, 10_000)] == [1, 2, 256, 300, 300]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_to_stop_and_the_second_ends(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(signals._Received, "number", None)

    with stopped_by_signals() as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.wait(60)
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(number)
        assert ended.value.code == signals.exit_code() == 128 + number

    assert signal.getsignal(number) is before
