"""Where a row of the warehouse comes from: its batch, the objects of the log, the line; and what a batch has made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from psycopg import sql

from tidemark.dashboard.problem import Problem, attempted
from tidemark.dashboard.reader import Answer, Reader, Statement
from tidemark.log.changelog import ChangeLog, LogObject, Manifest
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.postgres.queries import identifier, query
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed

SHOWN_KEYS = 10
# A larger object is not fetched from afar only to show one line of it.
MOST_BYTES_FROM_AFAR = 64 << 20


@dataclass(frozen=True)
class Line:
    """One line of the log: its object, its number in it from 1 on, and what it says."""

    key: str
    number: int
    content: Mapping[str, Any]

    @property
    def text(self) -> str:
        """Write it as JSON, a member on each line."""
        return json.dumps(self.content, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Origin:
    """Where a version comes from: the batch of the log, the objects of its table there, and the line.

    `note` says why there is no line, or what the line does not prove.
    """

    manifest: Manifest
    objects: Sequence[LogObject]
    line: Line | None = None
    note: str = ""


@dataclass(frozen=True)
class Made:
    """What a batch has made of one table of versions in the warehouse: some of the keys, in order."""

    star: StarTable
    keys: Answer


@dataclass(frozen=True)
class BatchLife:
    """A batch in all places; a place that does not have it has None, and its problem if it could not be asked."""

    batch: int
    manifest: Manifest | None
    manifest_problem: Problem | None
    processed: Processed | None
    processed_problem: Problem | None
    loaded: Mapping[str, Any] | None
    made: Sequence[Made]
    warehouse_problem: Problem | None


def find_origin(model: Model, ingestion: Objects, star: StarTable, version: Mapping[str, Any]) -> Origin:
    """Find where a version of a row comes from.

    Raises:
        StateError: the log contradicts itself, or an object is gone or was altered.
    """
    log = ChangeLog(ingestion)
    manifest = log.manifest(int(version["batch_id"]))
    if star.kind != "fact":
        objects = [each for name in star.reads if name in manifest.tables for each in manifest.tables[name].objects]
        return Origin(manifest, objects, note="A row of this dimension is computed from whole tables, not of one line.")
    if not star.mirror:
        manifest = _with_ordinal(log, star.driving, manifest, int(version[star.key[0]]))
    entry = manifest.tables[star.driving]
    afar = [
        each for each in entry.objects if ingestion.local_path(each.key) is None and each.bytes > MOST_BYTES_FROM_AFAR
    ]
    if afar:
        return Origin(manifest, entry.objects, note="The object is too large to be fetched for one line.")
    named = dict(zip(model.sources[star.driving].key, (str(version[name]) for name in star.source_key), strict=True))
    with TemporaryDirectory(prefix="tidemark-dashboard-") as folder:
        scratch = Path(folder) / "object"
        if star.mirror:
            line = _line_of_key(log, entry.objects, named, scratch)
        else:
            line = _line_at(log, entry.objects, int(version[star.key[0]]) - entry.first_ordinal, scratch)
    if line is None:
        return Origin(manifest, entry.objects, note="No line of this batch has this key as the warehouse writes it.")
    is_same = all(str(line.content.get(name)) == value for name, value in named.items())
    return Origin(manifest, entry.objects, line, "" if is_same else "The line writes the key in another way.")


def read_batch(reader: Reader, model: Model, ingestion: Objects, processed: Objects, batch: int) -> BatchLife:
    """Follow a batch through log, star and warehouse."""
    manifest, manifest_problem = attempted(lambda: ChangeLog(ingestion).manifest(batch))
    made_star, processed_problem = attempted(lambda: StarLog(processed).manifest(batch))
    found, warehouse_problem = attempted(lambda: _in_warehouse(reader, model, batch))
    loaded, made = found or (None, ())
    return BatchLife(batch, manifest, manifest_problem, made_star, processed_problem, loaded, made, warehouse_problem)


def _in_warehouse(reader: Reader, model: Model, batch: int) -> tuple[Mapping[str, Any] | None, list[Made]]:
    rows = reader.ask(query("dashboard", "ledger_of_batch"), {"batch": batch}).records
    if not rows:
        return None, []
    stars = [star for star in model.versioned if rows[0]["row_counts"].get(star.name)]
    statements: list[Statement] = []
    for star in stars:
        key = sql.SQL(", ").join(map(identifier, star.source_key))
        statement = query("dashboard", "keys_of_batch", table=identifier(*star.place), key=key, order=key)
        statements.append((statement, {"batch": batch, "most": SHOWN_KEYS}))
    answers = reader.ask_all(statements) if statements else []
    return rows[0], [Made(star, keys) for star, keys in zip(stars, answers, strict=True)]


def _with_ordinal(log: ChangeLog, table: str, manifest: Manifest, ordinal: int) -> Manifest:
    """Find the batch that has a change by its number; a row that came back from quarantine names a later batch."""
    entry = manifest.tables[table]
    if entry.first_ordinal <= ordinal < entry.first_ordinal + entry.changes:
        return manifest
    low, high = 1, manifest.batch
    while low < high:
        middle = (low + high + 1) // 2
        there = log.manifest(middle).tables.get(table)
        if there is not None and there.is_known and there.first_ordinal <= ordinal:
            low = middle
        else:
            high = middle - 1
    return manifest if low == manifest.batch else log.manifest(low)


def _line_at(log: ChangeLog, objects: Sequence[LogObject], index: int, scratch: Path) -> Line | None:
    """Read the line at a place among all lines of a table's objects, counted from 0."""
    for each in objects:
        if 0 <= index < each.rows:
            with log.verified(each, scratch).open("rb") as file:
                text = next(islice(file, index, None))
            return Line(each.key, index + 1, json.loads(text))
        index -= each.rows
    return None


def _line_of_key(log: ChangeLog, objects: Sequence[LogObject], named: Mapping[str, str], scratch: Path) -> Line | None:
    for each in objects:
        with log.verified(each, scratch).open("rb") as file:
            for number, content in _lines_with(file, named):
                return Line(each.key, number, content)
        scratch.unlink(missing_ok=True)
    return None


def _lines_with(file: Any, named: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, Any]]]:  # noqa: ANN401 -- a file
    hints = [value.encode() for value in named.values() if value.isascii() and value.isalnum()]
    for number, text in enumerate(file, start=1):
        if all(hint in text for hint in hints):
            content = json.loads(text)
            if all(str(content.get(name)) == value for name, value in named.items()):
                yield number, content
