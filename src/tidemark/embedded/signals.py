"""Signals that end a run in good order: an exception, put off where one would leave something behind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """While the context lasts, raise KeyboardInterrupt on Ctrl-C and SystemExit on SIGTERM and SIGHUP.

    Only for the main thread, as Python has it.
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
        # DuckDB stops a query when a handler raises, and then raises an error of its own instead.
        if self._received is not None and isinstance(exc, Exception):
            _raise(self._received)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put off what a signal raises until the end of the block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._received is not None:
            _raise(self._received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        # A second one would only come in the way of what the first has set going.
        is_first, self._received = self._received is None, number
        if is_first and not self._is_held:
            _raise(number)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)  # as a shell reports it
