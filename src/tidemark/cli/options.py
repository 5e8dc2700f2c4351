"""The flags that every command has, before or after its name: the settings, and how to print.

They are declared once, as the signature of a command that nobody calls. Typer's context carries their values, so that
no command's own signature repeats them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer._completion_classes import completion_init
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from tidemark.cli.output import is_plain
from tidemark.cli.privacy import share_with_group
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline
    from tidemark.settings import Settings

GIVEN = "tidemark.given"
# What an option means that may stand without its value.
BARE = {"--watch": "2", "--install-completion": "the one in use", "--show-completion": "the one in use"}
PANEL = "Settings (also as TIDEMARK_… in the environment, or in tidemark.toml)"


class PlainOption(TyperOption):
    """An option whose value is text or true, as it comes from the command line, or absent.

    Typer would load pydantic to convert the value, even where the option is absent: a tenth of a second for nothing.
    """

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401 -- Typer keeps the class of contexts to itself
        """Pass the value on as it is."""
        return value if self.callback is None else self.callback(ctx, self, value)


class OwnOption(TyperOption):
    """An option of one command: a value from the command line is converted, an absent one is as it should be.

    Typer would load pydantic for both.
    """

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401 -- as above
        """Pass a number or nothing on as it is, if it is the default; convert anything else."""
        is_absent = (value is None or type(value) is int) and value is self.default
        is_single = not (self.required or self.multiple or self.callback)
        return value if is_absent and is_single else super().process_value(ctx, value)


class OwnArgument(TyperArgument):
    """An argument: text is as it should be. Typer would load pydantic for it."""

    def process_value(self, ctx: Any, value: Any) -> Any:  # noqa: ANN401 -- as above
        """Pass a text on as it is, if one is expected; convert anything else."""
        is_text = self.type_descriptor.annotation is str and isinstance(value, str) and self.callback is None
        return value if is_text else super().process_value(ctx, value)


def _plain(option: Any) -> Any:  # noqa: ANN401 -- an option, which Typer makes of no other class than its own
    option.__class__ = PlainOption
    return option


def _remember(ctx: typer.Context, param: typer.CallbackParam, value: object) -> object:
    if value not in {None, False}:
        ctx.meta.setdefault(GIVEN, {})[param.name] = value
    return value


def _flag(*names: str, text: str) -> Any:  # noqa: ANN401 -- Typer's own word for it
    return typer.Option(*names, help=text, callback=_remember, expose_value=False)


def _setting(metavar: str, text: str) -> Any:  # noqa: ANN401 -- as above
    return typer.Option(help=text, metavar=metavar, rich_help_panel=PANEL, callback=_remember, expose_value=False)


def _shared(
    *,
    as_json: Annotated[bool, _flag("--json", text="Print one JSON document; logs stay on stderr.")] = False,
    verbose: Annotated[bool, _flag("--verbose", "-v", text="Log more, and show tracebacks.")] = False,
    quiet: Annotated[
        bool, _flag("--quiet", "-q", text="Print only errors, and what --json or --csv asks for.")
    ] = False,
    no_color: Annotated[bool, _flag("--no-color", text="Print without colours, as with NO_COLOR=1.")] = False,
    source_url: Annotated[str | None, _setting("URL", "postgresql://… of the source.")] = None,
    warehouse_url: Annotated[str | None, _setting("URL", "postgresql://… of the warehouse.")] = None,
    source_secret: Annotated[str | None, _setting("ID", "Secrets Manager id, instead of the source's URL.")] = None,
    warehouse_secret: Annotated[str | None, _setting("ID", "Secrets Manager id, instead of the warehouse's.")] = None,
    mask_salt: Annotated[str | None, _setting("TEXT", "Secret that goes into each sha256 of a mask.")] = None,
    mask_salt_secret: Annotated[str | None, _setting("ID", "Secrets Manager id, instead of the salt itself.")] = None,
    ingestion: Annotated[str | None, _setting("PLACE", "s3://bucket/prefix or a directory: the change log.")] = None,
    processed: Annotated[str | None, _setting("PLACE", "s3://bucket/prefix or a directory: the star.")] = None,
    pointer: Annotated[str | None, _setting("PLACE", "ssm:/path or a file: how far polls came.")] = None,
    model: Annotated[str | None, _setting("MODEL", "A model: its directory or its name, or mirror.")] = None,
    schemas: Annotated[str | None, _setting("NAMES", "The schemas that a mirror copies: public,crm.")] = None,
    include: Annotated[str | None, _setting("NAMES", "The tables that a mirror copies: film_*,crm.customer.")] = None,
    exclude: Annotated[str | None, _setting("NAMES", "What it leaves out: log_*,public.staff.password.")] = None,
    engine: Annotated[
        str | None, _setting("ENGINE", "What runs the model's SELECTs: duckdb, sail, spark, sc://…, auto:….")
    ] = None,
    engine_secret: Annotated[str | None, _setting("ID", "Secrets Manager id, instead of the engine's address.")] = None,
    lag: Annotated[str | None, _setting("TIME", "Safety margin below the watermark, such as 5s.")] = None,
    yield_after: Annotated[str | None, _setting("TIME", "How long others may wait for a lock of ours, or off.")] = None,
    workers: Annotated[str | None, _setting("COUNT", "How many sessions read one table of the source.")] = None,
    memory_limit: Annotated[str | None, _setting("SIZE", "Memory that the engine may use, such as 1GB.")] = None,
    sslrootcert: Annotated[str | None, _setting("FILE", "Authorities that prove the servers, or system.")] = None,
    dashboard_token: Annotated[str | None, _setting("TEXT", "What a browser has to know to see the pages.")] = None,
    dashboard_page: Annotated[str | None, _setting("BOOL", "true: each load writes the dashboard as one page.")] = None,
    show_values: Annotated[str | None, _setting("BOOL", "true: errors and logs quote the values of rows.")] = None,
    freshness: Annotated[str | None, _setting("TIME", "How old the warehouse may be before it is late.")] = None,
    webhook_url: Annotated[str | None, _setting("URL", "https://… that is told of failures and recoveries.")] = None,
    webhook_secret: Annotated[str | None, _setting("ID", "Secrets Manager id, instead of the webhook's URL.")] = None,
) -> None:
    pass


def _install(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
    from typer.completion import install_callback  # noqa: PLC0415 -- only these two need it

    try:
        install_callback(cast("Any", ctx), cast("Any", param), _shell(value))
    except OSError as exc:
        message = f"the completion cannot be installed: {exc}"
        raise ConfigError(message, advice="`tidemark --show-completion` prints it, to be put where it can lie") from exc


def _show(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
    from typer.completion import show_callback  # noqa: PLC0415 -- as above

    show_callback(cast("Any", ctx), cast("Any", param), _shell(value))


def _shell(value: str | None) -> str | bool | None:
    return True if value == BARE["--show-completion"] else value


def _completing(text: str, callback: Any) -> Any:  # noqa: ANN401 -- as above
    return typer.Option(help=text, metavar="[SHELL]", callback=callback, expose_value=False)


def _of_completion(
    *,
    install_completion: Annotated[
        str | None, _completing("Have the shell complete commands and options.", _install)
    ] = None,
    show_completion: Annotated[str | None, _completing("Print the script that does that.", _show)] = None,
) -> None:
    pass


def _parameters_of(carried: Callable[..., None]) -> list[Any]:
    carrier = typer.Typer(add_completion=False)
    carrier.command()(carried)
    return [_plain(option) for option in typer.main.get_command(carrier).params]


def _shared_parameters() -> list[Any]:
    return _parameters_of(_shared)


# One set for all commands: making a set for each command costs more than the rest of `--help`.
_parameters_of_commands = cache(_shared_parameters)


def _with_values(arguments: Sequence[str]) -> Iterator[str]:
    """Give the arguments with a value behind each option of `BARE` that has none."""
    for at, argument in enumerate(arguments):
        yield argument
        if argument == "--":
            yield from arguments[at + 1 :]
            return
        if argument in BARE and (at + 1 == len(arguments) or arguments[at + 1].startswith("-")):
            yield BARE[argument]


class TidemarkCommand(TyperCommand):
    """A command that also takes the shared flags."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **rest: Any) -> None:  # noqa: ANN401 -- passed on
        for option in params or []:
            # What has another class is left as it is.
            if type(option) is TyperOption:
                option.__class__ = OwnOption
            elif type(option) is TyperArgument:
                option.__class__ = OwnArgument
        # An option of the command's own goes before a shared one of the same name.
        own = {option.name for option in params or []}
        shared = [option for option in _parameters_of_commands() if option.name not in own]
        super().__init__(*args, params=[*(params or []), *shared], **rest)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- as above
        """Parse the arguments."""
        return super().parse_args(ctx, list(_with_values(args)))

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ANN401 -- as above
        """Return `--help`."""
        return _plain(super().get_help_option(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 -- as above
        """Have Typer print the page of the command."""
        from typer import rich_utils  # noqa: PLC0415 -- only this page needs Rich

        before = rich_utils.COLOR_SYSTEM
        try:
            rich_utils.COLOR_SYSTEM = None if is_plain() else before
            super().format_help(ctx, formatter)
        finally:
            rich_utils.COLOR_SYSTEM = before


class TidemarkGroup(TyperGroup):
    """The group of all commands, which takes the shared flags before a command's name."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **rest: Any) -> None:  # noqa: ANN401 -- passed on
        own = [*_shared_parameters(), *_parameters_of(_of_completion)]
        super().__init__(*args, params=[*(params or []), *own], **rest)
        completion_init()
        for option in self.params:
            # The help of each command lists these flags. In the help of the group they would come before the commands.
            if isinstance(option, PlainOption) and option.rich_help_panel == PANEL:
                option.hidden = True

    def get_help_option(self, ctx: Any) -> Any:  # noqa: ANN401 -- as above
        """Return `--help`."""
        return _plain(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 -- as above
        """Parse the arguments."""
        return super().parse_args(ctx, list(_with_values(args)))

    def format_help(self, ctx: Any, formatter: object) -> None:  # noqa: ANN401 -- as above
        """Print the page of `tidemark --help`."""
        from tidemark.cli.overview import show_overview  # noqa: PLC0415 -- only this page needs Rich

        del formatter
        show_overview(self, ctx)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 -- as above
        """Name the commands in the order in which they were added."""
        del ctx
        return list(self.commands)


@dataclass(frozen=True)
class Invocation:
    """The values of the shared flags on one command line."""

    flags: dict[str, str]
    as_json: bool
    verbose: bool

    @cached_property
    def settings(self) -> "Settings":
        """Read the settings from flags, environment and file; ConfigError names everything that is wrong with them."""
        from tidemark.settings import load  # noqa: PLC0415 -- `--help` does without

        return load(self.flags, directory=Path.cwd())

    def pipeline(self) -> "Pipeline":
        """Wire a pipeline from the settings."""
        from tidemark.pipeline import wire  # noqa: PLC0415 -- as above

        share_with_group(self.settings)
        return wire(self.settings)


def invocation(ctx: typer.Context) -> Invocation:
    """Return the values of the shared flags."""
    given = dict(ctx.meta.get(GIVEN, {}))
    as_json, verbose = bool(given.pop("as_json", False)), bool(given.pop("verbose", False))
    given.pop("no_color", None)
    if given.pop("quiet", False) and verbose:
        raise ConfigError("--quiet and --verbose are both given", advice="choose one of them")
    return Invocation(given, as_json=as_json, verbose=verbose)
