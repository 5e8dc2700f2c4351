"""What a wait says: who holds the lock, since when, by which statement, and what to do."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from tests.support.library import after_one_batch
from tests.support.pipeline import Rig
from tidemark.errors import TransientError
from tidemark.postgres.connection import connect, translated
from tidemark.postgres.session import Session
from tidemark.postgres.waits import AGAINST_READERS, naming_holders
from tidemark.warehouse import session as session_module
from tidemark.warehouse.session import open_warehouse

ROLE = "tidemark_onlooker"
SECOND_BATCH = """
insert into tidemark.batch (batch, pipeline_id, run_id, captured_at, model, row_counts)
values (2, gen_random_uuid(), gen_random_uuid(), now(), '', '{}')
"""


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    """A database with a table."""
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("create table plan (id integer)")
    return url


@pytest.fixture
def onlooker(url: str) -> Iterator[str]:
    """A role that may read the table and not look into other sessions, and how it reaches the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {ROLE} login; grant select on plan to {ROLE}")
        yield url.replace("postgres@", f"{ROLE}@", 1)
        connection.execute(f"drop owned by {ROLE}; drop role {ROLE}")


def refused(url: str) -> TransientError:
    """Wait for a lock in vain, and give the error."""
    with closing(connect(url, application="tidemark ingest", only_reads=True)) as session:
        session.lock_timeout = "50ms"
        with pytest.raises(TransientError) as caught:
            lock(session)
    assert caught.value.sqlstate == "55P03"
    return caught.value


def lock(session: Session) -> None:
    with (
        translated("the source"),
        naming_holders(session, "the source", ["plan"], AGAINST_READERS),
        session.transaction(),
    ):
        session.execute("lock table plan in access share mode")


def test_a_session_that_waits_itself_is_named_with_the_one_that_it_waits_for(url: str) -> None:
    altering = "alter table plan add name text"
    with (
        psycopg.connect(url, application_name="report") as reader,
        psycopg.connect(url, application_name="migration") as writer,
    ):
        reader.execute("select from plan")
        thread = threading.Thread(target=writer.execute, args=[altering])
        thread.start()
        while not is_waiting(reader):
            time.sleep(0.01)
        error = refused(url)
        reader.commit()
        thread.join()

        awaited = (
            f"table plan is awaited by the session with pid {writer.info.backend_pid} (application 'migration', since"
        )
        assert awaited in error.message
        assert f"`{altering}`), which waits for the session with pid {reader.info.backend_pid}" in error.message
        assert f"pg_terminate_backend({reader.info.backend_pid})" in error.advice


def is_waiting(connection: psycopg.Connection) -> bool:
    return connection.execute("select exists(select from pg_locks where not granted)").fetchone() == (True,)


def test_a_prepared_transaction_is_named(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("begin; lock table plan; prepare transaction 'forgotten'")
        error = refused(url)
        connection.execute("rollback prepared 'forgotten'")

    assert "is locked by the prepared transaction 'forgotten' (since 2" in error.message
    assert "rollback prepared 'forgotten'" in error.advice


def test_a_role_that_may_not_look_into_other_sessions_learns_their_pid(url: str, onlooker: str) -> None:
    with psycopg.connect(url, application_name="migration") as writer:
        writer.execute("truncate plan")
        error, pid = refused(onlooker), writer.info.backend_pid

    assert f"pid {pid} (application 'migration'," in error.message
    assert "its statement is hidden from this role)" in error.message


def test_a_statement_that_is_cancelled_is_named(url: str) -> None:
    with closing(connect(url, application="test")) as session, psycopg.connect(url, autocommit=True) as other:
        canceller = threading.Timer(0.2, other.execute, ["select pg_cancel_backend(%s)", [session.info.backend_pid]])
        canceller.start()
        expected = r"due to user request \(select pg_sleep\(30\)\)"
        with pytest.raises(TransientError, match=expected) as caught, translated("the source"):
            session.execute("select pg_sleep(30)")
        canceller.join()

    assert "pg_cancel_backend" in caught.value.advice


def test_a_load_says_whom_it_waits_for_and_takes_its_turn_whatever_the_default_isolation(
    kept_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_module, "TURN_PERIOD", "100ms")
    rig = kept_rig("library after one batch", after_one_batch)
    strict = f"{rig.warehouse_url}&options=-cdefault_transaction_isolation%3Drepeatable%5C%20read"
    found: list[int] = []
    with open_warehouse(strict, "another load") as first, open_warehouse(strict) as second:

        def wait() -> None:
            with second.turn() as newest:
                found.append(newest)

        thread = threading.Thread(target=wait)
        with first.turn() as done, caplog.at_level(logging.WARNING):
            assert done == 1
            thread.start()
            thread.join(0.5)
            first.connection.execute(SECOND_BATCH)
            pid = first.connection.info.backend_pid
        thread.join()

    assert found == [2]
    assert f"waiting for a turn, which has the session with pid {pid} (application 'another load'" in caplog.text
