"""Lines of COPY in blocks: none is lost or cut, and the session is whole however the stream ends."""

from collections.abc import Callable, Iterator

import pytest
from psycopg import errors, sql

from tidemark.postgres.connection import connect
from tidemark.postgres.copy_out import BLOCK_BYTES, BLOCK_LINES, copied_lines
from tidemark.postgres.session import Session


@pytest.fixture
def session(new_database: Callable[..., str]) -> Iterator[Session]:
    """Open a session in a transaction."""
    with connect(new_database(), application="test") as session, session.transaction():
        yield session


def copy(select: str) -> sql.Composed:
    """Write a COPY of a SELECT."""
    return sql.SQL("copy ({}) to stdout").format(sql.SQL(select))


@pytest.mark.parametrize("count", [0, 1, BLOCK_LINES, 3 * BLOCK_LINES + 1])
def test_blocks_hold_all_lines_whole_and_in_order(session: Session, count: int) -> None:
    blocks = list(copied_lines(session, copy(f"select n from generate_series(1, {count}) as n")))

    assert b"".join(blocks).splitlines() == [b"%d" % n for n in range(1, count + 1)]
    assert all(block.endswith(b"\n") and block.count(b"\n") <= BLOCK_LINES for block in blocks)


def test_a_block_ends_with_the_line_that_exceeds_it(session: Session) -> None:
    longest = 3 * BLOCK_BYTES

    select = f"select repeat('x', case n when 2 then {longest} else 1 end) from generate_series(1, 3) as n"
    blocks = list(copied_lines(session, copy(select)))

    assert list(map(len, blocks)) == [2 + longest + 1, 2]


def test_an_error_after_many_lines_comes_as_the_error_that_it_is(session: Session) -> None:
    received: list[bytes] = []

    with pytest.raises(errors.DivisionByZero) as caught:
        received.extend(copied_lines(session, copy("select 1 / (9999 - n) from generate_series(1, 10000) as n")))

    assert received
    assert caught.value.diag.sqlstate == "22012"
    assert caught.value.__notes__ == ["copy (select 1 / (9999 - n) from generate_series(1, 10000) as n) to stdout"]


def test_who_leaves_the_stream_leaves_the_session_usable(session: Session) -> None:
    with session.transaction(force_rollback=True):
        blocks = copied_lines(session, copy("select repeat('x', 1000) from generate_series(1, 100000)"))
        next(blocks)
        blocks.close()

    assert session.execute("select 1").fetchone() == (1,)


def test_a_session_that_is_ended_within_the_stream_says_so(session: Session, new_database: Callable[..., str]) -> None:
    blocks = copied_lines(session, copy("select repeat('x', 1000) from generate_series(1, 100000)"))
    next(blocks)
    with connect(new_database(), application="test") as other:
        other.execute(f"select pg_terminate_backend({session.info.backend_pid}, 10000)")

    with pytest.raises(errors.OperationalError):
        list(blocks)
