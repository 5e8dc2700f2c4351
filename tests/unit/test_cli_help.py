"""What `--help` says, and that it costs next to nothing."""

import pytest
import typer

from tests.support.imports import HEAVY, imports_of
from tidemark.cli import run
from tidemark.cli.app import MODULES, app
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


@pytest.mark.parametrize("arguments", [(), ("--help",), ("run", "--help")], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = imports_of(*arguments)

    assert modules & {*HEAVY, "tidemark.pipeline"} == set()
    assert "tidemark.cli.stages" in modules


def test_a_command_imports_no_other_command() -> None:
    modules = imports_of("history", "--help")

    assert modules & {f"tidemark.cli.{name}" for name in MODULES.values()} == {"tidemark.cli.history"}
