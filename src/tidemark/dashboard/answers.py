"""The answers of figures, kept for as long as the warehouse has no newer batch."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
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

Key = tuple[int, str, tuple[tuple[str, str | None], ...]]


class Answers:
    """What figures said, by statement, parameters and newest batch; several threads may ask."""

    def __init__(self, reader: Reader, clock: "Callable[[], datetime]") -> None:
        self._reader = reader
        self._clock = clock
        self._lock = Lock()
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._newest: tuple[datetime, int] | None = None

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

    def ask(self, figure: "Figure", chosen: "Chosen") -> Answer:
        """Give the answer of a figure, from the warehouse if it is not known."""
        return self.of(figure.sql, chosen.parameters(figure))

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


def written(statement: str) -> sql.SQL:
    """Take the SELECT of a model's file as it stands; its values go in as parameters."""
    return sql.SQL(statement)


def _key(batch: int, statement: str, values: Mapping[str, str | None]) -> Key:
    return batch, statement, tuple(sorted(values.items()))
