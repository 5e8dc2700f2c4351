"""The change log: JSON Lines objects in the ingestion bucket, and the manifests that make them batches.

A batch exists when its manifest exists. An object that no manifest names is part of nothing, whatever its name says.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from tidemark.errors import OvertakenError, StateError
from tidemark.faults import effect
from tidemark.log.columns import Column
from tidemark.log.records import FORMAT, read_record
from tidemark.model import MirroredTable, mirrored_table
from tidemark.objects import ObjectExistsError, ObjectMissingError, Objects, is_key, measured

MANIFESTS = "batches/"
# The objects of the first batch and those of the others, in a folder of each table.
FOLDERS = ("baseline", "changes")
LATEST = "latest"
DIGITS = 10
MANIFEST = re.compile(rf"{MANIFESTS}([0-9]{{{DIGITS}}})\.json")
# As many keys as S3 lists in one answer.
PAGE = 1000
READERS = 16
# Ordinals begin with 1, so this one means that the table was not in the model yet.
NOT_YET = 0


@dataclass(frozen=True)
class LatestFile:
    """The data file that latest got of an object's rows: key, size, SHA-256; it holds these rows in their order."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class LogObject:
    """One object of a batch: its key, rows, size and SHA-256.

    `latest_file` is set where the rows of a table that was read whole went to latest as they are. It may be gone.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    latest_file: LatestFile | None = None


@dataclass(frozen=True)
class TableEntry:
    """What a manifest says of one source table.

    `rows` and `hash_sum` are those of the whole table in the batch's snapshot: as Postgres counted them (`swept`) or,
    in a poll without a sweep, as the log implies. `hash_sum` is a decimal number as text, because it exceeds 2^53.
    `changed_in` is the last batch that changed the table; if latest does not have that batch, latest is behind.
    `first_ordinal` is the number of the table's first change in this batch among all of its changes. `mirror` says
    where the table lies and which columns it ever had, if the model is a mirror.
    """

    columns: tuple[Column, ...]
    first_ordinal: int
    rows: int
    hash_sum: str
    objects: tuple[LogObject, ...] = ()
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    latest_row_id: str | None = None
    latest_timestamp: str | None = None
    swept: bool = True
    hashed_by: str = ""
    changed_in: int = 0
    mirror: MirroredTable | None = None

    @property
    def is_known(self) -> bool:
        """Say whether the table was part of the model in this batch; see `with_later_shape`."""
        return self.first_ordinal != NOT_YET

    @property
    def changes(self) -> int:
        """Count the changes of this batch."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Manifest:
    """The commit record of a batch.

    `replay` names, by star table, the rows in quarantine that transform takes up again: a fact's by their surrogate
    keys, a dimension's by anything, since all of its rows are computed anew. If `is_floor_known` is false, the
    watermark may lie past rows that were not visible yet, and only a sweep is sure to find them. `left_out` has the
    tables that a mirror cannot have, each with the reason; `drift` says how the source's tables changed their shape
    when they last did, in batch `drift_batch`.
    """

    batch: int
    run_id: str
    pipeline_id: str
    source: Mapping[str, Any]
    snapshot: str
    captured_at: datetime
    watermark: datetime | None
    tables: Mapping[str, TableEntry]
    highest: datetime | None = None
    replay: Mapping[str, list[int | str]] = field(default_factory=dict)
    is_floor_known: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)
    drift: Sequence[str] = ()
    drift_batch: int = 0
    format: int = field(default=FORMAT)

    def encode(self) -> bytes:
        """Write the manifest as JSON, with UTC times in ISO 8601."""
        content = asdict(self) | {
            "captured_at": self.captured_at.isoformat(),
            "watermark": self.watermark and self.watermark.isoformat(),
            "highest": self.highest and self.highest.isoformat(),
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes, what: str = "a manifest") -> "Manifest":
        """Read a manifest; raise StateError if it is no manifest, or if a newer Tidemark wrote it."""

        def make(content: dict[str, Any]) -> Manifest:
            tables = {name: _entry(name, table) for name, table in content["tables"].items()}
            times = {name: _time(content[name]) for name in ("captured_at", "watermark", "highest")}
            return cls(**{**content, **times, "tables": tables, "drift": tuple(content.get("drift", ()))})

        return read_record(body, what, make)

    @cached_property
    def mirrored(self) -> Mapping[str, MirroredTable]:
        """Give the tables of a mirror; none if the model is another one."""
        return {name: entry.mirror for name, entry in self.tables.items() if entry.mirror}

    @cached_property
    def changes(self) -> int:
        """Count the changes of all tables."""
        return sum(table.changes for table in self.tables.values())


class ChangeLog:
    """The manifests and objects in the ingestion bucket."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def newest(self, after: int = 0) -> Manifest | None:
        """Give the newest manifest, or None if there is no batch; `after` is a batch that is known to exist, or 0."""
        newest = newest_batch(self.objects, after)
        return self.manifest(newest) if newest else None

    def manifest(self, batch: int) -> Manifest:
        """Read the manifest of a batch that must exist."""
        found = Manifest.decode(self.objects.get(manifest_key(batch)), f"the manifest of batch {batch}")
        if found.batch != batch:
            message = f"{manifest_key(batch)} says that it is batch {found.batch}"
            raise StateError(message, advice="restore it from the bucket's older versions", batch=batch)
        return found

    def manifests(self, first: int, last: int) -> Iterator[Manifest]:
        """Read the manifests of the batches `first` to `last`, both included."""
        return (self.manifest(batch) for batch in range(first, last + 1))

    def verified(self, each: LogObject, scratch: Path) -> Path:
        """Give a file with an object's bytes, after checking them against the manifest.

        Args:
            each: the object, as its manifest describes it.
            scratch: where to put a copy if the object is no file itself; the caller removes it.

        Raises:
            StateError: the object is gone, or holds other bytes, whose number and SHA-256 are the error's facts.
        """
        advice = f"restore {each.key} from the bucket's older versions or a backup: nothing else holds these changes"
        try:
            path = self._local(each.key, scratch)
        except ObjectMissingError as exc:
            message = f"a batch names {self.objects.url(each.key)}, which is not there"
            raise StateError(message, advice=advice, key=each.key) from exc
        size_bytes, digest = measured(path)
        if (size_bytes, digest) != (each.bytes, each.sha256):
            message = (
                f"{self.objects.url(each.key)} was altered: its manifest says {each.bytes} bytes of SHA-256"
                f" {each.sha256}, it has {size_bytes} of {digest}"
            )
            raise StateError(message, advice=advice, key=each.key, bytes=size_bytes, sha256=digest)
        return path

    def same_rows(self, each: LogObject, scratch: Path) -> Path | None:
        """Give a file with the bytes of the data file that latest got of an object's rows; see `verified`.

        Return None if there is none, or if it is no longer there as it was written.
        """
        stored = each.latest_file
        if stored is None:
            return None
        try:
            path = self._local(stored.key, scratch)
        except ObjectMissingError:
            return None
        return path if measured(path) == (stored.bytes, stored.sha256) else None

    def _local(self, key: str, scratch: Path) -> Path:
        path = self.objects.local_path(key)
        if path is not None and path.is_file():
            return path
        self.objects.download(key, scratch)
        return scratch

    def last_with(self, table: str, until: int) -> Manifest | None:
        """Find the newest manifest, up to batch `until`, that has a table; None if the log never held a row of it."""
        folders = (f"{folder}/{table}/" for folder in FOLDERS)
        if next((each for folder in folders for each in self.objects.list(folder)), None) is None:
            return None
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            for last in range(until, 0, -READERS):
                for manifest in executor.map(self.manifest, range(last, max(0, last - READERS), -1)):
                    if table in manifest.tables:
                        return manifest
        return None

    def commit(self, manifest: Manifest) -> None:
        """Make the batch exist; raise OvertakenError if another run made a batch of that number first."""
        with effect("manifest"):
            put_manifest(self.objects, manifest.batch, manifest.encode(), manifest.run_id)


def newest_batch(objects: Objects, after: int = 0) -> int:
    """Find the highest batch that has a manifest in a bucket, 0 for none.

    Args:
        objects: the bucket.
        after: a batch that is known to have a manifest, or 0; the search starts there.

    Raises:
        StateError: the manifest of a batch in between is missing.
    """
    batches = _listed(objects, after, PAGE)
    if len(batches) == PAGE:
        after = _probed(objects, after)
        batches = _listed(objects, after)
    newest = max(batches, default=after)
    if batches and len(batches) != newest - after:
        missing = sorted(set(range(after + 1, newest + 1)).difference(batches))
        message = f"the manifests of batches {missing[:20]} are missing, though {newest} exists"
        raise StateError(message, advice="restore them from the bucket's older versions", batches=missing)
    return newest


def _listed(objects: Objects, after: int, most: int | None = None) -> list[int]:
    """List the batches that have a manifest after a batch; no more than `most`, if given, and these are the first."""
    start = manifest_key(after) if after else None
    # Anything else in the folder, such as a copy that somebody made by hand, is no manifest.
    found = (MANIFEST.fullmatch(meta.key) for meta in objects.list(MANIFESTS, start_after=start))
    return [int(each[1]) for each in islice(filter(None, found), most)]


def _probed(objects: Objects, after: int) -> int:
    """Skip ahead over manifests that exist, so that a year of them is not listed; the caller lists the rest."""
    step = PAGE
    while objects.exists(manifest_key(after + step)):
        after += step
        step *= 2
    while step > PAGE:
        step //= 2
        if objects.exists(manifest_key(after + step)):
            after += step
    return after


def put_manifest(objects: Objects, batch: int, body: bytes, run_id: str) -> None:
    """Put a manifest if there is none; one of the same run counts as put, because an earlier try has arrived."""
    try:
        objects.put_new(manifest_key(batch), body)
    except ObjectExistsError as exc:
        if json.loads(objects.get(manifest_key(batch)))["run_id"] == run_id:
            return
        message = f"batch {batch} was committed by another run first"
        raise OvertakenError(message, advice="nothing is lost; the next run goes on from there", batch=batch) from exc


def manifest_key(batch: int) -> str:
    """Name the manifest of a batch."""
    return f"{MANIFESTS}{batch:0{DIGITS}d}.json"


def object_key(batch: int, table: str, latest_row_id: object, captured_at: datetime, part: int | None = None) -> str:
    """Name an object of the log; `part` counts from 1 where a table has several in one batch."""
    folder = FOLDERS[0 if batch == 1 else 1]
    moment = captured_at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
    return f"{folder}/{table}/{latest_row_id}-{moment}{f'-p{part:04d}' if part else ''}.jsonl"


def with_later_shape(manifest: Manifest, newest: Manifest) -> Manifest:
    """Give an older manifest in the shape that the model has now, after it was changed for a newer batch.

    Columns that came later are null in every row, and tables that came into the model later have no rows. So an older
    batch can still be transformed, in a normal run just as in a rebuild.
    """
    tables = dict(manifest.tables)
    for name, entry in newest.tables.items():
        known = tables.get(name)
        if known is None:
            tables[name] = TableEntry(entry.columns, NOT_YET, 0, "0", swept=False)
        else:
            # For DuckDB, names that differ only in case are the same.
            there = {column.name.lower() for column in known.columns}
            later = tuple(column for column in entry.columns if column.name.lower() not in there)
            tables[name] = replace(known, columns=(*known.columns, *later))
    return replace(manifest, tables=tables)


def new_id() -> str:
    """Make the id of a new run, or of a new pipeline."""
    return str(uuid.uuid4())


def carried_over(entry: TableEntry) -> TableEntry:
    """Give a table's entry for the next batch, as it is if the table does not change."""
    return replace(
        entry,
        first_ordinal=entry.first_ordinal + entry.changes,
        objects=(),
        inserted=0,
        updated=0,
        deleted=0,
    )


def _entry(name: str, table: Mapping[str, Any]) -> TableEntry:
    columns = tuple(Column(**column) for column in table["columns"])
    objects = tuple(_object(each) for each in table["objects"])
    for each in objects:
        _require_below(name, each.key, *(f"{folder}/{name}/" for folder in FOLDERS))
        if each.latest_file:
            _require_below(name, each.latest_file.key, f"{LATEST}/{name}/")
    mirror = mirrored_table(table["mirror"]) if table.get("mirror") else None
    return TableEntry(**{**table, "columns": columns, "objects": objects, "mirror": mirror})


def _object(content: Mapping[str, Any]) -> LogObject:
    stored = content.get("latest_file")
    return LogObject(**{**content, "latest_file": LatestFile(**stored) if stored else None})


def _require_below(table: str, key: object, *folders: str) -> None:
    """Raise ValueError for a key elsewhere: whoever altered a manifest must not make a run read any other file."""
    if not (is_key(str(key)) and str(key).startswith(folders)):
        raise ValueError(f"for {table} it names the object {key!r}, expected a key below {' or '.join(folders)}")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
