"""What a person's own query gives: columns, and rows whose values are text as the database itself writes them.

So a number of a hundred digits, `infinity` and a day before Christ come out as they are, whatever Python has types for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tidemark.errors import ConfigError

INTEGERS = frozenset({"smallint", "integer", "bigint"})
# As DuckDB calls them.
INTEGERS |= {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
INTEGERS |= {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
NUMBERS = re.compile(r"(numeric|decimal)\b|(real|float|double precision|double)$", re.IGNORECASE)
ONLY_READS = "only what reads is run here, such as select, values, table or explain"

# A value of PostgreSQL or DuckDB as text; None is null.
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class AnswerColumn:
    """A column of an answer, with its type as the database calls it."""

    name: str
    type: str

    @property
    def is_integer(self) -> bool:
        """Say whether its values are whole numbers."""
        return self.type in INTEGERS

    @property
    def is_boolean(self) -> bool:
        """Say whether its values are true or false."""
        return self.type.lower() == "boolean"

    @property
    def is_number(self) -> bool:
        """Say whether its values are numbers of any kind."""
        return self.is_integer or bool(NUMBERS.match(self.type))


@dataclass(frozen=True)
class Answer:
    """What a query gives; its rows come from the database as they are asked for."""

    columns: tuple[AnswerColumn, ...]
    rows: Iterator[Row]


@dataclass(frozen=True)
class Position:
    """Where a statement has its mistake, both counted from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, statement: str, at: int) -> "Position":
        """Give the position of a statement's character, which is counted from 1."""
        before = statement[: at - 1]
        return cls(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


def refused(what: str, said: str, *, position: Position | None, advice: str = "", **facts: Any) -> ConfigError:  # noqa: ANN401 -- as the error takes them
    """Say that a database refuses a person's own statement, in the database's words."""
    shown = f" ({position})" if position else ""
    known: dict[str, Any] = {"line": position.line, "column": position.column} if position else {}
    return ConfigError(f"{what} refuses the statement: {said}{shown}", advice=advice or "mend it", **known, **facts)


def encoded(statement: str) -> bytes:
    """Give a statement as UTF-8; ConfigError for what is no text, or what a database would take for its end."""
    if "\0" in statement:
        raise ConfigError("the statement holds a NUL, at which a database would end it", advice="take it out")
    try:
        return statement.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError("the statement is no text in UTF-8", advice="write it in UTF-8") from exc


def without_parameters(what: str, count: int) -> None:
    """Raise a ConfigError if a statement has parameters, for which there are no values here."""
    if count:
        raise refused(what, "it has parameters such as $1", position=None, advice="write their values into it")


def require_one(what: str, count: int) -> None:
    """Raise a ConfigError unless there is one statement."""
    if count > 1:
        message = f"expected one statement, got {count} with ; between them: {what} was asked nothing"
        raise ConfigError(message, advice="give each to a command of its own")
    if not count:
        raise ConfigError("expected a statement, got nothing", advice='tidemark sql "select 1"')
