"""Giving way: who waits for a lock of ours does not wait for long, whatever our session is doing."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import psycopg
import pytest

from tidemark.errors import DataError, TransientError
from tidemark.postgres import giving_way as module
from tidemark.postgres.connection import connect, translated
from tidemark.postgres.giving_way import giving_way
from tidemark.postgres.session import Session

SOON = timedelta(milliseconds=100)
ALTERS = "alter table plan alter column name set default 'new'"
UPDATES = "update plan set name = 'other'"
ROLE = "tidemark_alone"
MANY_ROWS = "copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout"
# With the sleeps of 20 s below, what is quicker has not waited for us to end.
QUICK_SECONDS = 10


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    """A database with a table of one row."""
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("create table plan (id integer, name text); insert into plan values (1, 'one')")
    return url


@contextmanager
def reading(url: str, after: timedelta | None = SOON) -> Iterator[Session]:
    """Read the table within a transaction that gives way."""
    with (
        closing(connect(url, application="tidemark ingest", only_reads=True, keeps_snapshot=True)) as session,
        translated("the source"),
        session.transaction(force_rollback=True),
    ):
        session.execute("lock table plan in access share mode")
        with giving_way(session, url, "the source", after):
            yield session
    assert "tidemark onlooker" not in {each.name for each in threading.enumerate()}


@contextmanager
def waiting(url: str, *statements: str) -> Iterator[list[Future[float]]]:
    """Run statements in sessions of their own, each once the one before waits; they give how long they took."""

    def run(session: psycopg.Connection, statement: str) -> float:
        began = time.monotonic()
        session.execute(statement.encode())
        return time.monotonic() - began

    started: list[Future[float]] = []
    with ThreadPoolExecutor() as threads, psycopg.connect(url, autocommit=True) as looking, ExitStack() as sessions:
        for statement in statements:
            session = psycopg.connect(url, autocommit=True, application_name="migration")
            sessions.enter_context(session)
            started.append(threads.submit(run, session, statement))
            is_waiting = "select exists(select from pg_locks where not granted and pid = %s)"
            while looking.execute(is_waiting, [session.info.backend_pid]).fetchone() == (False,):
                time.sleep(0.005)
        yield started
        for each in started:
            assert each.result() < QUICK_SECONDS


def met(url: str, use: Callable[[Session, Future[float]], object], *statements: str) -> TransientError:
    """Do something with a session for which statements wait, and give the error with which it gives way."""
    with pytest.raises(TransientError) as caught, reading(url) as session, waiting(url, *statements) as waits:
        use(session, waits[0])
    return caught.value


def idle_first(session: Session, wait: Future[float]) -> None:
    wait.result()
    session.execute("select from plan")


def take_no_rows_at_first(session: Session, wait: Future[float]) -> None:
    with session.cursor().copy(MANY_ROWS) as copy:
        wait.result()
        list(copy)


def test_a_session_that_idles_is_ended_and_the_first_who_waits_is_named(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = met(url, idle_first, ALTERS, UPDATES)

    assert not caplog.records
    assert "the source is needed by others: the session with pid" in error.message
    assert "(application 'migration', role 'postgres', since 2" in error.message
    shown = ALTERS.replace("'new'", "'…'")
    assert f"`{shown}`) waits for AccessExclusiveLock on plan, so this command gave way after" in error.message
    assert "raise TIDEMARK_YIELD_AFTER (now 0.1s), or read a replica" in error.advice
    assert (error.table, error.mode, error.role) == ("plan", "AccessExclusiveLock", "postgres")


def test_a_statement_that_runs_and_a_copy_whose_rows_nobody_takes_are_ended(url: str) -> None:
    running = met(url, lambda session, _: session.execute("select pg_sleep(20)"), ALTERS)
    blocked = met(url, take_no_rows_at_first, ALTERS)

    assert "gave way" in running.message
    assert "gave way" in blocked.message


def test_who_needs_all_older_snapshots_gone_need_not_wait_either(url: str) -> None:
    error = met(url, idle_first, "create index concurrently on plan (id)")

    assert "`create index concurrently on plan (id)`) waits for this transaction to end" in error.message


def test_what_has_read_all_when_it_gives_way_ends_well(url: str) -> None:
    with reading(url) as session:
        assert session.execute("select name from plan").fetchall() == [("one",)]
        with waiting(url, ALTERS) as waits:
            waits[0].result()


def test_nobody_who_waits_for_somebody_else_ends_it(url: str) -> None:
    share = "set lock_timeout = '400ms'; lock table plan in share mode"
    with psycopg.connect(url) as writer, reading(url) as session:
        writer.execute(UPDATES)
        with psycopg.connect(url) as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(share)

        assert session.execute("select name from plan").fetchall() == [("one",)]


def test_where_it_is_turned_off_others_wait(url: str) -> None:
    with ExitStack() as later, reading(url, after=None) as session:
        (wait,) = later.enter_context(waiting(url, ALTERS))
        time.sleep(3 * SOON.total_seconds())
        assert not wait.done()
        assert session.execute("select name from plan").fetchall() == [("one",)]


def test_an_onlooker_that_cannot_connect_says_so_once_and_the_reading_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"create role {ROLE} login connection limit 1; grant select on plan to {ROLE}")
        with caplog.at_level(logging.WARNING), reading(url.replace("postgres@", f"{ROLE}@", 1)) as session:
            time.sleep(4 * SOON.total_seconds())
            session.execute("select from plan")
        owner.execute(f"drop owned by {ROLE}; drop role {ROLE}")

    (record,) = caplog.records
    assert "too many connections for role" in record.getMessage()
    assert "so we give way to nobody" in record.getMessage()


def test_who_may_not_end_sessions_says_so_and_the_reading_goes_on(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    with psycopg.connect(url, autocommit=True) as owner, ExitStack() as later:
        owner.execute("revoke execute on function pg_terminate_backend from public")
        owner.execute(f"create role {ROLE} login; grant select on plan to {ROLE}")
        with reading(url.replace("postgres@", f"{ROLE}@", 1)) as session:
            (wait,) = later.enter_context(waiting(url, ALTERS))
            time.sleep(4 * SOON.total_seconds())
            assert not wait.done()
            session.execute("select from plan")
        later.close()
        owner.execute(f"drop owned by {ROLE}; drop role {ROLE}")

    (record,) = caplog.records
    assert "permission denied for function pg_terminate_backend" in record.getMessage()


def test_an_onlooker_that_gets_no_answer_says_so_and_keeps_nobody_waiting(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    with (
        closing(connect(url, application="test", keeps_snapshot=True)) as session,
        socket.create_server(("", 0)) as dumb,
    ):
        nobody = f"postgresql://127.0.0.1:{dumb.getsockname()[1]}/x"
        with session.transaction(), giving_way(session, nobody, "the source", SOON):
            time.sleep(2 * SOON.total_seconds())
        assert [each.getMessage() for each in caplog.records if "a pooler may have no second one" in each.getMessage()]
    for each in threading.enumerate():
        if each.name == "tidemark onlooker":
            each.join()


@pytest.mark.parametrize(
    ("error", "becomes"), [(psycopg.errors.DivisionByZero, DataError), (KeyboardInterrupt, KeyboardInterrupt)]
)
def test_another_error_stays_what_it_is_and_ends_the_onlooker(
    url: str, error: type[BaseException], becomes: type[BaseException]
) -> None:
    with pytest.raises(becomes), reading(url):  # noqa: PT012 -- what raises is the block
        time.sleep(2 * SOON.total_seconds())
        raise error
    assert "tidemark onlooker" not in {each.name for each in threading.enumerate()}
