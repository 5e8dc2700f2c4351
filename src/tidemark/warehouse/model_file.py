"""A model's warehouse.sql: which of its statements a warehouse still needs, and where one that fails stands.

Tables and indexes are looked for by name. Of all other statements the warehouse keeps a record, so that one which is
added later is run, and none is run twice that cannot be.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tidemark.disclosure import told
from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.postgres.connection import detail_of
from tidemark.postgres.queries import query
from tidemark.postgres.statements import bare, created, defined, made_type, made_view, replaces, split_statements

FILE = "warehouse.sql"
# What a table may need before it can be made.
EARLY = re.compile(r"create\s+(?:type|domain|extension|schema|sequence|collation|cast|operator)\b", re.IGNORECASE)
# What says something of a view, and is lost with it.
OF_VIEWS = re.compile(r"(?:comment\s+on|grant|revoke)\b", re.IGNORECASE)
# The classes of SQLSTATE (PostgreSQL manual, appendix A) that a statement's own text causes, and rights, which it does
# not: 0A not supported, 22 data, 2B dependent objects, 3F no such schema, 42 syntax, names and definitions.
BY_STATEMENT, RIGHTS = ("0A", "22", "2B", "3F", "42"), "42501"


@dataclass(frozen=True)
class Present:
    """What a warehouse has, by name: its tables, indexes, other objects, and the digests of statements that were run.

    `run` is None if nobody may read that record: then all of the statements count as run.
    """

    tables: Collection[str]
    indexes: Collection[str]
    objects: Collection[str]
    run: Collection[str] | None


@dataclass(frozen=True)
class Needed:
    """The statements that are still needed, in order; `late` ones come after the tables have their new columns.

    `views` are the views that the file makes without `or replace` and that are to be made again.
    """

    early: Sequence[str]
    late: Sequence[str]
    views: Sequence[str]
    record: Sequence[str]


def needed(model: Model, present: Present, *, has_new_shape: bool) -> Needed:
    """Say which statements are still needed.

    Args:
        model: the model.
        present: what the warehouse has.
        has_new_shape: whether tables get columns or other types, so that every view is to be made again.
    """
    early: list[str] = []
    late: list[str] = []
    views: list[str] = []
    record: list[str] = []
    for statement in split_statements(model.warehouse_sql):
        made = created(statement)
        if made:
            names = present.tables if made[0] == "table" else present.indexes
            if made[1] not in names:
                (early if made[0] == "table" else late).append(statement)
            continue
        is_new = present.run is not None and digest(statement) not in present.run
        record += [statement] if is_new else []
        if EARLY.match(bare(statement)):
            early += [statement] if is_new and made_type(statement) not in present.objects else []
            continue
        defines = defined(statement)
        is_gone = defines is not None and defines[1] not in present.objects
        is_lost = has_new_shape and (defines is not None or bool(OF_VIEWS.match(bare(statement))))
        if not (is_new or is_gone or is_lost):
            continue
        view = made_view(statement)
        if view and not replaces(statement) and view in present.objects:
            views.append(view)
        elif defines and not replaces(statement) and not is_gone:
            # A function or a materialised view that is there stays as it is.
            continue
        late.append(statement)
    return Needed(early, late, views, record)


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
        hint = exc.diag.message_hint or "mend it there"
        if code.startswith("2B") or "view or rule" in message:
            hint = "drop what depends on it, run tidemark init, and make it again"
        raise ConfigError(message, advice=f"{hint}; nothing was changed", sqlstate=code) from exc


def _place(model: Model, statement: str, exc: psycopg.Error) -> str:
    start = model.warehouse_sql.find(statement)
    if start < 0:
        return f"{' '.join(bare(statement).split())[:100]!r}, which follows from {FILE} of the model {model.name}"
    at = start + int(exc.diag.statement_position or len(statement) - len(bare(statement)) + 1) - 1
    line = model.warehouse_sql.count("\n", 0, at) + 1
    return f"{model.directory / FILE}, line {line}"
