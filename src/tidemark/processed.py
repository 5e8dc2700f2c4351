"""The processed manifest: the commit record of a transformed batch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from tidemark.changelog import manifest_key, newest_batch
from tidemark.errors import StateError
from tidemark.model import StarTable
from tidemark.objects import Objects

FORMAT = 1


@dataclass(frozen=True)
class StarEntry:
    """What a batch did to one star table.

    `rows` are in the table under this batch at Delta version `version`, `checksum` is theirs, over `loaded_columns`;
    `set_aside` rows went to quarantine in this batch, and `open` rows of this and earlier ones still lie there.
    """

    rows: int
    version: int
    set_aside: int = 0
    released: int = 0
    open: int = 0
    checksum: str = ""


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


def loaded_columns(star: StarTable, columns: Iterable[str]) -> list[str]:
    """Name the columns of a star table in the lake that the warehouse takes, in their order."""
    return [name for name in columns if star.kind == "fact" or name != "batch_id"]


def newest_processed(processed: Objects) -> int:
    """Find the last batch that has been transformed, 0 for none."""
    return newest_batch(processed)


def read_processed(processed: Objects, batch: int) -> Processed:
    """Read the processed manifest of a batch that must exist; StateError when it cannot be read."""
    try:
        content = json.loads(processed.get(manifest_key(batch)))
        content["captured_at"] = datetime.fromisoformat(content["captured_at"])
        content["tables"] = {name: StarEntry(**entry) for name, entry in content["tables"].items()}
        content.pop("format")
        return Processed(**content)
    except (ValueError, KeyError, TypeError) as exc:
        message = f"the processed manifest of batch {batch} cannot be read: {exc}"
        raise StateError(message, advice="restore it from the bucket's older versions", batch=batch) from exc
