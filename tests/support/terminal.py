"""A terminal on which a command runs: 24 lines of 80 columns, and all that the command writes to it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LINES, COLUMNS = 24, 80
PATIENCE_SECONDS = 60


class Terminal:
    """A command that runs on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], controller: int) -> None:
        self.process = process
        self._controller = controller
        self.written = ""

    def read_until(self, *words: str) -> str:
        """Wait until the command has written all of these, and return all that it wrote."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(each in self.written for each in words):
            assert time.monotonic() < deadline, self.written
            assert self._read(), f"the command ended without {words}:\n{self.written}"
        return self.written

    def ended(self, code: int = 0) -> str:
        """Wait until the command ends with this code, and return all that it wrote."""
        while self._read():
            pass
        assert self.process.wait(PATIENCE_SECONDS) == code, self.written
        return self.written

    def _read(self) -> bool:
        try:
            block = os.read(self._controller, 65_536)
        except OSError:  # so Linux says that nobody has the terminal open any more
            return False
        self.written += block.decode()
        return bool(block)


@contextmanager
def on_terminal(
    arguments: Sequence[str], folder: Path, settings: Mapping[str, str], *, kind: str = "xterm-256color"
) -> Iterator[Terminal]:
    """Start `tidemark` on a terminal; whatever is left of it is killed at the end."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(  # noqa: S603 -- our own interpreter
        [sys.executable, "-W", "error", "-m", "tidemark", *arguments],
        cwd=folder,
        env={**os.environ, "TERM": kind, **settings},  # noqa: TID251 -- for the child, as a shell would
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        with process:
            try:
                yield Terminal(process, controller)
            finally:
                process.kill()
    finally:
        os.close(controller)


def screen_of(written: str) -> list[str]:
    """Return the lines that a terminal shows after this was written to it; of escapes it knows those that we use."""
    screen = _Screen()
    for count, verb, letters in re.findall(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n]|[^\x1b\r\n]+)", written):
        screen.obey(verb, count) if verb else screen.write(letters)
    return [line.rstrip() for line in (screen.lines[screen.top :] + [""] * LINES)[:LINES]]


class _Screen:
    """What a terminal shows: its lines, those that scrolled away too, and where the cursor is."""

    def __init__(self) -> None:
        self.lines, self.top, self.row, self.column = [""], 0, 0, 0

    def write(self, letters: str) -> None:
        if letters == "\r":
            self.column = 0
        elif letters == "\n":
            self.row += 1
            self.lines += [""] * (self.row + 1 - len(self.lines))
            self.top = max(self.top, self.row - LINES + 1)
        else:
            line, end = f"{self.lines[self.row]:<{self.column}}", self.column + len(letters)
            self.lines[self.row] = line[: self.column] + letters + line[end:]
            self.column = end

    def obey(self, verb: str, count: str) -> None:
        if verb == "H":
            self.row, self.column = self.top, 0
        elif verb == "A":
            self.row -= int(count or 1)
        elif verb in "JK":
            self.lines[self.row] = "" if count == "2" else self.lines[self.row][: self.column]
            if verb == "J":
                del self.lines[self.row + 1 :]
        else:
            assert verb in "mhl", verb
