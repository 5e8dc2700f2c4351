"""The processed manifest (the commit record of a transformed batch) and the record of a rebuild."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from tidemark.log.records import FORMAT, read_record
from tidemark.mirror import HISTORY, history_columns
from tidemark.model import MirroredTable, StarTable, mirrored_table


@dataclass(frozen=True)
class StarEntry:
    """What a batch did to one star table.

    At Delta version `version` the table has `rows` rows of this batch, and `checksum` is the checksum of these over
    `loaded_columns`. The batch set `set_aside` rows aside and released `released` rows from quarantine; after it `open`
    rows, of this batch and of earlier ones, are open. `through` is 0, except in a dimension that was rebuilt later.
    Then the version holds the values as of batch `through`, and the rows that changed from this batch up to that one
    take the place of the `rows` that this batch changed. `ended` counts the tombstones of deletions that were set
    aside, minus the released deletions that had their tombstone before. `repeated` says that the batch's own changes
    hold two versions of one key.

    `years` names all years of a calendar, and `live` the data files of a dimension if they are few: both say at this
    version, without opening the table, what a later batch has to know of it. `files` gives the SHA-256 of data files by
    name if they hold the batch's rows and no others. All three are empty where nobody knows, as in the manifests of an
    older Tidemark.
    """

    rows: int
    version: int
    set_aside: int = 0
    released: int = 0
    open: int = 0
    checksum: str = ""
    through: int = 0
    ended: int = 0
    repeated: bool = False
    years: Sequence[int] = field(default=(), compare=False)
    live: Sequence[str] = field(default=(), compare=False)
    files: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Refuse files elsewhere: whoever altered a manifest must not make a run read any other file."""
        if any("/" in file for file in (*self.live, *self.files)):
            raise ValueError(
                f"it names the data files {[*self.live, *self.files]!r}, expected files in the table's own folder"
            )


@dataclass(frozen=True)
class Processed:
    """The processed manifest of a batch; `model` is the hash of the model that made the batch's rows.

    `mirrored` has the tables of a mirror as the star has them from this batch on.
    """

    batch: int
    run_id: str
    pipeline_id: str
    captured_at: datetime
    model: str
    tables: Mapping[str, StarEntry]
    mirrored: Mapping[str, MirroredTable] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Write the manifest as JSON."""
        content = asdict(self) | {"captured_at": self.captured_at.isoformat(), "format": FORMAT}
        return (json.dumps(content, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes, batch: int) -> "Processed":
        """Read the manifest of a batch; StateError when `body` is no manifest, or one of a newer Tidemark."""

        def make(content: dict[str, Any]) -> Processed:
            del content["format"]
            content["captured_at"] = datetime.fromisoformat(content["captured_at"])
            content["tables"] = {name: StarEntry(**entry) for name, entry in content["tables"].items()}
            content["mirrored"] = {name: mirrored_table(each) for name, each in content.get("mirrored", {}).items()}
            return cls(**content)

        return read_record(body, f"the processed manifest of batch {batch}", make, batch=batch)


def count_set_aside(manifest: Processed | None) -> dict[str, int]:
    """Give the open rows of each star table as a processed manifest counts them; tables with none are left out."""
    return {name: entry.open for name, entry in manifest.tables.items() if entry.open} if manifest else {}


def loaded_columns(star: StarTable, columns: Iterable[str]) -> list[str]:
    """Name the columns of the lake's table that the warehouse takes, in their order."""
    if star.mirror:
        # Of two tables of a mirror one may have got a column later than the other, and then has it at its end. What
        # came after the batch at hand is null in it.
        known = {*history_columns(star.mirror).values(), *HISTORY}
        return sorted(name for name in columns if name in known)
    return [name for name in columns if star.is_versioned or name != "batch_id"]


def star_statistics(star: StarTable) -> list[str]:
    """Name the columns whose smallest and largest values a file records, so that readers can skip the file."""
    return [star.key[0], "batch_id"] if star.is_versioned else ["batch_id"]


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild of the star put in place: for each table the Delta version that holds the batches up to `batch`.

    A manifest is never written twice. So this record overrides the manifests of its batches: `versions` takes the place
    of their versions, and `entries` of the entries of a batch that has other rows now. The last record counts.
    """

    batch: int
    run_id: str
    model: str
    versions: Mapping[str, int]
    facts: Sequence[str]
    entries: Mapping[int, Mapping[str, StarEntry]]

    def encode(self) -> bytes:
        """Write the record as JSON."""
        return (json.dumps(asdict(self) | {"format": FORMAT}, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes) -> "Rebuilt":
        """Read a record; StateError when `body` is no record, or one of a newer Tidemark."""

        def make(content: dict[str, Any]) -> Rebuilt:
            del content["format"]
            entries = {
                int(batch): {name: StarEntry(**entry) for name, entry in tables.items()}
                for batch, tables in content["entries"].items()
            }
            return cls(**{**content, "entries": entries})

        return read_record(body, "the record of a rebuild", make)

    def apply(self, found: Processed) -> Processed:
        """Give a manifest as it must be read after the rebuild."""
        if found.batch > self.batch:
            return found
        tables = {**found.tables, **self.entries.get(found.batch, {})}
        return replace(
            found,
            model=self.model,
            tables={name: self._entry(name, each, found.batch) for name, each in tables.items()},
        )

    def _entry(self, name: str, entry: StarEntry, batch: int) -> StarEntry:
        if name not in self.versions:
            return entry
        # What the table has at that version, the next batch finds out.
        entry = replace(entry, version=self.versions[name], years=(), live=())
        if name in self.facts or batch == self.batch:
            return entry
        return replace(entry, through=self.batch, checksum="")
