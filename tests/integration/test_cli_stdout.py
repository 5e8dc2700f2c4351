"""Where results go when stdout is full, closed, or read by nobody any more."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.site import Site, new_site

COMMANDS = (["--help"], ["run", "--help"], ["model", "show", "--json"])


def ended(command: list[str], redirected: str, folder: Path) -> tuple[int, str]:
    """Run a command behind a shell's redirection; give its exit code and what it wrote to stderr."""
    shell = ["bash", "-c", f'exec "$@" {redirected}', "bash", sys.executable, "-W", "error", "-m", "tidemark", *command]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk_is_said_in_words_and_no_traceback(command: list[str], tmp_path: Path) -> None:
    assert ended(command, ">/dev/full", tmp_path) == (
        3,
        "error: stdout cannot be written: No space left on device\nwhat to do: make room for it, then run again\n",
    )


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_a_reader_that_is_gone_ends_a_command_without_a_word(command: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        words = [sys.executable, "-W", "error", "-m", "tidemark", *command]
        done = subprocess.run(  # noqa: S603 -- our own
            words, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (141, "")


def test_a_run_whose_results_nobody_can_get_has_done_its_work(
    new_database: Callable[..., str], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site: Site = new_site(new_database, postgres, tmp_path)
    monkeypatch.setenv("TIDEMARK_SOURCE_URL", site.source)
    monkeypatch.setenv("TIDEMARK_WAREHOUSE_URL", site.warehouse)
    site.run("init")

    # What is closed is like /dev/null, and no file and no connection gets its number.
    assert ended(["run", "--json"], "<&- >&-", site.folder) == (0, "")
    assert ended(["status", "--json"], ">/dev/full", site.folder)[0] == 3

    assert site.query(
        site.warehouse, "select outcome, exit_code from tidemark.run order by started_at desc limit 1"
    ) == [("ok", 0)]
    assert json.loads(site.run("status", "--json").stdout)["warehouse"]["batch"] == 1
