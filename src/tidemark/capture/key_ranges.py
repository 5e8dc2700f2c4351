"""Ranges of a key: how a large table is cut for several sessions to read, each range by its index."""

from collections.abc import Sequence
from dataclasses import dataclass

# Of a table that lies in another order than its key, each range would read pages of all the others.
LEAST_CORRELATION = 0.9


@dataclass(frozen=True)
class Extent:
    """What PostgreSQL's statistics say of a table: its bytes, and how far its rows lie in the order of the key."""

    size_bytes: int
    correlation: float

    @property
    def is_in_order(self) -> bool:
        """Say whether a range of the key is a range of pages, in either direction."""
        return abs(self.correlation) >= LEAST_CORRELATION


def inner_bounds(low: int, high: int, pieces: int) -> Sequence[int]:
    """Give the keys with which the second and each later range begins; the first begins, and the last ends, nowhere.

    Args:
        low: the lowest key.
        high: the highest key.
        pieces: how many ranges are wanted; there are fewer where there are fewer keys.
    """
    wanted = min(pieces, high - low + 1)
    return [low + (high - low + 1) * each // wanted for each in range(1, wanted)]
