"""A model's warehouse.sql: which of its statements a warehouse still needs, and where one that fails stands.

What can be compared with the warehouse is: tables, indexes, views, functions, comments and rights. Of all statements
but tables and indexes the warehouse keeps a record, so that any other one which is added later is run, and none is run
twice that cannot be.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from tidemark.disclosure import is_worded_by_a_function, told
from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.postgres.connection import detail_of
from tidemark.postgres.queries import query
from tidemark.postgres.statements import EARLY, bare, created, defined, made_type, replaces, split_statements
from tidemark.tables.statements import warehouse_sql
from tidemark.warehouse.fact_views import generated

FILE = "warehouse.sql"
# What says something of an object, and is lost with it.
OF_OBJECTS = re.compile(r"(?:comment\s+on|grant|revoke)\b", re.IGNORECASE)
OF_ALL = re.compile(r"\bon\s+all\b", re.IGNORECASE)
LITERAL = re.compile(r"'(?:[^']|'')*'")
# What a table is compared for: a new column, a new constraint.
ADDS = re.compile(r"alter\s+table\s+[^;]*?\badd\b", re.IGNORECASE)
REPLACEABLE = re.compile(r"create(?=\s+(?:view|function)\b)", re.IGNORECASE)
# The classes of SQLSTATE (PostgreSQL manual, appendix A) that a statement's own text causes, and rights, which it does
# not: 0A not supported, 22 data, 2B dependent objects, 3F no such schema, 42 syntax, names and definitions.
BY_STATEMENT, RIGHTS = ("0A", "22", "2B", "3F", "42"), "42501"
# What a statement makes is there already: a schema, a function, another object, a relation.
IS_THERE = ("42P06", "42723", "42710", "42P07")
AGAIN = "`create or replace`, `if not exists`, or a `drop … if exists` before it"


@dataclass(frozen=True)
class Present:
    """What a warehouse has, by name: its tables, other objects, and the digests of statements that were run.

    `run` is None if nobody may read that record: then all of the statements count as run.
    """

    tables: Collection[str]
    objects: Collection[str]
    run: Collection[str] | None


class Lacking(Protocol):
    """What a warehouse lacks, by name: indexes, views and functions, and what lacks a comment or a right."""

    @property
    def indexes(self) -> Collection[str]: ...  # noqa: D102

    @property
    def again(self) -> Collection[str]: ...  # noqa: D102

    @property
    def undescribed(self) -> Collection[str]: ...  # noqa: D102


@dataclass(frozen=True)
class Needed:
    """The statements that are still needed, in order; `late` ones come after the tables have their new columns."""

    early: Sequence[str]
    late: Sequence[str]
    record: Sequence[str]


def needed(model: Model, present: Present, lacking: Lacking | None) -> Needed:
    """Say which statements are still needed.

    Args:
        model: the model.
        present: what the warehouse has.
        lacking: what it lacks; None for everything.
    """
    statements = list(split_statements(warehouse_sql(model)))
    new = {each for each in statements if present.run is not None and digest(each) not in present.run}
    early = [each for each in statements if _is_needed_early(each, present, is_new=each in new)]
    late = [_over(each, present) for each in _late(model, statements, present, lacking, new)]
    return Needed(early, late, [each for each in statements if each in new and created(each) is None])


def _is_needed_early(statement: str, present: Present, *, is_new: bool) -> bool:
    kind, name = created(statement) or ("", "")
    if kind == "table":
        return name not in present.tables
    return bool(EARLY.match(bare(statement))) and is_new and made_type(statement) not in present.objects


def _late(
    model: Model, statements: Sequence[str], present: Present, lacking: Lacking | None, new: Collection[str]
) -> Iterator[str]:
    made = [name for kind, name in filter(None, map(created, statements)) if kind == "table"]
    described = _describing(model, statements, lacking) if lacking else set()
    for statement in statements:
        kind, name = created(statement) or defined(statement) or ("", "")
        if kind == "table" or EARLY.match(bare(statement)):
            continue
        if lacking is None:
            is_needed = True
        elif kind:
            # What these make was compared, so a text that only reads otherwise changes nothing.
            is_needed = name in (lacking.indexes if kind == "index" else lacking.again)
        else:
            subject = _subject(statement, made)
            is_needed = subject is not None and subject not in present.tables
            is_needed |= statement in described or (statement in new and not ADDS.match(bare(statement)))
        if is_needed:
            yield statement


def _describing(model: Model, statements: Sequence[str], lacking: Lacking) -> set[str]:
    """Find the statements that give something its comment and its rights; all, if it is named in none of them."""
    telling = [each for each in statements if OF_OBJECTS.match(bare(each))]
    found = {each for each in telling for name in (*lacking.undescribed, *lacking.again) if _named(each, name)}
    found |= {each for each in telling if lacking.undescribed and OF_ALL.search(bare(each))}
    own = {each.name for each in generated(model)}
    is_named = all(name in own or any(_named(each, name) for each in found) for name in lacking.undescribed)
    return found if is_named else set(telling)


def _subject(statement: str, tables: Sequence[str]) -> str | None:
    """Give the first of the tables that a statement names."""
    places = {name: found.start() for name in tables if (found := _named(statement, name))}
    return min(places, key=lambda name: places[name], default=None)


def _named(statement: str, name: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", LITERAL.sub("''", bare(statement)), re.IGNORECASE)


def _over(statement: str, present: Present) -> str:
    """Have a statement replace the view or function that it makes, if that is there."""
    made = defined(statement)
    if made is None or made[1] not in present.objects or replaces(statement):
        return statement
    return REPLACEABLE.sub("create or replace", bare(statement), count=1)


def digest(statement: str) -> str:
    """Give what stands for a statement in the record; spaces and the comments before it do not count."""
    return hashlib.sha256(" ".join(bare(statement).split()).encode()).hexdigest()


def recorded(statements: Sequence[str]) -> list[str]:
    """Write the statement that records others, for a person to run as well; none for none."""
    if not statements:
        return []
    rows = [sql.SQL("({}, {})").format(digest(each), " ".join(bare(each).split())[:100]) for each in statements]
    return [query("warehouse", "record_statements", records=sql.SQL(", ").join(rows)).as_string()]


@contextmanager
def located(model: Model, statement: str) -> Iterator[None]:
    """Turn PostgreSQL's error about a statement into a ConfigError that says where in the model the fault is."""
    try:
        yield
    except psycopg.Error as exc:
        code = exc.sqlstate or ""
        if not code.startswith(BY_STATEMENT) or code == RIGHTS:
            raise
        message = f"{_place(model, statement, exc)}: {told(exc)}"
        if detail := detail_of(exc):
            message += f" ({detail})"
        hint = "" if is_worded_by_a_function(exc) else exc.diag.message_hint or ""
        if code in IS_THERE:
            hint = f"write it so that it can run again: {AGAIN}"
        elif code.startswith("2B") or "view or rule" in message:
            hint = "drop what depends on it, run tidemark init, and make it again"
        raise ConfigError(message, advice=f"{hint or 'mend it there'}; nothing was changed", sqlstate=code) from exc


def _place(model: Model, statement: str, exc: psycopg.Error) -> str:
    start = model.warehouse_sql.find(statement)
    if start < 0:
        return f"{' '.join(bare(statement).split())[:100]!r}, which follows from the model {model.name}"
    at = start + int(exc.diag.statement_position or len(statement) - len(bare(statement)) + 1) - 1
    line = model.warehouse_sql.count("\n", 0, at) + 1
    return f"{model.directory / FILE}, line {line}"
