"""What all connections to one database of the engine share: memory, turns, and the numbers of working tables."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


@dataclass
class Shared:
    """What all connections to one database share: the numbers of working tables, whose schema is one, and the memory.

    `taken_bytes` is what the database may take by now, 0 for the limit that it was opened with. `running` counts the
    statements that run beside each other, on `threads` threads.
    """

    threads: int = 1
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    taken_bytes: int = 0
    running: int = 0
    turn: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Wait while a statement runs alone."""
        with self.turn:
            self.running += 1
        try:
            yield
        finally:
            with self.turn:
                self.running -= 1
                self.turn.notify_all()

    @contextmanager
    def alone(self, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
        """Wait until no statement runs; until the block ends no other begins, and there is one thread.

        A thread takes memory for the rows that it has in hand, 2,048 of them at each step of a statement, and some 32
        KB for each column of text. So a statement over many columns needs half as much on one thread as on two.
        """
        with self.turn:
            self.turn.wait_for(lambda: not self.running)
            connection.execute("set threads = 1")
            try:
                yield
            finally:
                connection.execute("set threads = ?", [self.threads])
