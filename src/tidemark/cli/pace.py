"""How a stage gets on: what is done, how fast, and about how long the rest takes. No clock is read here.

The time left is an estimate out of an estimate: rows that a manifest or the planner knows, and the rows per second so
far. So it is said with "about", and not at all while too little is done or a table's rows are unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from tidemark.amounts import shown_age, shown_bytes
from tidemark.cli.output import shown_count

GAP = "  "
# Less than this says nothing about the rest.
LEAST_SECONDS, LEAST_PART = 2.0, 0.02
MOST_PERCENT = 100.0


def seconds_left(done: int, total: int, seconds: float) -> float | None:
    """Give the time that the rest takes at the pace so far; None if nobody can say, or next to nothing is left."""
    if seconds < LEAST_SECONDS or not LEAST_PART * total <= done < total:
        return None
    left = seconds * (total - done) / done
    return left if left >= 1 else None


@dataclass
class Pace:
    """One stage at work, since `started` on some clock."""

    stage: str
    started: float
    expected: Mapping[str, int | None] = field(default_factory=dict)
    batch: int = 0
    table: str = ""
    rows: int = 0
    size_bytes: int = 0
    finished: set[str] = field(default_factory=set)
    # The rows and bytes so far of the tables that are not finished.
    in_hand: dict[str, tuple[int, int]] = field(default_factory=dict)
    # How far the engine is with its statement in hand; below zero if nobody knows.
    percent: Callable[[], float] = lambda: -1.0

    def note(self, table: str, rows: int, size_bytes: int, *, is_done: bool, batch: int) -> None:
        """Take note of a table."""
        self.table, self.batch = table, batch
        if not is_done:
            self.in_hand[table] = rows, size_bytes
            return
        self.in_hand.pop(table, None)
        self.finished.add(table)
        self.rows += rows
        self.size_bytes += size_bytes

    def seconds_left(self, now: float) -> float | None:
        """Give about how long the rest of the stage takes; None if nobody can say."""
        known = [rows for rows in self.expected.values() if rows is not None]
        if not known or len(known) < len(self.expected):
            return None
        of_finished = sum(self.expected.get(name) or 0 for name in self.finished)
        so_far = sum(min(rows, self.expected.get(name) or 0) for name, (rows, _) in self.in_hand.items())
        return seconds_left(of_finished + so_far, sum(known), now - self.started)

    def _step(self) -> str:
        # A table takes several statements. Where its rows are counted, they say more.
        percent = self.percent() if self.table in self.in_hand and not self.in_hand[self.table][0] else -1.0
        return f"a step of it {percent:.0f} %" if 0 <= percent < MOST_PERCENT else ""

    def line(self, now: float, width: int) -> str:
        """Say it in one line."""
        rows = self.rows + sum(rows for rows, _ in self.in_hand.values())
        size_bytes = self.size_bytes + sum(size for _, size in self.in_hand.values())
        seconds, left = now - self.started, self.seconds_left(now)
        # In the order in which they are shown, each with its rank: what matters least is left out first.
        parts = [
            (0, f"{self.stage}{f', batch {self.batch}' if self.batch else ''}: {self.table}"),
            (5, f"{len(self.finished)}{f' of {len(self.expected)}' if self.expected else ''} done"),
            (1, self._step()),
            (1, f"{shown_count(rows)} rows" if rows else ""),
            (4, shown_bytes(size_bytes) if size_bytes else ""),
            (3, f"{shown_count(round(rows / seconds))}/s" if rows and seconds >= 1 else ""),
            (2, f"about {shown_age(timedelta(seconds=left))} left" if left is not None else ""),
        ]
        return fitting([part for part in parts if part[1]], width)


def fitting(parts: Sequence[tuple[int, str]], width: int) -> str:
    """Join as many texts as fit, those of the lowest ranks, in their order; the first rank is cut if it must be."""
    for most in range(max(rank for rank, _ in parts), -1, -1):
        line = GAP.join(text for rank, text in parts if rank <= most)
        if len(line) <= width:
            return line
    return f"{line[: width - 1]}…"
