"""Everything that Tidemark raises on purpose, in families by what a person does next.

The family decides the exit code of the command line. So a new error belongs to the family of its remedy, not to the
place where it is raised.
"""

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*):\S*@")
_PASSWORD_OPTION = re.compile(r"(\bpassword\s*=\s*)('(?:\\.|[^'])*'|[^\s&]+)", re.IGNORECASE)
# A Spark Connect server's address has its token behind the first semicolon.
_OPTIONS_OF_SPARK = re.compile(r"(\bsc://[^\s;'\"]*;)[^\s'\"]*", re.IGNORECASE)
_hidden: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Have `mask_passwords` hide these texts from now on, wherever they stand; each is too long to be a usual word."""
    _hidden.update(secrets)


def mask_passwords(text: str) -> str:
    """Return the text with `***` for every password in a URL or a connection string in it, and for what is hidden."""
    text = _PASSWORD_OPTION.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", _OPTIONS_OF_SPARK.sub(r"\1***", text)))
    for secret in _hidden:
        text = text.replace(secret, "***")
    return text


class TidemarkError(Exception):
    """Be the root of all errors that Tidemark raises on purpose.

    `advice` says what to do next and is kept apart from the message, so that a caller may show it on a line of its own.
    The facts (table, key, batch, …) are attributes as well as items of `facts`. A message may quote another program's
    text, and that text may contain a URL, so passwords are masked.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, advice: str = "", **facts: object) -> None:
        message = mask_passwords(message)
        super().__init__(message)
        self.message = message
        self.advice = mask_passwords(advice)
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message}: {self.advice}" if self.advice else self.message

    def __getattr__(self, name: str) -> object:
        # Python calls this only for names that are not ordinary attributes. Unpickling calls it before there are any
        # attributes, so `facts` is looked up in __dict__.
        facts: dict[str, object] = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        error = f"{type(self).__name__!r} has no attribute {name!r}"
        raise AttributeError(error)


class ConfigError(TidemarkError):
    """Say that settings, model or credentials are wrong; `problems` names every one that was found."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, problems: Sequence[str] = (), advice: str = "", **facts: object) -> None:
        super().__init__(message, advice=advice, **facts)
        self.problems: tuple[str, ...] = tuple(map(mask_passwords, problems)) or (self.message,)

    @classmethod
    def of(cls, problems: Sequence[str], *, advice: str = "") -> "ConfigError":
        """Gather several problems, at least one, in one error whose message lists them all."""
        message = problems[0] if len(problems) == 1 else "\n".join([f"{len(problems)} problems:", *problems])
        return cls(message, problems=problems, advice=advice)


class TransientError(TidemarkError):
    """Say that something outside was away, busy or slow, so that the same run may succeed later."""

    exit_code: ClassVar[int] = 3


class ContractError(TidemarkError):
    """Say that a source table changed shape so that the model cannot go on; nothing was written."""

    exit_code: ClassVar[int] = 4


class DataError(TidemarkError):
    """Say that rows break a rule that stops the run, or that a verification found a difference."""

    exit_code: ClassVar[int] = 5


class StateError(TidemarkError):
    """Say that Tidemark's own records disagree; they are never repaired silently."""

    exit_code: ClassVar[int] = 6


class OvertakenError(StateError):
    """Say that another run committed first; this one harmed nothing and need not be run again."""


def contract_error(broken: Sequence[str]) -> ContractError:
    """Make one error of all reasons, at least one, why the model cannot read the source."""
    advice = "nothing was written: bring it back in the source, or mend the model, and run again"
    return ContractError("; ".join(broken), advice=advice, problems=broken)


def family_of(exc: TidemarkError) -> type[TidemarkError]:
    """Give the error's nearest class that this module defines: it tells a person what to do."""
    return next(cls for cls in type(exc).__mro__ if cls.__module__ == __name__)
