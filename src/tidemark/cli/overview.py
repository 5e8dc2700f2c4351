"""The page of `tidemark --help`: it looks as if Typer had drawn it, but needs none of what Typer loads for that.

A Markdown parser and a printer of tracebacks would take a third of the page's time. Typer itself draws the pages of the
commands, because it knows more about options.
"""

import inspect
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.console import Console, Group
from rich.highlighter import RegexHighlighter
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from tidemark.cli.output import is_plain

THEME = {"option": "bold cyan", "switch": "bold green", "types_sep": "dim", "usage": "yellow"}


class _Names(RegexHighlighter):
    highlights = (
        r"(^|\W)(?P<switch>\-\w+)(?![a-zA-Z0-9])",
        r"(^|\W)(?P<option>\-\-[\w\-]+)(?![a-zA-Z0-9])",
        r"(?P<usage>Usage: )",
    )


class _Types(RegexHighlighter):
    highlights = (r"^(?P<types_sep>[\[<])", r"(?P<types_sep>[\]>])$")


def show_overview(group: Any, ctx: Any) -> None:  # noqa: ANN401 -- Typer keeps the classes of both to itself
    """Print the purpose of the group, its options, and each command with the first sentence of its help."""
    console = Console(theme=Theme(THEME), highlighter=_Names(), color_system=None if is_plain() else "auto")
    console.print(Padding(_Names()(group.get_usage(ctx)), 1), style="bold")
    first, *rest = inspect.cleandoc(group.help).split("\n\n")
    more = [each for text in rest for each in (Text(""), _prose(text, "dim"))]
    console.print(Padding(Group(_prose(first), *more), (0, 1, 1, 1)))
    shown = [each for each in group.get_params(ctx) if not each.hidden]
    console.print(_panel("Options", _options(shown, ctx)))
    listed = list(group.commands.values())
    width = max(len(each.name) for each in listed)
    for title, commands in groupby(listed, key=lambda each: each.rich_help_panel):
        console.print(_panel(title, _commands(commands, width)))


def _panel(title: str, table: Table) -> Panel:
    return Panel(table, border_style="dim", title=title, title_align="left")


def _options(options: Iterable[Any], ctx: Any) -> Table:  # noqa: ANN401 -- as above
    table = Table(show_header=False, expand=True, box=None, pad_edge=False, padding=(0, 1))
    for ratio in (None, None, None, None, None, 1):
        table.add_column(ratio=ratio)
    for option in options:
        long = ",".join(name for name in option.opts if name.startswith("--"))
        short = ",".join(name for name in option.opts if not name.startswith("--"))
        kind = _Types()(Text(option.display_type_rich(ctx=ctx), "bold yellow"))
        table.add_row(_Names()(long), _Names()(short), "", "", kind, _prose(option.help))
    return table


def _commands(commands: Iterable[Any], width: int) -> Table:
    table = Table(show_header=False, expand=True, box=None, pad_edge=False, padding=(0, 1))
    table.add_column(style="bold cyan", no_wrap=True, width=width)
    table.add_column(ratio=10)
    for each in commands:
        table.add_row(Text(each.name), _prose(inspect.cleandoc(each.help).split("\n\n")[0]))
    return table


def _prose(text: str, style: str = "") -> Text:
    """Join the lines of a paragraph, and show the text between backticks as code."""
    shown = Text(style=style)
    for number, part in enumerate(re.sub(r"\s+", " ", text).split("`")):
        shown.append(part, "markdown.code" if number % 2 else None)
    return shown
