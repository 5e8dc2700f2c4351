"""Signals to a command: one exit code, from its first moment on and whatever becomes of the exception."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tidemark import cli
from tidemark.cli import signals
from tidemark.cli.schedule import attempted
from tidemark.errors import TransientError

# A command that meets a signal at the first import after its start; it is told to ignore SIGHUP, as by nohup.
EARLY = """
import builtins, os, signal, sys
from tidemark import cli
found = builtins.__import__
def importing(name, *rest):
    if name.startswith("typer"):
        builtins.__import__ = found
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.{name})
    return found(name, *rest)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv = ["tidemark", "run"]
builtins.__import__ = importing
cli.main()
"""

# A command that prints, after which a library and a destructor do.
ENDING = """
import atexit, sys
from tidemark import cli
class Kept:
    def __del__(self):
        print("a module was taken apart")
def run(arguments):
    atexit.register(print, "what a library left for the end")
    print("what the command says")
    return 4
kept, cli.run = Kept(), run
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finds_its_handler_before_the_parser_is_imported(number: signal.Signals) -> None:
    script = EARLY.format(name=number.name)

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 -- our own

    assert (ended.returncode, ended.stdout) == (128 + number, "")
    assert ended.stderr.splitlines() == [f"ended by {number.name}: what was not committed is part of nothing"]


def test_little_is_imported_before_the_handler_is_there() -> None:
    script = "import sys; before = set(sys.modules); import tidemark.cli; print(*set(sys.modules) - before)"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 -- our own

    assert {"typing", "pathlib", "re"} & set(ran.stdout.split()) == set()


def test_an_error_in_the_place_of_the_signal_is_neither_shown_nor_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = []

    def work() -> None:
        attempts.append(1)
        # As DuckDB does: its query ends with an error of its own.
        try:
            signals.end(signal.SIGTERM)
        except SystemExit as exc:
            raise TransientError("Query interrupted") from exc

    def app(*_: object, **__: object) -> None:
        attempted(work, name="ingest", attempts=4, wait=lambda _: False)

    monkeypatch.setattr(signals._Received, "number", None)
    monkeypatch.setattr("tidemark.cli.app.app", app)

    assert cli.run(["run", "--json"]) == 128 + signal.SIGTERM
    assert (len(attempts), capsys.readouterr().out) == (1, "")


def test_a_further_signal_ends_the_process_on_the_spot() -> None:
    script = (
        "import os, signal\nfrom tidemark.cli import signals\nsignals.end_on_signals()\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\nexcept SystemExit:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('still here')"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 -- our own

    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, "")


def test_a_command_ends_what_libraries_began_and_leaves_without_taking_modules_apart() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)  # noqa: S603 -- our own

    assert (ended.returncode, ended.stderr) == (4, "")
    assert ended.stdout.splitlines() == ["what the command says", "what a library left for the end"]


def test_what_a_library_leaves_for_a_full_stdout_is_said_too() -> None:
    with Path("/dev/full").open("wb") as full:
        # Without the environment, which may have Python write each line at once.
        ended = subprocess.run([sys.executable, "-E", "-c", ENDING], stdout=full, stderr=subprocess.PIPE, check=False)  # noqa: S603 -- our own

    assert (ended.returncode, ended.stderr) == (3, b"error: stdout cannot be written: No space left on device\n")
