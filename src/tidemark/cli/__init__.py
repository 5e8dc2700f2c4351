"""The command line: `tidemark`.

A command imports what it needs when it runs. DuckDB, delta-rs and boto3 take a second to import, and `--help` needs
none of them.

In: arguments, the environment, `tidemark.toml`.
Out: text or one JSON document on stdout, logs on stderr, an exit code. Nothing imports this room.
Must not know: aws.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile

from typer.exceptions import TyperException

from tidemark.cli.app import app
from tidemark.cli.failures import show_error, show_unexpected, show_usage
from tidemark.cli.logs import configure_logging
from tidemark.cli.privacy import keep_private
from tidemark.errors import TidemarkError

__all__ = ["main"]


def main() -> None:
    """Run the command that this process was started with, and end the process with its exit code."""
    keep_private()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, or that of the error's family."""
    # These flags are found without the parser, because an error in other arguments must be shown in the form that they
    # ask for.
    options = set(takewhile(lambda argument: argument != "--", arguments))
    as_json, verbose = "--json" in options, bool(options & {"--verbose", "-v"})
    configure_logging(verbose=verbose)
    try:
        code = app(list(arguments) or ["--help"], prog_name="tidemark", standalone_mode=False)
    except TidemarkError as exc:
        return show_error(exc, as_json=as_json, verbose=verbose)
    except TyperException as exc:
        return show_usage(exc, as_json=as_json)
    except Exception as exc:  # noqa: BLE001 -- the last resort: a person reads this, not a caller
        return show_unexpected(exc, as_json=as_json, verbose=verbose)
    return int(code or 0)
