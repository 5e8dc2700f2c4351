"""A picture on a terminal that is painted over in place, and how Ctrl-C ends it."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from tidemark.cli.output import is_seen, out

if TYPE_CHECKING:
    from rich.text import Text

# ECMA-48: the cursor to the first line, erase to the end of the line, erase below, hide and show the cursor.
HOME, ERASE_LINE, ERASE_BELOW, HIDE, SHOW = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[?25l", "\x1b[?25h"


class Screen:
    """The terminal that stdout leads to, from its first line on; the last picture stays when it ends."""

    def __enter__(self) -> Self:
        # What is on the screen scrolls up, so that nothing is painted over that is not ours.
        sys.stdout.write(HIDE + "\n" * out().height)
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.write(SHOW + "\n")
        sys.stdout.flush()

    def paint(self, show: Callable[[], None]) -> None:
        """Paint what `show` prints in place of what is there; what does not fit is cut off below."""
        with out().capture() as captured:
            show()
        rows = laid_out(captured.get(), out().width)[: out().height - 1]
        picture = []
        for row in rows:
            with out().capture() as painted:
                out().print(row, end="", soft_wrap=True)
            picture.append(painted.get())
        sys.stdout.write(HOME + "".join(f"{row}{ERASE_LINE}\n" for row in picture) + ERASE_BELOW)


def laid_out(printed: str, width: int) -> "list[Text]":
    """Give the rows of a terminal that printed text takes, each with its style."""
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    lines = Text.from_ansi(printed.removesuffix("\n")).split(allow_blank=True)
    return [row for line in lines for row in line.wrap(out(), width)] if is_seen() else list(lines)


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the block at once and without an error, unless somebody has this process ignore it."""
    before = signal.getsignal(signal.SIGINT)
    try:
        with suppress(KeyboardInterrupt):
            if before is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            yield
    finally:
        signal.signal(signal.SIGINT, before)
