"""When each table of the source last changed, as the log's newest manifest has it.

That manifest names the batch that changed a table last. When that batch was captured, the warehouse's ledger knows of
all batches that were loaded; for another one its own manifest is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tidemark.log.changelog import ChangeLog, Manifest


@dataclass(frozen=True)
class TableState:
    """A source table as of the newest batch: its rows, the last batch that changed it, and the moment of that batch.

    `batch` is 0 if the table is empty and always was.
    """

    rows: int
    batch: int
    changed_at: datetime | None


def last_changes(log: ChangeLog, head: Manifest, moments: dict[int, datetime]) -> Mapping[str, TableState]:
    """Give the state of every table, the last changed first.

    Args:
        log: the log.
        head: its newest manifest.
        moments: when batches were captured, as far as that is known; gets those that had to be looked up.

    Raises:
        StateError: a manifest cannot be read.
        TransientError: the log is away.
    """
    moments[head.batch] = head.captured_at
    known = {name: entry for name, entry in head.tables.items() if entry.is_known}
    for batch in sorted({entry.changed_in for entry in known.values()} - moments.keys() - {0}):
        moments[batch] = log.manifest(batch).captured_at
    states = {
        name: TableState(each.rows, each.changed_in, moments.get(each.changed_in)) for name, each in known.items()
    }
    return dict(sorted(states.items(), key=lambda item: (-item[1].batch, item[0])))
