"""Several sessions read one table in one snapshot, and nobody can tell by what they read how many they were."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pipeline import clock
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.capture.key_ranges import inner_bounds
from tidemark.capture.poll import split_lines
from tidemark.capture.readers import THREADS
from tidemark.capture.snapshot import Snapshot
from tidemark.capture.source import open_source
from tidemark.capture.sweep import Bucketing
from tidemark.capture.watermark import Span
from tidemark.errors import TransientError
from tidemark.ingest import Ingest
from tidemark.lake.engine import open_engine
from tidemark.log.changelog import ChangeLog, TableEntry
from tidemark.log.pointer import open_pointer
from tidemark.model import Model
from tidemark.objects import open_objects

WORKERS = 3
# A few pages, so that tables of some thousand rows are cut.
RANGE_BYTES = 4 * 8192
TABLES = """
create table ordered (id bigint primary key, at timestamp, name text);
insert into ordered select n, timestamp '2024-01-01' + n * interval '1 minute', repeat('x', n % 90)
from generate_series(1, 5000) as n;
create table sparse (id integer primary key, at timestamp, name text);
insert into sparse select n * n - 9000000, null, 'row ' || n from generate_series(1, 4000) as n;
create table parted (id bigint, at timestamp, name text, primary key (id, at)) partition by range (at);
create table parted_old partition of parted for values from (minvalue) to ('2024-01-02');
create table parted_new partition of parted for values from ('2024-01-02') to (maxvalue);
create unique index on parted_old (id);
create unique index on parted_new (id);
insert into parted select * from ordered;
create table scattered (id bigint primary key, at timestamp, name text);
insert into scattered select id, at, name from ordered order by md5(id::text);
create table worded (id text primary key, at timestamp, name text);
insert into worded select lpad(id::text, 9, '0'), at, name from ordered;
create table small (id bigint primary key, at timestamp, name text);
insert into small values (1, null, 'one'), (2, null, 'two');
"""
CUT, WHOLE = ("ordered", "sparse", "parted"), ("scattered", "worded", "small")
MODEL = "".join(f'[source.{table}]\nkey = ["id"]\nupdated = "at"\n' for table in (*CUT, *WHOLE))
APPLICATION = "select count(*) from pg_stat_activity where application_name = 'tidemark ingest' and datname = %s"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of the tables."""
    return write_model(tmp_path_factory.mktemp("readers") / "model", MODEL)


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A source with the tables, about which PostgreSQL has its statistics."""
    database = postgres.create()
    with psycopg.connect(postgres.url(database), autocommit=True) as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.execute(statement.encode())
        connection.execute("vacuum analyze")
    yield postgres.url(database)
    postgres.drop(database)


@contextmanager
def snapshot_of(
    url: str, model: Model, workers: int = WORKERS, yield_after: timedelta | None = None
) -> Iterator[Snapshot]:
    """Take a snapshot that so many sessions read."""
    with (
        open_source(url, yield_after, workers, RANGE_BYTES) as source,
        source.snapshot(model.sources.values()) as snapshot,
    ):
        yield snapshot
    assert not [each for each in threading.enumerate() if each.name.startswith(THREADS)]


def sessions(url: str) -> int:
    """Count the sessions that read the source."""
    with psycopg.connect(url) as connection:
        row = connection.execute(APPLICATION, [connection.info.dbname]).fetchone()
        assert row
        return int(row[0])


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 1 << 64), st.integers(1, 50))
def test_ranges_are_in_order_and_leave_no_key_out(low: int, span: int, pieces: int) -> None:
    high = low + span

    bounds = inner_bounds(low, high, pieces)

    assert len(bounds) == min(pieces, span + 1) - 1
    assert all(low < bound <= high for bound in bounds)
    assert list(bounds) == sorted(set(bounds))


@pytest.mark.parametrize("table", [*CUT, *WHOLE])
def test_rows_and_sums_are_the_same_by_one_session_and_by_several(url: str, model: Model, table: str) -> None:
    source, rows, sums, within = model.sources[table], [], [], []
    day = datetime(2024, 1, 2)  # noqa: DTZ001 -- as the column has it
    spans = [Span("at", "timestamp", day, day + timedelta(days=1))]
    buckets = Bucketing(by_key=False, mask=7) if table == "worded" else Bucketing(by_key=True, shift=9)
    for workers in (1, WORKERS):
        with snapshot_of(url, model, workers) as snapshot:
            rows.append(b"".join(snapshot.rows(source)))
            sums.append(snapshot.sums(source, buckets))
            within.append(sorted(b"".join(snapshot.rows_within(source, spans)).splitlines()))
            assert sessions(url) == (workers if table in CUT else 1)

    assert rows[0] == rows[1]
    assert rows[0].count(b"\n") == sums[0].total.rows
    assert sums[0] == sums[1]
    assert within[0] == within[1]


def test_a_part_ends_with_the_line_that_reaches_its_size_however_the_lines_came() -> None:
    lines = [b"%d\n" % (10**size) for size in (1, 5, 2, 9, 3, 3, 30, 1)]
    with open_engine([]) as engine:
        cuts = {
            blocks: [path.read_bytes() for path, _, _ in split_lines(engine, sent, 20, 2)]
            for blocks, sent in {
                "one": [b"".join(lines)],
                "each": lines,
                "two": [b"".join(lines[:3]), b"".join(lines[3:])],
            }.items()
        }

    assert cuts["one"] == cuts["each"] == cuts["two"]
    assert [part.count(b"\n") - 1 for part in cuts["one"]] == [3, 2, 2, 1]


def test_several_sessions_make_the_same_batch(postgres: Postgres, tmp_path: Path) -> None:
    database = postgres.create()
    url = postgres.url(database)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table wide (id bigint primary key, at timestamp, name text)")
        connection.execute("insert into wide select n, '2024-01-01', repeat('x', 900) from generate_series(1, 40000) n")
        connection.execute("vacuum analyze wide")
    model = write_model(tmp_path / "model", '[source.wide]\nkey = ["id"]\nupdated = "at"\n')

    def ingested(workers: int) -> list[TableEntry]:
        objects = open_objects(str(tmp_path / f"ingestion{workers}"))
        pointer = open_pointer(str(tmp_path / f"pointer{workers}.json"))
        ingest = Ingest(model, url, objects, pointer, timedelta(0), clock, workers=workers)
        entries = []
        for change in ("", "update wide set name = 'new' where id % 1000 = 0"):
            if change:
                with psycopg.connect(url) as connection:
                    connection.execute(change.encode())
            ingest.run()
            newest = ChangeLog(objects).newest()
            assert newest
            entries.append(newest.tables["wide"])
        return entries

    def shown(entry: TableEntry) -> object:
        objects = [(each.rows, each.bytes, each.sha256) for each in entry.objects]
        return objects, entry.rows, entry.hash_sum, entry.latest_row_id, entry.inserted, entry.updated

    several = ingested(WORKERS)
    with psycopg.connect(url) as connection:
        connection.execute("update wide set name = repeat('x', 900) where id % 1000 = 0")
    one = ingested(1)
    postgres.drop(database)

    assert [shown(entry) for entry in several] == [shown(entry) for entry in one]
    assert several[1].updated == 40


def test_who_leaves_in_the_middle_leaves_nothing_behind(url: str, model: Model) -> None:
    with snapshot_of(url, model) as snapshot:
        rows = snapshot.rows(model.sources["ordered"])
        next(rows)
        rows.close()  # type: ignore[attr-defined]

    until = time.monotonic() + 10
    while sessions(url) and time.monotonic() < until:
        time.sleep(0.01)
    assert sessions(url) == 0


def ended_others(url: str) -> int:
    """End all sessions that read the source but the first."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            """
            select count(pg_terminate_backend(pid)) from (
                select pid from pg_stat_activity where application_name = 'tidemark ingest' and datname = %s
                order by backend_start offset 1
            ) as others
            """,
            [connection.info.dbname],
        ).fetchone()
        assert row
        return int(row[0])


def read_with_readers_ended(url: str, model: Model) -> None:
    with snapshot_of(url, model) as snapshot:
        source = model.sources["ordered"]
        assert list(snapshot.rows(source))
        assert ended_others(url) == WORKERS - 1
        list(snapshot.rows(source))


def test_a_session_that_is_ended_ends_the_poll(url: str, model: Model) -> None:
    with pytest.raises(TransientError, match="away, busy or full"):
        read_with_readers_ended(url, model)


def read_beside_a_migration(url: str, model: Model) -> None:
    soon = timedelta(milliseconds=200)
    with (
        psycopg.connect(url, autocommit=True) as migration,
        snapshot_of(url, model, yield_after=soon) as snapshot,
    ):
        rows = snapshot.rows(model.sources["ordered"])
        next(rows)
        assert sessions(url) == WORKERS
        began = time.monotonic()
        migration.execute("alter table ordered alter column name set default 'new'")
        assert time.monotonic() - began < 10
        list(rows)
        list(snapshot.rows(model.sources["sparse"]))


def test_who_waits_for_all_of_the_sessions_does_not_wait_for_long(url: str, model: Model) -> None:
    with pytest.raises(TransientError, match="waits for AccessExclusiveLock on ordered, so this command gave way"):
        read_beside_a_migration(url, model)


def test_a_migration_that_waits_already_is_not_waited_for(
    url: str, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor() as threads, psycopg.connect(url, autocommit=True) as migration:
        with snapshot_of(url, model) as snapshot, caplog.at_level(logging.WARNING):
            waiting = threads.submit(migration.execute, "alter table ordered alter column name drop default")
            with psycopg.connect(url, autocommit=True) as looking:
                is_waiting = "select exists(select from pg_locks where not granted and pid = %s)"
                while looking.execute(is_waiting, [migration.info.backend_pid]).fetchone() == (False,):
                    time.sleep(0.005)
            rows = b"".join(snapshot.rows(model.sources["ordered"]))
            assert not waiting.done()
        waiting.result()

    assert rows.count(b"\n") == 5000
    assert [each.message[:38] for each in caplog.records] == ["1 of 3 sessions read the source: cance"]


def test_all_sessions_see_the_moment_of_the_snapshot(new_database: Callable[..., str], model: Model) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(str.strip, TABLES.split(";")):
            connection.execute(statement.encode())
        connection.execute("vacuum analyze")
        with snapshot_of(url, model) as snapshot:
            connection.execute("update ordered set name = 'later'")
            connection.execute("delete from ordered where id % 2 = 0")
            rows = b"".join(snapshot.rows(model.sources["ordered"]))

    assert rows.count(b"\n") == 5000
    assert b"later" not in rows
