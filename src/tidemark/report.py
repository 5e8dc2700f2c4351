"""What a stage says of itself: while it works, by a callback, and at its end, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Progress(Protocol):
    """Be told of a table when work on it begins (rows, bytes and seconds zero) and when it is done.

    `batch` is the one in hand, 0 where the work is not of one batch.
    """

    def __call__(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
        """Take note."""


def quiet(stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class TableReport:
    """What a stage did with one table; a stage that does not tell changes apart leaves their counts at zero."""

    rows: int = 0
    bytes: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class StageReport:
    """What a stage did: the batches that it finished, and its tables by name.

    `newest` is the last batch that there is behind the stage now, 0 for none; `captured_at` is the moment of the source
    that this shows: for ingest that of the poll, whether it found anything or not. `drifts` counts the changes of
    tables' shapes that ingest has taken along, `set_aside` the rows that lie in quarantine behind transform.
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
