"""Parts of a table are written while others are read: few at a time, and a part that fails keeps nobody waiting."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NoReturn

import pytest

from tidemark.capture.full_table import Writers

AHEAD = 2


def fail() -> NoReturn:
    raise ValueError


def test_a_part_that_fails_makes_room_for_the_next() -> None:
    with ThreadPoolExecutor(max_workers=1) as executor:
        writers = Writers(executor, AHEAD)
        parts = [writers.submit(fail) for _ in range(3 * AHEAD)]

    assert [type(part.exception()) for part in parts] == [ValueError] * 3 * AHEAD


def test_no_more_parts_are_ahead_than_there_is_room_for() -> None:
    begun = Event()

    def wait() -> NoReturn:
        begun.wait()
        raise ValueError

    with ThreadPoolExecutor(max_workers=2) as executor, ThreadPoolExecutor(max_workers=1) as reader:
        writers = Writers(executor, AHEAD)
        for _ in range(AHEAD):
            writers.submit(wait)
        one_more = reader.submit(writers.submit, fail)
        with pytest.raises(TimeoutError):
            one_more.result(timeout=0.1)
        begun.set()
        one_more.result(timeout=10)
