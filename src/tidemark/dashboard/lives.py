"""The life of a row, version by version, and what the tables were at a moment beside what they are now."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from tidemark.dashboard.reader import Answer, Reader, Statement
from tidemark.errors import ConfigError
from tidemark.model import Model, StarTable
from tidemark.postgres.queries import identifier, query
from tidemark.warehouse.history import History

LATEST_CHANGES = 8
# A mirror may have hundreds of tables, and each is read.
MOST_TABLES = 30


@dataclass(frozen=True)
class Step:
    """One version in a row's life: what changed from the one before, each column with both values."""

    number: int
    version: Mapping[str, object]
    changes: Sequence[tuple[str, object, object]]

    @property
    def word(self) -> str:
        """Say what happened to the row."""
        if self.version["is_deleted"]:
            return "deleted"
        return "the first" if self.number == 1 else "changed" if self.changes else "touched"


@dataclass(frozen=True)
class Then:
    """A table of versions at a moment: its live rows then and now, what came since, and the newest of that."""

    star: StarTable
    live_then: int
    live_now: int
    versions_since: int
    deletions_since: int
    newest: Answer


def read_key(star: StarTable, text: str) -> list[str]:
    """Read a row's key as a person types it: of several columns the values have commas between, as in CSV.

    Raises:
        ConfigError: it is none.
    """
    if "\x00" in text:
        raise ConfigError("a key cannot hold the character zero", advice="check the key")
    if len(star.source_key) == 1:
        return [text]
    try:
        return next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as exc:
        message = f"{text!r} cannot be read as the values of {', '.join(star.source_key)}: {exc}"
        raise ConfigError(
            message, advice='put a value that has a comma or a quote itself into quotes: "a, b",1'
        ) from exc


def written_key(star: StarTable, row: Mapping[str, object]) -> str:
    """Write the key of a row so that `read_key` reads it."""
    values = [str(row[name]) for name in star.source_key]
    if len(values) == 1:
        return values[0]
    text = io.StringIO()
    # A blank after a comma is no part of a value, unless there are quotes around it.
    if any(value[:1].isspace() for value in values):
        csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL).writerow(values)
    else:
        csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def steps_of(found: History) -> list[Step]:
    """Tell a row's life, the oldest version first."""
    steps = []
    for number, version in enumerate(found.versions):
        changed = [column for column in found.columns if column != "is_deleted" and found.has_changed(number, column)]
        before = found.versions[number - 1]
        steps.append(Step(number + 1, version, [(name, before[name], version[name]) for name in changed]))
    return steps


def read_then(reader: Reader, model: Model, moment: datetime) -> list[Then]:
    """Ask the tables of versions, the first of many, about a moment in UTC, all as of one moment of the warehouse."""
    values = {"moment": moment.isoformat(sep=" ")}
    statements: list[Statement] = []
    stars = model.versioned[:MOST_TABLES]
    for star in stars:
        table, key = identifier(*star.place), sql.SQL(", ").join(map(identifier, star.source_key))
        statements.append((query("dashboard", "as_of", table=table), values))
        newest = query("dashboard", "latest_changes", table=table, key=key, order=key)
        statements.append((newest, {**values, "most": LATEST_CHANGES}))
    answers: list[Any] = reader.ask_all(statements)
    return [
        Then(star, **counts.records[0], newest=newest)
        for star, counts, newest in zip(stars, answers[::2], answers[1::2], strict=True)
    ]
