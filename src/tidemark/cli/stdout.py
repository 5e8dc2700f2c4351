"""Results on the descriptor of stdout, and what is said, for every command, if they cannot be written there."""

import errno
import io
import os
import sys

STDIN, STDOUT, STDERR = 0, 1, 2
# As a shell reports a command whose reader is gone.
READER_GONE = 128 + 13


class _Stdout(io.FileIO):
    """The descriptor of stdout; a write that fails says so in an error of ours, and what follows is let go."""

    def write(self, block: bytes, /) -> int:  # type: ignore[override]  # `typing` comes late, and with it Buffer
        """Write a block."""
        try:
            return super().write(block)
        except OSError as exc:
            # What is left in buffers is written at the end, and would fail again.
            _open_nothing(STDOUT)
            if exc.errno == errno.EPIPE:
                from typer import Exit  # noqa: PLC0415 -- the parser comes late

                # A reader that has enough, such as head, is no error.
                raise Exit(READER_GONE) from exc
            from tidemark.errors import TransientError  # noqa: PLC0415 -- as above

            message = f"stdout cannot be written: {exc.strerror}"
            raise TransientError(message, advice="make room for it, then run again", place="stdout") from exc


def take_hold_of_stdout() -> None:
    """Open what whoever started this closed, so that no file of ours gets its number, and watch stdout.

    A closed stdout is one that nobody reads, like /dev/null.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            _open_nothing(number)
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115 -- for as long as we live
    if sys.stderr is None:
        sys.stderr = open(STDERR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 -- as above
    before = sys.stdout
    raw = _Stdout(STDOUT, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else "utf-8",
        errors=before.errors if before else None,
        line_buffering=raw.isatty(),
        # PYTHONUNBUFFERED
        write_through=getattr(before, "write_through", False),
    )


def _open_nothing(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
