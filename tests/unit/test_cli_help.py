"""What `--help` and `--version` say, and that they cost next to nothing."""

import json

import pytest
import typer
import typer.rich_utils  # reads FORCE_COLOR when it is imported, so before any test sets it
from rich.text import Text
from typer.core import TyperGroup

from tests.support.imports import HEAVY, imports_of
from tidemark import __version__
from tidemark.cli import run
from tidemark.cli.app import MODULES, app
from tidemark.settings import NAMES, flag

# What people and schedules call: these, in this order.
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


def test_the_commands_that_people_know_are_there_in_their_order() -> None:
    assert [name for name in listed() if name in COMMANDS] == COMMANDS


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0

    shown = capsys.readouterr().out
    assert [name for name in listed() if f" {name} " not in shown] == []


@pytest.mark.parametrize("width", ["60", "80", "132"])
def test_the_page_of_all_commands_looks_as_typer_would_draw_it(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", True)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)

    assert run(["--help"]) == 0
    ours = capsys.readouterr().out
    with group.make_context("tidemark", ["status"]) as context:
        TyperGroup.format_help(group, context, context.make_formatter())
    theirs = capsys.readouterr().out + "\n"  # which ends the text that the option `--help` prints, here an empty one

    assert "\x1b[1;36m" in ours
    assert painted(ours) == painted(theirs)


def painted(shown: str) -> list[tuple[str, str]]:
    """Return each character that a terminal shows, with how it shows it."""
    text = Text.from_ansi(shown)
    styles = [""] * len(text)
    for span in text.spans:
        styles[span.start : span.end] = [str(span.style)] * (span.end - span.start)
    return list(zip(text.plain, styles, strict=True))


@pytest.mark.parametrize("command", listed())
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
    assert ("markdown_it" in modules) == ("run" in arguments)


def test_a_command_imports_no_other_command() -> None:
    modules = imports_of("history", "--help")

    assert modules & {f"tidemark.cli.{name}" for name in MODULES.values()} == {"tidemark.cli.history"}


@pytest.mark.parametrize("arguments", [("--version",), ("--version", "run"), ("--verbose", "--version")], ids=" ".join)
def test_the_version_is_one_line(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert capsys.readouterr().out == f"tidemark {__version__}\n"


@pytest.mark.parametrize("arguments", [("--version", "--json"), ("--json", "--version")], ids=" ".join)
def test_the_version_is_one_document(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


def test_the_version_imports_nothing_that_it_does_not_need() -> None:
    assert imports_of("--version") & {*HEAVY, "rich", "tidemark.cli.stages", "tidemark.settings"} == set()
