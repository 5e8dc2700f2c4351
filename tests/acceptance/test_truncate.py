"""TRUNCATE is not MVCC-safe: an older snapshot sees the table empty, and a careless poll finds all rows deleted."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.small_source import SmallSource
from tidemark.capture import source as source_module
from tidemark.errors import TransientError
from tidemark.log.changelog import ChangeLog

TABLE = """
create table plan (plan_id integer primary key, name text);
create table other (other_id integer primary key);
insert into plan select n, 'plan ' || n from generate_series(1, 100) as n;
insert into other select n from generate_series(1, 100) as n
"""
MODEL = """
[source.plan]
key = ["plan_id"]

[source.other]
key = ["other_id"]
"""
RELOADED = "truncate plan; insert into plan select n, 'plan ' || n from generate_series(1, 100) as n"
PATIENCE_SECONDS = 20


@pytest.fixture
def source(new_database: Callable[..., str], tmp_path: Path) -> SmallSource:
    """Two tables whose baseline has been polled."""
    source = SmallSource(tmp_path, new_database(), MODEL)
    source.execute(TABLE)
    source.ingest()
    return source


def wait_until_a_poll_waits(source: SmallSource) -> None:
    """Wait until a poll stands in the queue for a lock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    waiting = (
        "select count(*) from pg_locks as l inner join pg_stat_activity as a using (pid)"
        " where not l.granted and l.mode = 'AccessShareLock' and a.application_name like 'tidemark%'"
    )
    with source.connect() as onlooker:
        while time.monotonic() < deadline:
            if onlooker.execute(waiting).fetchone() != (0,):
                return
            time.sleep(0.01)
    pytest.fail("no poll came to wait for the lock")


@contextmanager
def changed_meanwhile(source: SmallSource, statements: str, then: str = "") -> Iterator[None]:
    """Make changes of which a poll in the block comes to know when they commit, while it is on its way.

    `then` is done in the same transaction, once the poll waits.
    """
    with source.connect(autocommit=False) as writer, ThreadPoolExecutor(max_workers=1) as executor:
        writer.execute(statements.encode())

        def commit() -> None:
            wait_until_a_poll_waits(source)
            writer.execute(then.encode())
            writer.commit()

        committed = executor.submit(commit)
        yield
        committed.result()


def test_a_reload_that_commits_while_a_poll_begins_deletes_nothing(source: SmallSource) -> None:
    with changed_meanwhile(source, RELOADED):
        manifest = source.ingest()

    assert manifest is None
    assert source.latest("plan") == source.source("plan")


def test_a_reload_with_other_rows_brings_just_the_difference(source: SmallSource) -> None:
    reload = f"{RELOADED}; delete from plan where plan_id = 7; update plan set name = 'other' where plan_id = 8"
    with changed_meanwhile(source, reload):
        counts = source.counts("plan")

    assert counts == (0, 1, 1)
    assert source.latest("plan") == source.source("plan")


def test_a_rewriting_alter_that_commits_while_a_poll_begins_deletes_nothing(source: SmallSource) -> None:
    with changed_meanwhile(source, "alter table plan alter column plan_id type bigint"):
        counts = source.counts("plan")

    assert counts == (0, 0, 0)
    assert source.latest("plan") == source.source("plan")


def test_tables_that_wait_for_no_lock_are_read_in_the_same_late_snapshot(source: SmallSource) -> None:
    with changed_meanwhile(source, f"{RELOADED}; insert into other values (101); insert into plan values (101, 'new')"):
        manifest = source.ingest()

    assert manifest is not None
    assert [manifest.tables[name].inserted for name in ("plan", "other")] == [1, 1]


def test_a_truncate_that_stays_is_a_delete_of_every_row(source: SmallSource) -> None:
    source.execute("truncate plan")

    assert source.counts("plan") == (0, 0, 100)
    assert source.latest("plan") == []


def test_a_migration_of_two_tables_and_a_poll_do_not_wait_for_each_other(source: SmallSource) -> None:
    with changed_meanwhile(source, "alter table other add name text", then="alter table plan add price integer"):
        manifest = source.ingest()

    assert manifest is not None
    assert {column.name for column in manifest.tables["plan"].columns} == {"plan_id", "name", "price"}


def test_a_poll_that_waits_too_long_for_a_lock_writes_nothing(
    source: SmallSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "LOCK_TIMEOUT_SECONDS", 0.2)
    objects = [each.key for each in source.objects.list()]
    pointer = source.pointer.read()

    with source.connect(autocommit=False) as writer:
        writer.execute("truncate plan")
        with pytest.raises(TransientError, match="lock timeout") as caught:
            source.ingest()

        pid = writer.info.backend_pid
        writer.rollback()

    assert f"table plan is locked by the session with pid {pid} (" in caught.value.message
    assert "`truncate plan`)" in caught.value.message
    assert f"pg_terminate_backend({pid})" in caught.value.advice
    assert caught.value.sqlstate == "55P03"
    assert [each.key for each in source.objects.list()] == objects
    assert source.pointer.read() == pointer
    assert source.ingest() is None
    assert ChangeLog(source.objects).newest().batch == 1  # type: ignore[union-attr]
