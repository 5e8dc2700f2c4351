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
from tidemark.cli.app import GROUPS, MODULES, app
from tidemark.settings import NAMES, flag

# What people and schedules call: these, in this order.
COMMANDS = [
    "run",
    "ingest",
    "transform",
    "load",
    "status",
    "verify",
    "history",
    "backfill",
    "quarantine",
    "rebuild",
    "compact",
    "demo",
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


def test_help_lists_the_commands_in_groups(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # so that the help of each has one line
    assert run(["--help"]) == 0

    shown = [line.strip("╭╮│╰╯─ ").partition(" ")[0] for line in capsys.readouterr().out.splitlines()]
    found = [word for word in shown if word in {*MODULES, *(group.partition(" ")[0] for group in GROUPS)}]
    assert found == [word for group, names in GROUPS.items() for word in (group.partition(" ")[0], *names)]


# On a narrower page Typer cuts the names of options.
@pytest.mark.parametrize("width", ["72", "80", "132"])
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
    shared = (*map(flag, NAMES), "--json", "--verbose", "--quiet", "--no-color")
    assert [name for name in shared if name not in shown] == []


@pytest.mark.parametrize("arguments", [("--no-color", "--help"), ("--no-color", "run", "--help"), ("run", "--help")])
def test_help_has_colours_unless_somebody_wants_none(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", True)

    assert run(list(arguments)) == 0

    assert ("\x1b[" in capsys.readouterr().out) == ("--no-color" not in arguments)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("run", "--help")], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    modules = imports_of(*arguments)

    assert modules & {*HEAVY, "tidemark.pipeline", "tidemark.settings"} == set()
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
