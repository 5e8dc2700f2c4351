"""Reading a COPY in blocks of lines: psycopg's own loop takes longer to hand over a line than libpq to receive it."""

from collections.abc import Generator

from psycopg import errors
from psycopg.abc import PQGen
from psycopg.generators import fetch_many
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.sql import Composed
from psycopg.waiting import Wait

from tidemark.postgres.session import Session

BLOCK_BYTES = 1 << 16
# Each line is an object until its block is complete. Python looks for garbage after 700 new objects, and would pass
# these on to its longer searches.
BLOCK_LINES = 200


def copied_lines(session: Session, statement: Composed) -> Generator[bytes, None, None]:
    """Stream what COPY sends in blocks of whole lines; whoever leaves the stream in the middle cancels the statement.

    No block has more than `BLOCK_BYTES` beside its last line.
    """
    with session.cursor() as cursor, cursor.copy(statement):
        is_over = False
        while not is_over:
            lines, is_over = session.wait(_receive(session.pgconn))
            if lines:
                yield b"".join(lines)


def _receive(pgconn: PGconn) -> PQGen[tuple[list[memoryview], bool]]:
    """Receive the lines of the next block, and say whether it is the last one."""
    lines: list[memoryview] = []
    size_bytes = 0
    while size_bytes < BLOCK_BYTES and len(lines) < BLOCK_LINES:
        length, line = pgconn.get_copy_data(1)
        if length > 0:
            lines.append(line)
            size_bytes += length
        elif length == 0:
            while not (yield Wait.R):
                continue
            pgconn.consume_input()
        else:
            yield from _end(pgconn)
            return lines, True
    return lines, False


def _end(pgconn: PGconn) -> PQGen[None]:
    """Take the result of the COPY, whose lines have all been received."""
    for result in (yield from fetch_many(pgconn)):
        if result.status != ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result)
