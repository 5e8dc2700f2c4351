"""The part of docs/commands.md that says what each command takes, out of the command line itself."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from tests.support.written_docs import table
from tidemark.cli.app import app
from tidemark.cli.options import PANEL, PlainOption


def commands_written() -> Iterator[str]:
    """Write every command with its purpose, its arguments and options, and its example."""
    group: Any = typer.main.get_command(app)
    for name in group.commands:
        yield from _command(name, group.commands[name])


def settings_written() -> list[str]:
    """Write the flags that are settings, which every command takes."""
    group: Any = typer.main.get_command(app)
    flags = [each for each in group.params if getattr(each, "rich_help_panel", None) == PANEL]
    return table(["flag", "meaning"], [[f"`{each.opts[0]} {each.metavar}`", _cell(each.help)] for each in flags])


def _command(name: str, command: Any) -> Iterator[str]:  # noqa: ANN401 -- Typer keeps the class of commands to itself
    ctx = command.make_context(name, [], resilient_parsing=True)
    own = [each for each in command.params if not isinstance(each, PlainOption)]
    arguments = [_argument(each, ctx) for each in own if each.param_type_name == "argument"]
    text, _, example = inspect.cleandoc(command.help).partition("Example: ")
    yield from ["", f"## tidemark {name}", "", f"    {' '.join(['tidemark', name, *arguments, '[OPTIONS]'])}"]
    for paragraph in text.strip().split("\n\n"):
        yield from ["", " ".join(paragraph.split())]
    if examples := re.findall(r"`([^`]+)`", example):
        yield from ["", "For example:", "", *(f"    {each}" for each in examples)]
    if own:
        yield from table(["", "meaning", "default"], [_row(each, ctx) for each in own])[:-1]


def _row(each: Any, ctx: Any) -> list[str]:  # noqa: ANN401 -- as above
    if each.param_type_name == "argument":
        return [_span(_argument(each, ctx)), _cell(each.help), ""]
    names = ", ".join(_span(name if each.is_flag else f"{name} {_kind(each, ctx)}") for name in each.opts)
    default = "required" if each.required else "" if each.default in {None, False} else f"`{each.default}`"
    return [names, _cell(each.help), default]


def _argument(each: Any, ctx: Any) -> str:  # noqa: ANN401 -- as above
    word = _kind(each, ctx) + ("…" if each.nargs == -1 else "")
    return word if each.required else f"[{word}]"


def _kind(each: Any, ctx: Any) -> str:  # noqa: ANN401 -- as above
    """Write what stands for a value: its own word, the values that there are, or the kind of value."""
    shown = str(each.metavar or each.display_type_rich(ctx=ctx)).strip("<>")
    kind = shown.removeprefix("list[").removesuffix("]").partition(" ")[0]
    return {"int": "N", "float": "N", "path": "PATH", "str": "TEXT"}.get(kind, shown)


def _span(text: str) -> str:
    """Write a code span for a cell, which cannot hold the sign between cells."""
    return f"`{text.replace('|', '/')}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
