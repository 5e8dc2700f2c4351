"""Errors as a person sees them: one block on stderr or, with `--json`, one object on stdout."""

from collections.abc import Mapping

from typer.exceptions import TyperException

from tidemark.cli.output import err, masked, print_json
from tidemark.disclosure import in_one_block, told_with_kind, traceback_of
from tidemark.errors import ConfigError, TidemarkError, family_of

UNEXPECTED = 1


def show_error(exc: TidemarkError, *, as_json: bool, verbose: bool = False) -> int:
    """Show an error that Tidemark raised on purpose; return its family's exit code."""
    if verbose:
        _show_traceback(exc)
    facts = {name: value for name, value in exc.facts.items() if not (value is None or value == "")}
    if isinstance(exc, ConfigError) and len(exc.problems) > 1:
        facts["problems"] = list(exc.problems)
    _show(family_of(exc).__name__, exc.message, exc.advice, facts, as_json=as_json)
    return exc.exit_code


def show_usage(exc: TyperException, *, as_json: bool) -> int:
    """Show what is wrong with the command line itself; return the exit code."""
    context = getattr(exc, "ctx", None)
    command = context.command_path if context else "tidemark"
    message = exc.format_message()
    advice = f"`{command} --help` lists the commands and options"
    _show(ConfigError.__name__, message[:1].lower() + message[1:].removesuffix("."), advice, {}, as_json=as_json)
    return ConfigError.exit_code


def show_unexpected(exc: Exception, *, as_json: bool, verbose: bool) -> int:
    """Show an unexpected error; return 1."""
    if verbose:
        _show_traceback(exc)
    advice = "this is a mistake in Tidemark: please report it with the traceback"
    if not verbose:
        advice += ", which the same command with --verbose prints"
    _show("unexpected", told_with_kind(exc), advice, {}, as_json=as_json)
    return UNEXPECTED


def _show(family: str, message: str, advice: str, facts: Mapping[str, object], *, as_json: bool) -> None:
    message, advice = masked(message), masked(advice)
    if as_json:
        print_json({"error": {"family": family, "message": message, "advice": advice, "facts": facts}})
        return
    err().print("error: ", style="bold red", end="")
    err().print(in_one_block(message), markup=False, soft_wrap=True)
    if advice:
        err().print("what to do: ", style="bold", end="")
        err().print(in_one_block(advice), markup=False, soft_wrap=True)


def _show_traceback(exc: BaseException) -> None:
    err().print(masked(traceback_of(exc)), markup=False, soft_wrap=True)
