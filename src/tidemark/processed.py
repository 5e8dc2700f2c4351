"""The processed manifest: the commit record of a transformed batch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tidemark.changelog import manifest_key, newest_batch
from tidemark.errors import StateError
from tidemark.objects import Objects

FORMAT = 1


@dataclass(frozen=True)
class Processed:
    """The processed manifest of a batch: for each star table its rows and the Delta version with them."""

    batch: int
    run_id: str
    pipeline_id: str
    captured_at: datetime
    model: str
    tables: Mapping[str, Mapping[str, int]]

    def encode(self) -> bytes:
        """Write the manifest as JSON."""
        content = self.__dict__ | {"captured_at": self.captured_at.isoformat(), "format": FORMAT}
        return (json.dumps(content, indent=1) + "\n").encode()


def newest_processed(processed: Objects) -> int:
    """Find the last batch that has been transformed, 0 for none."""
    return newest_batch(processed)


def read_processed(processed: Objects, batch: int) -> Processed:
    """Read the processed manifest of a batch that must exist; StateError when it cannot be read."""
    try:
        content = json.loads(processed.get(manifest_key(batch)))
        content["captured_at"] = datetime.fromisoformat(content["captured_at"])
        content.pop("format")
        return Processed(**content)
    except (ValueError, KeyError, TypeError) as exc:
        message = f"the processed manifest of batch {batch} cannot be read: {exc}"
        raise StateError(message, advice="restore it from the bucket's older versions", batch=batch) from exc
