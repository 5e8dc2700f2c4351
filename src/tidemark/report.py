"""What a stage says of itself: while it works, by a callback, and at its end, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Progress(Protocol):
    """Be told of a table when work on it begins (all numbers zero) and when it is done."""

    def __call__(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, /) -> None:
        """Take note."""


def quiet(stage: str, table: str, rows: int, size_bytes: int, seconds: float, /) -> None:
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
    """What a stage did: the batches that it finished, and its tables by name."""

    stage: str
    batches: tuple[int, ...]
    tables: Mapping[str, TableReport]
    seconds: float
    watermark: datetime | None = None

    @property
    def rows(self) -> int:
        """Count the rows of all tables."""
        return sum(table.rows for table in self.tables.values())
