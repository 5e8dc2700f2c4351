"""The answers of figures, kept for as long as the warehouse has no newer batch."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

from psycopg import sql

from tidemark.dashboard.reader import Answer, Reader
from tidemark.postgres.queries import query

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemark.dashboard.figures import Figure
    from tidemark.dashboard.filters import Chosen

MOST_KEPT = 256
# A page with ten figures asks once which batch is the newest.
ASK_AGAIN_AFTER = timedelta(seconds=2)
# A figure that is slow keeps no other from being asked for.
HEAD_START_SECONDS = 0.5

Key = tuple[int, str, tuple[tuple[str, str | None], ...]]


class Answers:
    """What figures said, by statement, parameters and newest batch; several threads may ask."""

    def __init__(self, reader: Reader, clock: "Callable[[], datetime]") -> None:
        self._reader = reader
        self._clock = clock
        self._lock = Lock()
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._newest: tuple[datetime, int] | None = None
        self.head_start = HeadStart()

    def newest_batch(self) -> int:
        """Give the last batch that was loaded, as of some moments ago, 0 for none."""
        known, now = self._newest, self._clock()
        if known is None or now - known[0] > ASK_AGAIN_AFTER:
            known = now, int(self._reader.ask(query("dashboard", "newest_batch")).rows[0][0])
            self._newest = known
        return known[1]

    def known(self, figure: "Figure", chosen: "Chosen") -> Answer | None:
        """Give the answer of a figure if it needs no SELECT."""
        key = _key(self.newest_batch(), figure.sql, chosen.parameters(figure))
        with self._lock:
            return self._kept.get(key)

    def ask(self, figure: "Figure", chosen: "Chosen", *, is_first: bool = False) -> Answer:
        """Give the answer of a figure, from the warehouse if it is not known.

        The first figure of a page has the warehouse to itself for a moment: four statements at once take four times as
        long each, and whoever waits looks at the first.
        """
        if not is_first:
            if self.known(figure, chosen) is None:
                self.head_start.wait()
            return self.of(figure.sql, chosen.parameters(figure))
        self.head_start.give()
        try:
            return self.of(figure.sql, chosen.parameters(figure))
        finally:
            self.head_start.end()

    def of(self, statement: str, values: Mapping[str, str | None]) -> Answer:
        """Give the answer of a SELECT with named parameters."""
        key = _key(self.newest_batch(), statement, values)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self._reader.ask(written(statement), values)
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found


class HeadStart:
    """A moment in which others wait for the first figure of a page; nobody waits longer, whatever becomes of it."""

    def __init__(self) -> None:
        self._is_over = Event()
        self._until = 0.0

    def give(self) -> None:
        """Let others wait from now on."""
        self._until = monotonic() + HEAD_START_SECONDS
        self._is_over.clear()

    def wait(self) -> None:
        """Wait for whoever is first."""
        self._is_over.wait(max(0.0, self._until - monotonic()))

    def end(self) -> None:
        """Let others go on."""
        self._is_over.set()


def written(statement: str) -> sql.SQL:
    """Take the SELECT of a model's file as it stands; its values go in as parameters."""
    return sql.SQL(statement)


def _key(batch: int, statement: str, values: Mapping[str, str | None]) -> Key:
    return batch, statement, tuple(sorted(values.items()))
