"""Signals: how a command ends that somebody asks to end, with one exit code at every moment.

This module imports next to nothing, not even `typing`, because it has to be there before the rest of Tidemark is
imported. A signal that comes earlier ends Python's own start.
"""

import os
import signal

TYPE_CHECKING = False  # as `typing` has it
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2


class _Received:
    """The first signal that asked this process to end."""

    number: int | None = None


def end_on_signals() -> None:
    """From now on end at the first of these signals; the second one ends the process without any clean-up.

    What somebody has this process ignore, such as `nohup`, stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _receive)


def end(number: int) -> "NoReturn":
    """Say that a signal ends the command, and raise what ends it; a further signal ends the process on the spot."""
    if exit_code():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _Received.number = number
    # Not through a logger: its stream may be in the middle of a write, and then it refuses another.
    os.write(_STDERR, f"ended by {signal.Signals(number).name}: what was not committed is part of nothing\n".encode())
    raise SystemExit(128 + number)  # as a shell reports it


def exit_code() -> int:
    """Give the exit code of the signal that ends this process, 0 if there is none.

    Whoever catches an error has to ask: what the handler raises is not always what arrives. DuckDB raises an error of
    its own instead, and a destructor that the signal meets drops it.
    """
    return 0 if _Received.number is None else 128 + _Received.number


def _receive(number: int, _: "FrameType | None") -> None:
    end(number)
