"""Readers: sessions that see one snapshot and read parts of a table at the same time.

What they read comes in the order of the parts, so whoever takes it cannot tell how many readers there were.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import cached_property
from typing import Any

import psycopg
from psycopg.sql import Composed

from tidemark.disclosure import told
from tidemark.errors import TidemarkError
from tidemark.postgres.copy_out import copied_lines
from tidemark.postgres.session import Session

logger = logging.getLogger(__name__)
# As much of a part is held in memory while the parts before it are taken.
AHEAD_BYTES = 8 << 20
CANCEL_SECONDS = 1.0
THREADS = "tidemark reader"


class Readers:
    """One session, and others that are opened when several parts are to be read for the first time."""

    def __init__(self, first: Session, workers: int = 1, open_other: Callable[[], Session] | None = None) -> None:
        self._first, self.workers, self._open_other = first, workers, open_other

    @cached_property
    def _sessions(self) -> Sequence[Session]:
        """Give all sessions; where others cannot be had, the first one reads everything."""
        sessions = [self._first]
        while self._open_other and len(sessions) < self.workers:
            try:
                sessions.append(self._open_other())
            except (psycopg.Error, TidemarkError) as exc:
                logger.warning("%d of %d sessions read the source: %s", len(sessions), self.workers, told(exc))
                break
        return sessions

    def answers(self, statements: Sequence[Composed]) -> list[list[tuple[Any, ...]]]:
        """Give the rows of each statement."""
        if len(statements) == 1:
            return [self._first.execute(statements[0]).fetchall()]
        idle = deque(self._sessions)

        def answer(statement: Composed) -> list[tuple[Any, ...]]:
            session = idle.popleft()
            rows = session.execute(statement).fetchall()
            idle.append(session)
            return rows

        with ThreadPoolExecutor(len(self._sessions), THREADS) as threads:
            return list(threads.map(answer, statements))

    def streamed(self, statements: Sequence[Composed]) -> Iterator[bytes]:
        """Stream what each COPY sends, one after the other, in blocks of whole lines; see `copied_lines`."""
        if len(statements) == 1 or len(self._sessions) == 1:
            for statement in statements:
                yield from copied_lines(self._first, statement)
            return
        streams = [_Stream(statement) for statement in statements]
        waiting, room = deque(streams), threading.Semaphore(len(self._sessions) + 1)
        with ThreadPoolExecutor(len(self._sessions), THREADS) as threads:
            for session in self._sessions:
                threads.submit(_read, session, waiting, room)
            is_whole = False
            try:
                for stream in streams:
                    yield from stream.blocks()
                    room.release()
                is_whole = True
            finally:
                waiting.clear()
                room.release(len(self._sessions))
                if not is_whole:
                    self._interrupt(streams)

    def _interrupt(self, streams: Sequence["_Stream"]) -> None:
        """Let no session go on with what nobody takes."""
        for stream in streams:
            stream.leave()
        for session in self._sessions:
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=CANCEL_SECONDS)


def _read(session: Session, waiting: deque["_Stream"], room: threading.Semaphore) -> None:
    """Read one part after the other; few are read before the first of them has been taken."""
    while True:
        room.acquire()
        try:
            stream = waiting.popleft()
        except IndexError:
            return
        stream.fill(session)


class _Stream:
    """What one COPY sends: one thread fills it, another takes its blocks."""

    def __init__(self, statement: Composed) -> None:
        self._statement = statement
        self._blocks: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_over = self._is_left = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def fill(self, session: Session) -> None:
        """Run the COPY; what it fails with is raised where its blocks are taken."""
        try:
            with closing(copied_lines(session, self._statement)) as blocks:
                for block in blocks:
                    if not self._put(block):
                        return
        except BaseException as exc:  # noqa: BLE001 -- it is raised in the other thread
            self._error = exc
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _put(self, block: bytes) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._held_bytes < AHEAD_BYTES or self._is_left)
            self._blocks.append(block)
            self._held_bytes += len(block)
            self._changed.notify_all()
            return not self._is_left

    def leave(self) -> None:
        """Take no more blocks."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    def blocks(self) -> Iterator[bytes]:
        """Take the blocks, each once it is there."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._is_over)
                taken, self._held_bytes = list(self._blocks), 0
                self._blocks.clear()
                self._changed.notify_all()
            if not taken:
                break
            yield from taken
        if self._error:
            raise self._error
