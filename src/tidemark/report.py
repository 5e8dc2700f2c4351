"""What a stage reports: its progress, through a callback while it works, and its result, as values at its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# What a whole run does, in this order.
STAGES = ("ingest", "transform", "load")
# A larger part of a table's rows than this is rather a fault of the model than of single values.
MOST_SET_ASIDE = 0.01


class Progress(Protocol):
    """Be called for a table when work on it begins (with zero rows, bytes and seconds) and when it is done.

    `batch` is the batch that is worked on, 0 if the work is not for one batch.
    """

    def __call__(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
        """Take note."""


def quiet(stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class TableReport:
    """What a stage did with one table; where inserts, updates and deletes are not told apart, they stay zero.

    `set_aside` counts the rows that transform put into quarantine beside the `rows` that it took.
    """

    rows: int = 0
    bytes: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    seconds: float = 0.0
    set_aside: int = 0

    @property
    def is_much_set_aside(self) -> bool:
        """Say whether more rows were set aside than a few wrong values explain."""
        return self.set_aside > MOST_SET_ASIDE * (self.rows + self.set_aside)


@dataclass(frozen=True)
class StageReport:
    """What a stage did: the batches that it finished, and its tables by name.

    `newest` is the last batch that the stage's output holds now, 0 for none. `captured_at` is the moment of the source
    that this output shows; for ingest it is the moment of the poll, whether the poll found changes or not. `drifts`
    counts the changes of tables' shapes that ingest took along. `set_aside` counts the open rows of quarantine after
    transform.
    """

    stage: str
    batches: tuple[int, ...]
    tables: Mapping[str, TableReport]
    seconds: float
    watermark: datetime | None = None
    newest: int = 0
    captured_at: datetime | None = None
    drifts: int = 0
    set_aside: int = 0

    @property
    def rows(self) -> int:
        """Count the rows of all tables."""
        return sum(table.rows for table in self.tables.values())

    @property
    def bytes(self) -> int:
        """Count the bytes of all tables."""
        return sum(table.bytes for table in self.tables.values())
