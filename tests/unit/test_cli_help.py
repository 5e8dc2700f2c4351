"""What `--help` says, and that it costs next to nothing."""

import json
import subprocess
import sys

import pytest
import typer

from tidemark.cli import run
from tidemark.cli.app import app
from tidemark.settings import NAMES, flag

COMMANDS = [
    "demo",
    "run",
    "ingest",
    "transform",
    "load",
    "backfill",
    "status",
    "verify",
    "history",
    "quarantine",
    "rebuild",
    "compact",
    "init",
    "doctor",
    "generate",
]
HEAVY = ["boto3", "botocore", "deltalake", "duckdb", "psycopg", "rich.progress"]


def listed() -> list[str]:
    group = typer.main.get_command(app)
    return list(getattr(group, "commands", {}))


def test_the_commands_are_those_that_are_built() -> None:
    assert listed() == COMMANDS


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0

    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_the_shared_flags(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0

    shown = capsys.readouterr().out
    assert f"Example: tidemark {command}" in shown
    assert [name for name in (*map(flag, NAMES), "--json", "--verbose") if name not in shown] == []


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import json, sys\nfrom tidemark.cli import run\n"
        "code = run(['run', '--help'])\nprint(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)  # noqa: S603

    code, modules = json.loads(done.stderr)
    assert code == 0
    assert [name for name in HEAVY if name in modules] == []
