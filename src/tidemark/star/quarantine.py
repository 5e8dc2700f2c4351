"""Quarantine: rows that the star cannot take, each with its reason, until the row or the cause is mended.

Only transform fills it, because the log and latest can hold any value. The log and the model alone decide which rows it
holds, so a rebuild fills and empties it in the same way. The surrogate key identifies a fact's row, the key a
dimension's.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidemark.disclosure import HIDDEN, are_values_shown
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.sqltext import Rows, Select, Table, empty, from_json, names, number, packed, select
from tidemark.log.changelog import DIGITS
from tidemark.model import StarTable
from tidemark.objects import ObjectExistsError, Objects
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed

logger = logging.getLogger(__name__)
QUARANTINE = "quarantine/"
COLUMNS = {
    "batch": "BIGINT",
    "ordinal": "BIGINT",
    "key": "JSON",
    "op": "VARCHAR",
    "reason": "VARCHAR",
    "waits": "BOOLEAN",
    "captured_at": "VARCHAR",
    "row": "JSON",
}
RELEASED = {"batch": "BIGINT", "ordinal": "BIGINT", "key": "JSON"}
# How a reason begins when the row that is set aside depends on an unreadable value.
DOUBT = "it is made with a value that cannot be read"
LONGEST_KEY_BYTES = 1 << 20
# The value may hold any text, so it reaches to the last words that follow one.
QUOTED_VALUE = re.compile(r" is '.*', which ", re.DOTALL)


def object_key(star: StarTable, batch: int, *, released: bool = False) -> str:
    """Name the object that holds the rows that a batch set aside, or those that it released."""
    return f"{QUARANTINE}{star.short_name}/{batch:0{DIGITS}d}{'.released' if released else ''}.jsonl"


def batch_of(key: str) -> int:
    """Read from an object's name which batch wrote it."""
    return int(key.rpartition("/")[2].partition(".")[0])


def reason_in_log(reason: str) -> str:
    """Give a reason as a log line may quote it: without the value, which the record and `quarantine show` have.

    A key that is not in its dimension stays.
    """
    return reason if are_values_shown() else QUOTED_VALUE.sub(f" is {HIDDEN}, which ", reason)


def open_rows(stars: StarLog, star: StarTable, newest: Processed | None) -> Rows:
    """Give a FROM item over the rows of a star table that are open as of the processed batch `newest`.

    Its columns are those of a line: `batch`, `ordinal` (facts only), `key`, `op`, `reason`, `waits`, `captured_at` and
    `row`.
    """
    if newest is None or star.name not in newest.tables or not newest.tables[star.name].open:
        return empty(COLUMNS)
    # The manifests decide, because an attempt that was killed may have left an object that no manifest mentions.
    objects = stars.objects
    counts = {batch: _counts(stars, star, batch) for batch in _batches(stars, star, newest.batch)}
    put = [object_key(star, batch) for batch, (count, _) in counts.items() if count]
    gone = [objects.url(object_key(star, batch, released=True)) for batch, (_, count) in counts.items() if count]
    return select(
        "quarantine",
        "open_rows",
        columns=names(COLUMNS),
        set_aside=from_json(list(map(objects.url, put)), COLUMNS, _longest(objects, put)),
        released=from_json(gone, RELEASED, LONGEST_KEY_BYTES),
    ).rows


@dataclass(frozen=True)
class Quarantine:
    """The quarantine as one batch finds it; `before` is the processed manifest of the batch before."""

    engine: Engine
    stars: StarLog
    batch: int
    before: Processed | None

    def open_count(self, star: StarTable) -> int:
        """Count the rows of a star table that were open before this batch."""
        entry = self.before.tables.get(star.name) if self.before else None
        return entry.open if entry else 0

    def open_table(self, star: StarTable, tables: WorkingTables) -> Table:
        """Make a working table of the rows that were open before this batch."""
        return tables.of(select("files", "all", rows=open_rows(self.stars, star, self.before)))

    def nothing_aside(self, tables: WorkingTables) -> Table:
        """Make the working table of the rows that a star table cannot take; it is empty at first."""
        return tables.empty({name: kind for name, kind in COLUMNS.items() if name != "batch"})

    def set_aside(self, star: StarTable, aside: Table) -> int:
        """Put the rows of the working table into quarantine, and return how many there are."""
        lines = select("quarantine", "lines_set_aside", line=packed(COLUMNS), batch=number(self.batch), aside=aside)
        count = self._write(object_key(star, self.batch), lines)
        if count:
            [(key, reason)] = self.engine.execute(select("quarantine", "sample", aside=aside)).fetchall()
            named = ", ".join(f"{name} {value}" for name, value in json.loads(key).items())
            shown = " ".join(f"{named}: {reason_in_log(reason)}".split())
            logger.error("%s: %d rows set aside in batch %d, such as: %s", star.name, count, self.batch, shown)
        return count

    def release(self, star: StarTable, leaving: Select) -> int:
        """Release rows: `leaving` yields `ordinal` and `key` of rows that were open before this batch."""
        lines = select("quarantine", "lines_released", batch=number(self.batch), released=leaving.rows)
        return self._write(object_key(star, self.batch, released=True), lines)

    def _write(self, key: str, lines: Select) -> int:
        objects, path = self.stars.objects, self.engine.new_file(".jsonl")
        count = self.engine.write_lines(lines, path)
        if count:
            try:
                objects.put_file_new(key, path)
            except ObjectExistsError:
                # An earlier attempt at this batch wrote this object, with another model, and no manifest mentions it.
                # An attempt with the same model left the same bytes. They stay: that attempt may be about to commit.
                objects.delete([key])
                objects.put_file_new(key, path)
        path.unlink(missing_ok=True)
        return count


def _longest(objects: Objects, keys: Sequence[str]) -> int:
    """Give a line's most bytes in some objects: on S3 a whole object may be one line."""
    files = [path for path in map(objects.local_path, keys) if path]
    return max([longest_line_bytes(files), *(objects.size(key) for key in keys[len(files) :])])


def _batches(stars: StarLog, star: StarTable, last: int) -> list[int]:
    found = {batch_of(each.key) for each in stars.objects.list(f"{QUARANTINE}{star.short_name}/")}
    return sorted(batch for batch in found if batch <= last)


def _counts(stars: StarLog, star: StarTable, batch: int) -> tuple[int, int]:
    entry = stars.manifest(batch).tables.get(star.name)
    return (entry.set_aside, entry.released) if entry else (0, 0)
