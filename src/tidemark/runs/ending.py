"""How a run ended, as the record of runs tells it: without values of rows, whatever the process's messages show."""

from dataclasses import dataclass

from tidemark.disclosure import told_with_kind, visible, with_no_values
from tidemark.errors import (
    ConfigError,
    ContractError,
    DataError,
    StateError,
    TidemarkError,
    TransientError,
    family_of,
    mask_passwords,
)
from tidemark.runs.run import ENDED, OK, UNEXPECTED

LONGEST_MESSAGE = 2000
_FAMILIES = {
    each.exit_code: each.__name__ for each in (ConfigError, TransientError, ContractError, DataError, StateError)
}
_SIGNALS = 128


@dataclass(frozen=True)
class Ending:
    """How a run ended: its exit code, its outcome, and the message of the error."""

    exit_code: int = 0
    outcome: str = OK
    message: str = ""


def ending_of(exc: BaseException) -> Ending:
    """Say how a run ended by an error."""
    if isinstance(exc, TidemarkError):
        return Ending(exc.exit_code, family_of(exc).__name__, shown(exc.message))
    if isinstance(exc, Exception):
        return Ending(1, UNEXPECTED, shown(mask_passwords(told_with_kind(exc))))
    code = getattr(exc, "code", None)
    return ended_by_signal(code if isinstance(code, int) else 1)


def ended_by_signal(exit_code: int) -> Ending:
    """Say how a run ended that a signal ended, by the exit code."""
    return Ending(exit_code, ENDED, f"ended by signal {exit_code - _SIGNALS}" if exit_code > _SIGNALS else "")


def family_of_code(exit_code: int) -> str:
    """Name the family of an exit code, `ok` for 0."""
    return _FAMILIES.get(exit_code, UNEXPECTED) if exit_code else OK


def shown(message: str) -> str:
    """Give a message as it may be kept and sent on: without values of rows, without control codes, not too long."""
    text = visible(with_no_values(message))
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 1]}…"
