"""Records = rows: what manifests and ledger say of each batch must follow from the batch before, and fit the rows.

This edge reads only Tidemark's own records and the lake. So it also says which side of another edge was altered.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from tidemark.errors import StateError
from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import select
from tidemark.lake.table import LakeTable, open_as_of, open_table
from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry
from tidemark.log.latest import LatestTable, open_latest_as_of
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star.copy_lines import StarRows, are_comparable, totals_by_batch
from tidemark.star.star_manifest import Processed, loaded_columns
from tidemark.verification.result import MOST_DIFFERENCES, Difference, Loaded, TableProof

Record = TypeVar("Record")
READERS = 8
# A year of batches has 52,560 manifests; only a deep verification reads them all.
NEWEST_MANIFESTS = 1000


def first_to_read(transformed: int, head: int) -> int:
    """Give the first batch whose records are read when the verification is not deep."""
    return max(1, min(transformed or head, head) - NEWEST_MANIFESTS + 1)


def read_records(read: Callable[[int], Record], first: int, last: int) -> dict[int, Record]:
    """Read the records of the batches `first` to `last`, several at a time."""
    numbers = range(first, last + 1)
    with ThreadPoolExecutor(max_workers=READERS) as executor:
        return dict(zip(numbers, executor.map(read, numbers), strict=True))


def log_laws(manifests: Mapping[int, Manifest]) -> Iterator[Difference]:
    """Check that each batch begins where the one before ended, and each table where its last entry in the log did."""
    known: dict[str, TableEntry] = {}
    first = min(manifests)
    for batch, manifest in manifests.items():
        if batch > first:
            yield from _differing(batch, "", pipeline_id=(manifests[batch - 1].pipeline_id, manifest.pipeline_id))
        for name, entry in manifest.tables.items():
            # A table that looks new here may have an entry in an older manifest that was not read.
            if name in known or first == 1:
                yield from _entry_laws(batch, name, known.get(name), entry)
        known |= manifest.tables


def star_laws(
    model: Model, manifests: Mapping[int, Manifest], processed: Mapping[int, Processed]
) -> Iterator[Difference]:
    """Check that each transformed batch belongs to the log's pipeline, and brought a version for each change."""
    for batch, done in processed.items():
        manifest = manifests.get(batch)
        if manifest is None:
            continue
        yield from _differing(batch, "", pipeline_id=(manifest.pipeline_id, done.pipeline_id))
        for fact in model.facts:
            entry, source = done.tables.get(fact.name), manifest.tables.get(fact.driving)
            if entry and source:
                expected = source.changes - entry.set_aside + entry.released + entry.ended
                yield from _differing(batch, fact.name, rows=(expected, entry.rows))


def ledger_laws(ledger: Sequence[Loaded], processed: Mapping[int, Processed]) -> Iterator[Difference]:
    """Check that the ledger names every batch, with the rows and checksums of its processed manifest."""
    for before, row in pairwise(ledger):
        yield from _differing(row.batch, "", number=(before.batch + 1, row.batch))
    for row in ledger:
        done = processed.get(row.batch)
        if done is None:
            continue
        yield from _differing(row.batch, "", pipeline_id=(done.pipeline_id, row.pipeline_id))
        for name, entry in done.tables.items():
            rows, proof = row.row_counts.get(name, 0), row.checksums.get(name, "")
            if not entry.checksum or not are_comparable(proof, entry.checksum):
                proof = entry.checksum
            yield from _differing(row.batch, name, rows=(entry.rows, rows), checksum=(entry.checksum, proof))


def concluded(table: str, breaks: Iterator[Difference], cause: str, advice: str, note: str = "") -> TableProof:
    """Gather the broken laws of one kind of record."""
    found = list(breaks)
    if not found:
        return TableProof(table, note=note)
    first = tuple(found[:MOST_DIFFERENCES])
    return TableProof(table, count=len(found), differences=first, note=note, cause=cause, advice=advice)


@dataclass(frozen=True)
class Rows:
    """The rows of the lake, which are counted and summed for a comparison with the records."""

    engine: Engine
    model: Model
    ingestion: Objects
    processed: Objects

    def latest(self, table: SourceTable, head: Manifest) -> Iterator[Difference]:
        """Check that a table of latest has the source's rows and hash sum of the last batch's snapshot."""
        entry, latest = head.tables[table.name], open_latest_as_of(self.ingestion, table, head.batch)
        if latest is None:
            yield Difference("missing", {"table": table.name})
            return
        rows, hashes, without = totals_of(self.engine, latest)
        found: dict[str, tuple[object, object]] = {"rows": (entry.rows, rows)}
        # Rows restored from the log have no hash until the next sweep.
        if not without:
            found["hash_sum"] = (entry.hash_sum, hashes)
        yield from _differing(None, table.name, **found)

    def star(self, star: StarTable, processed: Mapping[int, Processed]) -> Iterator[Difference]:
        """Check that a table of the star holds the rows that each batch's manifest says.

        In a dimension without history a later batch replaces rows of earlier ones, so only its newest batch is compared
        by checksum.
        """
        last = max(processed)
        if not any(star.name in each.tables for each in processed.values()):
            # It is new in the model, and the next batch brings it.
            return
        lake = open_as_of(self.processed, star.path, last)
        if lake is None:
            yield Difference("missing", {"table": star.name})
            return
        found = totals_by_batch(lake, loaded_columns(star, lake.columns), last)
        newest = max(found, default=0)
        for batch, done in processed.items():
            entry = done.tables.get(star.name)
            if entry is None:
                continue
            rows, proof = found.pop(batch, (0, checksum_of_nothing(entry.checksum)))
            if not star.is_versioned and batch != newest:
                yield from _differing(batch, star.name, rows=(entry.rows, max(rows, entry.rows)))
                continue
            if rows == entry.rows and proof != entry.checksum:
                proof = self._as_then(star, lake, batch, entry.version) or proof
            if not entry.checksum or not are_comparable(proof, entry.checksum):
                proof = entry.checksum
            yield from _differing(batch, star.name, rows=(entry.rows, rows), checksum=(entry.checksum, proof))
        for batch, (rows, _) in found.items():
            if batch not in range(1, min(processed)):
                yield from _differing(batch, star.name, rows=(0, rows))

    def _as_then(self, star: StarTable, lake: LakeTable, batch: int, version: int) -> str | None:
        """Take the checksum over the columns that the table had in a batch; None when the columns are the same."""
        then = open_table(self.processed, star.path, version=version)
        if then is None or list(then.columns) == list(lake.columns):
            return None
        return StarRows(lake, loaded_columns(star, then.columns), batch, batch).count().checksum


def object_laws(log: ChangeLog, engine: Engine, manifests: Mapping[int, Manifest]) -> Iterator[Difference]:
    """Check that every object of the log holds the bytes that its manifest records."""

    def check(named: tuple[int, LogObject]) -> Difference | None:
        batch, each = named
        scratch = engine.scratch / f"object-{batch}-{hashlib.sha256(each.key.encode()).hexdigest()}"
        key = {"batch": str(batch), "object": each.key}
        try:
            log.verified(each, scratch)
        except StateError as exc:
            if "sha256" not in exc.facts:
                return Difference("missing", key)
            found = {"bytes": (each.bytes, exc.facts["bytes"]), "sha256": (each.sha256, exc.facts["sha256"])}
            return Difference("record", key, _values(found))
        finally:
            scratch.unlink(missing_ok=True)
        return None

    objects = [
        (batch, each)
        for batch, manifest in manifests.items()
        for table in manifest.tables.values()
        for each in table.objects
    ]
    with ThreadPoolExecutor(max_workers=READERS) as executor:
        yield from filter(None, executor.map(check, objects))


def totals_of(engine: Engine, latest: LatestTable) -> tuple[int, str, int]:
    """Give the rows of a table of latest, the sum of their hashes as text, and how many have no hash."""
    totals = select("verification", "totals_of_latest", rows=latest.rows)
    rows, hashes, without = engine.execute(totals).fetchone() or (0, "0", 0)
    return rows, hashes, without


def checksum_of_nothing(like: str) -> str:
    """Give the checksum of no rows, with the hash of another checksum."""
    return f"{like.rpartition(':')[0]}:0"


def _entry_laws(batch: int, name: str, before: TableEntry | None, entry: TableEntry) -> Iterator[Difference]:
    rows = (before.rows if before else 0) + entry.inserted - entry.deleted
    ordinal = before.first_ordinal + before.changes if before else 1
    written = sum(each.rows for each in entry.objects)
    yield from _differing(
        batch,
        name,
        rows=(rows, entry.rows),
        first_ordinal=(ordinal, entry.first_ordinal),
        changes=(written, entry.changes),
    )


def _differing(batch: int | None, table: str, **fields: tuple[object, object]) -> Iterator[Difference]:
    values = _values(fields)
    if values:
        key = {"batch": None if batch is None else str(batch), "table": table}
        yield Difference("record", {name: value for name, value in key.items() if value}, values)


def _values(fields: Mapping[str, tuple[object, object]]) -> dict[str, tuple[str | None, str | None]]:
    return {name: (str(wanted), str(found)) for name, (wanted, found) in fields.items() if wanted != found}
