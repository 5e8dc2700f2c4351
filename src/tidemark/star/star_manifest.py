"""The processed manifest, which is the commit record of a transformed batch, and the record of a rebuild."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from tidemark.log.records import FORMAT, read_record
from tidemark.model import StarTable


@dataclass(frozen=True)
class StarEntry:
    """What a batch did to one star table.

    `rows` are in the table under this batch at Delta version `version`, `checksum` is theirs, over `loaded_columns`;
    `set_aside` rows went to quarantine in this batch, and `open` rows of this and earlier ones still lie there.
    `through` is 0 but for a dimension that was rebuilt later: then its version holds the values as of that batch, and
    the rows that this batch and those up to that one changed stand for the `rows` that this batch alone did.
    """

    rows: int
    version: int
    set_aside: int = 0
    released: int = 0
    open: int = 0
    checksum: str = ""
    through: int = 0


@dataclass(frozen=True)
class Processed:
    """The processed manifest of a batch; `model` is the hash of the model that made the rows."""

    batch: int
    run_id: str
    pipeline_id: str
    captured_at: datetime
    model: str
    tables: Mapping[str, StarEntry]

    def encode(self) -> bytes:
        """Write the manifest as JSON."""
        content = asdict(self) | {"captured_at": self.captured_at.isoformat(), "format": FORMAT}
        return (json.dumps(content, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes, batch: int) -> "Processed":
        """Read the manifest of a batch; StateError when it is none, or of a newer Tidemark."""

        def make(content: dict[str, Any]) -> Processed:
            del content["format"]
            content["captured_at"] = datetime.fromisoformat(content["captured_at"])
            content["tables"] = {name: StarEntry(**entry) for name, entry in content["tables"].items()}
            return cls(**content)

        return read_record(body, f"the processed manifest of batch {batch}", make, batch=batch)


def count_set_aside(manifest: Processed | None) -> dict[str, int]:
    """Count the rows in quarantine by star table, as a processed manifest says; tables without any are left out."""
    return {name: entry.open for name, entry in manifest.tables.items() if entry.open} if manifest else {}


def loaded_columns(star: StarTable, columns: Iterable[str]) -> list[str]:
    """Name the columns of a star table in the lake that the warehouse takes, in their order."""
    return [name for name in columns if star.kind == "fact" or name != "batch_id"]


def star_statistics(star: StarTable) -> list[str]:
    """Name the columns of a star table by whose bounds readers may skip a file."""
    return [star.key[0], "batch_id"] if star.kind == "fact" else ["batch_id"]


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild of the star put in place: for each table the Delta version that holds the batches up to `batch`.

    Manifests are never written twice, so this record goes before what those of its batches say: by the versions, and by
    `entries` where a batch has other rows now. Of several records the last counts.
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
        """Read a record; StateError when it is none, or of a newer Tidemark."""

        def make(content: dict[str, Any]) -> Rebuilt:
            del content["format"]
            entries = {
                int(batch): {name: StarEntry(**entry) for name, entry in tables.items()}
                for batch, tables in content["entries"].items()
            }
            return cls(**{**content, "entries": entries})

        return read_record(body, "the record of a rebuild", make)

    def apply(self, found: Processed) -> Processed:
        """Give a manifest as it is to be read since the rebuild."""
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
        if name in self.facts or batch == self.batch:
            return replace(entry, version=self.versions[name])
        return replace(entry, version=self.versions[name], through=self.batch, checksum="")
