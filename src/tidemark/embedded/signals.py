"""Signals that end a run cleanly: each raises an exception, later where one would leave something behind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While the context lasts, raise KeyboardInterrupt on Ctrl-C and SystemExit on SIGTERM and SIGHUP.

    Only the main thread can use it, because Python handles signals only there.
    """

    def __init__(self) -> None:
        self._is_held = False
        self._received: int | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._receive) for number in ENDING}
        return self

    def __exit__(self, _: object, exc: BaseException | None, traceback: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # When a handler raises, DuckDB stops its query and raises an error of its own instead.
        if self._received is not None and isinstance(exc, Exception):
            _raise(self._received)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay the exception of a signal until the block ends."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._received is not None:
            _raise(self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        # A second exception would only disturb the clean-up that the first one started.
        is_first, self._received = self._received is None, number
        if is_first and not self._is_held:
            _raise(number)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)  # as a shell reports it
