"""Each command that keeps a snapshot of the source gives way to who waits for its locks, and loses nothing by it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import clock
from tests.support.small_source import write_model
from tidemark.errors import TransientError
from tidemark.log.changelog import newest_batch
from tidemark.pipeline import Pipeline
from tidemark.postgres.giving_way import RETRY_AFTER_SECONDS
from tidemark.settings import Settings

TABLES = """
create table plan (plan_id integer primary key, name text, changed_at timestamp default '2024-11-05');
create table other (other_id integer primary key, changed_at timestamp default '2024-11-05');
insert into plan select n, 'plan ' || n from generate_series(1, 100) as n;
insert into other select n from generate_series(1, 100) as n
"""
MODEL = """
[source.plan]
key = ["plan_id"]
updated = "changed_at"

[source.other]
key = ["other_id"]
updated = "changed_at"
"""
DAY = datetime(2024, 11, 5, tzinfo=UTC), datetime(2024, 11, 6, tzinfo=UTC)
ALTERS = "alter table plan alter column name set default 'new'"


@pytest.fixture
def url(new_database: Callable[..., str]) -> str:
    """A source of two tables."""
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    return url


@pytest.fixture
def pipeline(url: str, tmp_path: Path) -> Pipeline:
    """A pipeline that gives way soon."""
    write_model(tmp_path / "model", MODEL)
    ingestion, processed, pointer, model = (str(tmp_path / name) for name in ("log", "star", "pointer", "model"))
    settings = Settings(url, None, ingestion, processed, pointer, model=model, yield_after=timedelta(milliseconds=100))
    return Pipeline(settings, clock)


@contextmanager
def altered_meanwhile(url: str) -> Iterator[None]:
    """Alter one table while a snapshot in the block waits for an index of the other, for which it has no lock yet."""
    with (
        psycopg.connect(url) as first,
        psycopg.connect(url, autocommit=True) as second,
        ThreadPoolExecutor(max_workers=1) as thread,
    ):
        first.execute("reindex index other_pkey")

        def alter() -> None:
            waits = "select exists(select from pg_locks where not granted)"
            while second.execute(waits).fetchone() == (False,):
                time.sleep(0.005)
            second.execute(ALTERS)

        altered = thread.submit(alter)
        yield
        altered.result()


def test_a_first_poll_a_poll_a_backfill_and_a_verification_give_way_and_lose_nothing(
    url: str, pipeline: Pipeline
) -> None:
    with altered_meanwhile(url), pytest.raises(TransientError, match="waits for AccessExclusiveLock on plan") as caught:
        pipeline.ingest.run()
    assert caught.value.retry_after_seconds == RETRY_AFTER_SECONDS
    assert "a long first poll: choose a quiet hour" in caught.value.advice
    assert newest_batch(pipeline.ingestion) == 0

    assert pipeline.ingest.run().batches == (1,)
    pointer = pipeline.pointer.read()
    with psycopg.connect(url) as connection:
        connection.execute("update plan set name = 'other' where plan_id = 7")
    for command in (
        pipeline.ingest.run,
        lambda: pipeline.backfill.run(*DAY),
        pipeline.verify.source_latest,
    ):
        with altered_meanwhile(url), pytest.raises(TransientError, match="gave way"):
            command()
    assert pipeline.pointer.read() == pointer

    assert pipeline.ingest.run().batches == (2,)
    assert pipeline.verify.source_latest().count == 0
