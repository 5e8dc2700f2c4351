"""A transaction that commits after a younger one has been polled: its rows arrive, and arrive once."""

import logging
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.small_source import SmallSource
from tidemark.log.changelog import Manifest

TABLE = """
create table reading (
    reading_id integer primary key,
    meter text not null,
    last_updated timestamptz default clock_timestamp()
);
create index on reading (last_updated);
insert into reading select n, 'meter ' || n from generate_series(1, 20) as n
"""
MODEL = """
[source.reading]
key = ["reading_id"]
updated = "last_updated"
"""
RARELY_SWEPT = MODEL + "sweep_every = 1000\n"

NewDatabase = Callable[..., str]


def small_source(
    folder: Path, url: str, model: str = MODEL, *, reads_as: Callable[[str], str] = lambda url: url
) -> SmallSource:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
    return SmallSource(folder, url, model, reads_as=reads_as(url))


def as_a_plain_reader(url: str) -> str:
    """Give an address by which a role reads that may see its own sessions only."""
    role = f"reader_of_{psycopg.conninfo.conninfo_to_dict(url)['dbname']}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {role} login; grant select on reading to {role}".encode())
    return url.replace("//postgres@", f"//{role}@", 1)


def times_in_the_log(source: SmallSource, key: int, last: int) -> int:
    lines = [line for batch in range(1, last + 1) for line in source.changes(batch, "reading")]
    return sum(line["reading_id"] == key for line in lines)


def batch(manifest: Manifest | None) -> Manifest:
    assert manifest is not None
    return manifest


@pytest.mark.parametrize("model", [MODEL, RARELY_SWEPT], ids=["swept", "by the watermark alone"])
def test_a_row_that_commits_late_arrives_once(new_database: NewDatabase, tmp_path: Path, model: str) -> None:
    source = small_source(tmp_path, new_database(), model)
    source.ingest()

    with source.connect(autocommit=False) as late:
        stamp = late.execute("insert into reading values (101, 'late') returning last_updated").fetchone()
        source.execute("insert into reading values (102, 'punctual')")
        second = batch(source.ingest())
        late.commit()
    third = batch(source.ingest())

    assert stamp is not None
    assert second.highest is not None
    assert second.watermark is not None
    # By the highest stamp alone the next poll would have begun past this row.
    assert second.watermark <= stamp[0] < second.highest
    assert third.tables["reading"].swept == (model == MODEL)
    assert [line["reading_id"] for line in source.changes(2, "reading")] == [102]
    assert [line["reading_id"] for line in source.changes(3, "reading")] == [101]
    assert source.latest("reading") == source.source("reading")
    assert source.ingest() is None


def test_updates_and_deletes_that_commit_late_arrive_once(new_database: NewDatabase, tmp_path: Path) -> None:
    source = small_source(tmp_path, new_database())
    source.ingest()

    with source.connect(autocommit=False) as late:
        late.execute("update reading set meter = 'moved', last_updated = clock_timestamp() where reading_id = 1")
        late.execute("delete from reading where reading_id = 2")
        source.execute("insert into reading values (102, 'punctual')")
        source.ingest()
        late.commit()
    source.ingest()

    assert [(line["_op"], line["reading_id"]) for line in source.changes(2, "reading")] == [("insert", 102)]
    assert [(line["_op"], line["reading_id"]) for line in source.changes(3, "reading")] == [
        ("update", 1),
        ("delete", 2),
    ]
    assert source.ingest() is None


def test_a_session_that_began_long_ago_holds_the_floor_back(new_database: NewDatabase, tmp_path: Path) -> None:
    source = small_source(tmp_path, new_database(), RARELY_SWEPT)
    source.ingest()

    with source.connect(autocommit=False) as idle:
        began = idle.execute("select now()").fetchone()
        watermarks = []
        for key in range(101, 105):
            source.execute(f"insert into reading values ({key}, 'punctual')")
            watermarks.append(batch(source.ingest()).watermark)
        # Stamped when it began, which is before all that the polls have seen.
        idle.execute("insert into reading values (200, 'late', now())")
        idle.commit()
    last = batch(source.ingest())

    assert began is not None
    assert watermarks == [began[0]] * 4
    assert not last.tables["reading"].swept
    assert [times_in_the_log(source, key, last.batch) for key in (*range(101, 105), 200)] == [1, 1, 1, 1, 1]
    assert source.latest("reading") == source.source("reading")
    source.execute("insert into reading values (300, 'punctual')")
    assert batch(source.ingest()).watermark > began[0]


def test_a_session_of_another_database_holds_nothing_back(new_database: NewDatabase, tmp_path: Path) -> None:
    source = small_source(tmp_path, new_database())
    source.ingest()

    with psycopg.connect(new_database()) as elsewhere:
        began = elsewhere.execute("select now()").fetchone()
        source.execute("insert into reading values (101, 'punctual')")
        second = batch(source.ingest())

    assert began is not None
    assert second.watermark is not None
    assert second.watermark > began[0]


def test_a_reader_that_sees_no_other_sessions_sweeps_every_time(
    new_database: NewDatabase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = new_database()
    source = small_source(tmp_path, url, RARELY_SWEPT, reads_as=as_a_plain_reader)
    source.ingest()

    with source.connect(autocommit=False) as late:
        late.execute("insert into reading values (101, 'late')")
        source.execute("insert into reading values (102, 'punctual')")
        with caplog.at_level(logging.WARNING):
            second = batch(source.ingest())
        late.commit()
    third = batch(source.ingest())

    # The floor is unknown, so the watermark lies past the late row: only the sweep can find it.
    assert second.watermark == second.highest
    assert "the floor is unknown: the role may not see other sessions" in caplog.text
    assert [second.tables["reading"].swept, third.tables["reading"].swept] == [True, True]
    assert [times_in_the_log(source, key, 3) for key in (101, 102)] == [1, 1]
    assert source.latest("reading") == source.source("reading")
    assert source.ingest() is None


def test_the_poll_after_an_unknown_floor_sweeps_too(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database()
    source = small_source(tmp_path, url, RARELY_SWEPT, reads_as=as_a_plain_reader)
    source.ingest()

    with source.connect(autocommit=False) as late:
        late.execute("insert into reading values (101, 'late')")
        source.execute("insert into reading values (102, 'punctual')")
        source.ingest()
        late.commit()
    # The role was given the right to see other sessions, so this poll knows the floor; the one before did not.
    source.reads_as = url
    source.ingest()

    assert times_in_the_log(source, 101, 3) == 1


@pytest.mark.parametrize("model", [MODEL, RARELY_SWEPT], ids=["swept", "by the watermark alone"])
def test_a_prepared_transaction_keeps_the_watermark_where_it_is(
    new_database: NewDatabase, tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = small_source(tmp_path, new_database(), model)
    first = batch(source.ingest())

    with source.connect() as session:
        session.execute("begin")
        session.execute("insert into reading values (101, 'late')")
        session.execute("prepare transaction 'late'")
    source.execute("insert into reading values (102, 'punctual')")
    with caplog.at_level(logging.WARNING):
        second = batch(source.ingest())
    source.execute("insert into reading values (103, 'punctual')")
    third = batch(source.ingest())
    source.execute("commit prepared 'late'")
    fourth = batch(source.ingest())

    assert [second.watermark, third.watermark] == [first.watermark, first.watermark]
    assert "a prepared transaction exists" in caplog.text
    assert fourth.tables["reading"].swept == (model == MODEL)
    assert fourth.watermark > first.watermark  # type: ignore[operator]
    assert [times_in_the_log(source, key, 4) for key in (101, 102, 103)] == [1, 1, 1]
    assert source.latest("reading") == source.source("reading")


def test_a_baseline_beside_a_prepared_transaction_misses_nothing_later(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    source = small_source(tmp_path, new_database(), RARELY_SWEPT)
    with source.connect() as session:
        session.execute("begin")
        session.execute("insert into reading values (101, 'late')")
        session.execute("prepare transaction 'late'")
    first = batch(source.ingest())
    source.execute("insert into reading values (102, 'punctual')")
    source.ingest()
    source.execute("commit prepared 'late'")
    source.ingest()

    assert first.watermark is None
    assert source.latest("reading") == source.source("reading")


@pytest.mark.parametrize("model", [MODEL, RARELY_SWEPT], ids=["swept", "by the watermark alone"])
def test_two_changes_of_a_row_in_one_millisecond_both_arrive(
    new_database: NewDatabase, tmp_path: Path, model: str
) -> None:
    source = small_source(tmp_path, new_database(), model)
    source.execute("alter table reading alter column last_updated type timestamp(3)")
    source.ingest()

    change = "update reading set meter = '{}', last_updated = timestamp(3) '{}' where reading_id = 1"
    with source.connect() as session:
        row = session.execute("select clock_timestamp()::timestamp(3)::text").fetchone()
    assert row is not None
    source.execute(change.format("first", row[0]))
    source.ingest()
    source.execute(change.format("second", row[0]))
    source.ingest()

    assert [source.changes(number, "reading")[0]["meter"] for number in (2, 3)] == ["first", "second"]
    before = source.changes(3, "reading")[0]["_before"]
    assert before == {"reading_id": 1, "meter": "first", "last_updated": source.source("reading")[0]["last_updated"]}
    assert source.latest("reading") == source.source("reading")
