"""Quarantine: rows that the star cannot take, each with its reason, until they or their cause are mended.

Only transform fills it; the log and latest hold any value. What lies in it is decided by the log and the model alone,
so a rebuild fills and empties it in the same way. A fact's row is known by its surrogate key, a dimension's by its key.
"""

import logging
from dataclasses import dataclass, field

from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import empty, from_json, names, quoted
from tidemark.log.changelog import DIGITS
from tidemark.model import StarTable
from tidemark.objects import ObjectExistsError, Objects
from tidemark.star.star_manifest import Processed, read_processed

logger = logging.getLogger(__name__)
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
# How a reason begins that lies in another row than the one that is set aside.
DOUBT = "it is made with a value that cannot be read"
LONGEST_KEY_BYTES = 1 << 20
ASIDE = "set_aside_rows"
LYING = "lying_rows"
IDENTITY = "coalesce(cast(ordinal as varchar), cast(key as varchar))"


def object_key(star: StarTable, batch: int, *, released: bool = False) -> str:
    """Name the object of the rows that a batch set aside, or of those that it released."""
    return f"quarantine/{star.short_name}/{batch:0{DIGITS}d}{'.released' if released else ''}.jsonl"


def open_rows(objects: Objects, star: StarTable, newest: Processed | None) -> str:
    """Give a FROM item over the rows of a star table that lie in quarantine as of the processed batch `newest`.

    Its columns are those of a line: `batch`, `ordinal` (facts only), `key`, `op`, `reason`, `captured_at` and `row`.
    """
    if newest is None or star.name not in newest.tables or not newest.tables[star.name].open:
        return empty(COLUMNS)
    # By what the manifests say, for an attempt that was killed may have left an object that no manifest speaks of.
    counts = {batch: _counts(objects, star, batch) for batch in _batches(objects, star, newest.batch)}
    put = [objects.url(object_key(star, batch)) for batch, (count, _) in counts.items() if count]
    gone = [objects.url(object_key(star, batch, released=True)) for batch, (_, count) in counts.items() if count]
    released = (
        f"(select batch as released_in, {IDENTITY} as identity from {from_json(gone, RELEASED, LONGEST_KEY_BYTES)})"
    )
    return (
        f"(select {names(COLUMNS)} from (select *, {IDENTITY} as identity from {from_json(put, COLUMNS)}) as q"
        f" where not exists (select 1 from {released} as r where r.identity = q.identity and"
        f" r.released_in > q.batch))"
    )


@dataclass
class Quarantine:
    """The quarantine as one batch finds it, and what the batch puts in and takes out."""

    engine: Engine
    objects: Objects
    batch: int
    before: Processed | None
    set_aside: dict[str, int] = field(default_factory=dict)
    released: dict[str, int] = field(default_factory=dict)
    staged: str = ""

    def open_count(self, star: StarTable) -> int:
        """Count the rows of a star table that lay in quarantine before this batch."""
        entry = self.before.tables.get(star.name) if self.before else None
        return entry.open if entry else 0

    def open_rows(self, star: StarTable) -> str:
        """Give a FROM item over the rows that lay in quarantine before this batch."""
        if self.staged != star.name:
            rows = open_rows(self.objects, star, self.before)
            self.engine.execute(f"create or replace temp table {LYING} as select * from {rows}")
            self.staged = star.name
        return LYING

    def begin(self) -> None:
        """Make the empty working table of the rows that a star table cannot take."""
        fields = ", ".join(f"{quoted(name)} {kind}" for name, kind in COLUMNS.items() if name != "batch")
        self.engine.execute(f"create or replace temp table {ASIDE} ({fields})")

    def put(self, star: StarTable) -> int:
        """Set the rows of the working table aside, and return how many there are."""
        fields = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in COLUMNS)
        line = f"to_json(struct_pack({fields}))::varchar as line"
        numbered = f"select *, {self.batch}::bigint as batch from {ASIDE}"
        count = self._write(object_key(star, self.batch), f"select {line} from ({numbered}) order by ordinal, line")
        self.set_aside[star.name] = count
        if count:
            sample = str(self.engine.value(f"select reason from {ASIDE} order by ordinal, reason limit 1"))
            shown = " ".join(sample.split())
            logger.error("%s: %d rows set aside in batch %d, such as: %s", star.name, count, self.batch, shown)
        return count

    def release(self, star: StarTable, select: str) -> int:
        """Take rows out: `select` yields `ordinal` and `key` of rows that lay there before this batch."""
        line = f"to_json(struct_pack(batch := {self.batch}::bigint, ordinal := ordinal, key := key))::varchar"
        count = self._write(
            object_key(star, self.batch, released=True), f"select {line} as line from ({select}) order by 1"
        )
        self.released[star.name] = count
        return count

    def conclude(self, star: StarTable) -> tuple[int, int, int]:
        """Give for the processed manifest how many rows were set aside and released, and how many lie there now."""
        put, gone = self.set_aside.get(star.name, 0), self.released.get(star.name, 0)
        return put, gone, self.open_count(star) + put - gone

    def _write(self, key: str, select: str) -> int:
        path = self.engine.new_file(".jsonl")
        count = self.engine.write_lines(select, path)
        if count:
            try:
                self.objects.put_file_new(key, path)
            except ObjectExistsError:
                # An earlier attempt at this batch under another model, of which no manifest speaks; one under the same
                # has left the same bytes, which stay: that attempt may be about to commit.
                self.objects.delete([key])
                self.objects.put_file_new(key, path)
        path.unlink(missing_ok=True)
        return count


def _batches(objects: Objects, star: StarTable, last: int) -> list[int]:
    found = {
        int(meta.key.rpartition("/")[2].partition(".")[0]) for meta in objects.list(f"quarantine/{star.short_name}/")
    }
    return sorted(batch for batch in found if batch <= last)


def _counts(objects: Objects, star: StarTable, batch: int) -> tuple[int, int]:
    entry = read_processed(objects, batch).tables.get(star.name)
    return (entry.set_aside, entry.released) if entry else (0, 0)
