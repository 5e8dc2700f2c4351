"""The kept sums: what all tables of latest add up to as of the pointer, written down and read again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tidemark.capture.sweep import Bucketing, Sum, Sums
from tidemark.log.changelog import TableEntry

FORMAT = 1


@dataclass(frozen=True)
class TableSums:
    """The sums of one table, the way in which its rows are hashed, and the digest of what the cursor read last."""

    hashed_by: str
    sums: Sums
    cursor: str | None = None


@dataclass(frozen=True)
class KeptSums:
    """The sums of the tables of latest in one pipeline; a table whose sums are not known is left out."""

    pipeline_id: str
    tables: Mapping[str, TableSums] = field(default_factory=dict)

    def of(self, name: str, entry: TableEntry, *, by_key: bool) -> TableSums | None:
        """Give what is known of a table if its rows still have their hashes and buckets in that way, else None."""
        kept = self.tables.get(name)
        if kept is None or kept.hashed_by != entry.hashed_by or kept.sums.bucketing.by_key != by_key:
            return None
        return kept

    def encode(self) -> bytes:
        """Write the sums as JSON; a hash sum is a text, because it exceeds 2^53."""
        tables = {
            name: {
                "hashed_by": table.hashed_by,
                "cursor": table.cursor,
                "bucketing": asdict(table.sums.bucketing),
                "buckets": {str(bucket): [each.rows, str(each.hashes)] for bucket, each in table.sums.buckets.items()},
            }
            for name, table in self.tables.items()
        }
        content = {"format": FORMAT, "pipeline_id": self.pipeline_id, "tables": tables}
        return (json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n").encode()

    @classmethod
    def decode(cls, body: bytes | None, pipeline_id: str) -> "KeptSums":
        """Read sums; there are none in what is nothing, is of another pipeline, or was written in another form."""
        try:
            content = json.loads(body or b"{}")
            if (content["format"], content["pipeline_id"]) != (FORMAT, pipeline_id):
                return cls(pipeline_id)
            return cls(pipeline_id, {name: _table(table) for name, table in content["tables"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(pipeline_id)


def _table(content: Mapping[str, Any]) -> TableSums:
    buckets: dict[int | None, Sum] = {
        int(bucket): Sum(rows, int(hashes)) for bucket, (rows, hashes) in content["buckets"].items()
    }
    sums = Sums(Bucketing(**content["bucketing"]), buckets)
    return TableSums(content["hashed_by"], sums, content.get("cursor"))
