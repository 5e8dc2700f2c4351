"""The command line: `tidemark`.

A command imports what it needs when it runs. DuckDB, delta-rs and boto3 take a second to import, and `--help` needs
none of them. Even the parser comes late, so that a signal finds its handler from the first moment on.

In: arguments, the environment, `tidemark.toml`.
Out: text or one JSON document on stdout, logs on stderr, an exit code. Nothing imports this room.
Must not know: aws.
"""

import atexit
import os
import sys
from collections.abc import Sequence
from itertools import takewhile

from tidemark.cli import signals
from tidemark.cli.stdout import take_hold_of_stdout

__all__ = ["main"]


def main() -> None:
    """Run the command that this process was started with, and end the process with its exit code."""
    signals.end_on_signals()
    codes: list[int] = []
    # What is registered first is called last, when all that the libraries registered is done.
    atexit.register(_leave, codes)
    from tidemark.cli.privacy import keep_private  # noqa: PLC0415 -- see above

    keep_private()
    take_hold_of_stdout()
    codes.append(run(sys.argv[1:]))
    sys.exit(codes[0])


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0, that of the error's family, or that of the signal that ended it."""
    from typer import Exit  # noqa: PLC0415 -- see above
    from typer.exceptions import TyperException  # noqa: PLC0415

    from tidemark.cli.app import app  # noqa: PLC0415
    from tidemark.cli.failures import show_error, show_unexpected, show_usage  # noqa: PLC0415
    from tidemark.cli.logs import configure_logging  # noqa: PLC0415
    from tidemark.cli.output import set_manner  # noqa: PLC0415
    from tidemark.errors import TidemarkError  # noqa: PLC0415

    # These flags are found without the parser, because an error in other arguments must be shown in the form that they
    # ask for.
    options = set(takewhile(lambda argument: argument != "--", arguments))
    as_json, verbose = "--json" in options, bool(options & {"--verbose", "-v"})
    quiet = bool(options & {"--quiet", "-q"})
    set_manner(quiet=quiet, plain="--no-color" in options)
    configure_logging(verbose=verbose, quiet=quiet)
    try:
        code = app(list(arguments) or ["--help"], prog_name="tidemark", standalone_mode=False)
        sys.stdout.flush()
    except TidemarkError as exc:
        # What keeps results from stdout would keep this from there, too.
        as_json = as_json and exc.facts.get("place") != "stdout"
        return signals.exit_code() or show_error(exc, as_json=as_json, verbose=verbose)
    except Exit as exc:
        return signals.exit_code() or exc.exit_code
    except TyperException as exc:
        return signals.exit_code() or show_usage(exc, as_json=as_json)
    except Exception as exc:  # noqa: BLE001 -- the last resort: a person reads this, not a caller
        return signals.exit_code() or show_unexpected(exc, as_json=as_json, verbose=verbose)
    return signals.exit_code() or int(code or 0)


def _leave(codes: Sequence[int]) -> None:
    """Leave at once where a command gave its exit code: to take each module apart would cost as much as `--help`."""
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (AttributeError, OSError, ValueError):
        # Closed: Python has its own words and its own code for that.
        return
    except Exception as exc:  # noqa: BLE001 -- those of stdout.py, and they have an exit code
        # No command leaves anything in a buffer, but a library may.
        os.write(2, f"error: {getattr(exc, 'message', '')}\n".encode())
        os._exit(getattr(exc, "exit_code", 1))
    if codes:
        os._exit(codes[0])
