"""The commands by name, in the order in which `tidemark --help` lists them."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from tidemark import __version__
from tidemark.cli.options import TidemarkCommand, TidemarkGroup, invocation
from tidemark.cli.output import print_json

# The groups of `tidemark --help`, and in each the commands with the module of this room that has their function. It is
# imported when the command is run or listed.
GROUPS = {
    "Pipeline": {
        "run": "stages",
        "ingest": "stages",
        "transform": "stages",
        "load": "stages",
    },
    "Look": {
        "status": "status",
        "verify": "verify",
        "history": "history",
        "sql": "sql",
        "dashboard": "dashboard",
    },
    "Repair": {
        "backfill": "backfill",
        "quarantine": "quarantine",
        "rebuild": "rebuild",
        "compact": "compact",
    },
    "Set up": {
        "demo": "demo",
        "model": "model",
        "init": "init",
        "doctor": "doctor",
        "catalog": "catalog",
        "generate": "generate",
    },
}
MODULES = {name: module for commands in GROUPS.values() for name, module in commands.items()}


class Commands(Mapping[str, Any]):
    """The commands by name; each is made when it is first asked for."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 -- Typer keeps the class of commands to itself
        return _made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class LateGroup(TidemarkGroup):
    """The group of all commands; running one command imports no other."""

    def __init__(self, *args: Any, commands: object = None, **rest: Any) -> None:  # noqa: ANN401 -- passed on
        del commands
        super().__init__(*args, **rest)
        self.commands = Commands()  # type: ignore[assignment]  # Typer only reads it

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- as above
        """Run the command, or print the version where that is asked for, whatever else is."""
        return _show_version(ctx) if ctx.params["version"] else super().invoke(ctx)


app = typer.Typer(cls=LateGroup, add_completion=False, rich_markup_mode="markdown")


@app.callback()
def tidemark(*, version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    """Move a PostgreSQL database into a data warehouse and keep the full history of its facts.

    Every command takes the settings as flags (`tidemark run --help` lists them), before or after its name.

    Exit codes: 0 success, 2 configuration, 3 something was away or busy, 4 the source changed shape, 5 rows break a
    rule, 6 Tidemark's own records disagree or another run was faster, 7 much was set aside (only with
    --fail-on-quarantine), 1 anything unexpected. A signal ends a command with 128 and its number.
    """
    del version  # the group has read it


def _show_version(ctx: typer.Context) -> None:
    if invocation(ctx).as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"tidemark {__version__}")


@cache
def _made(name: str) -> Any:  # noqa: ANN401 -- as above
    module = import_module(f"tidemark.cli.{MODULES[name]}")
    group = next(group for group, commands in GROUPS.items() if name in commands)
    carrier = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    carrier.command(name, cls=TidemarkCommand, rich_help_panel=group)(getattr(module, name))
    return typer.main.get_command(carrier)
