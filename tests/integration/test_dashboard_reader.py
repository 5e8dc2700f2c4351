"""Reading the warehouse for the dashboard: only SELECTs, in few sessions, and nobody waits for long."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from psycopg.sql import SQL

from tests.support.dashboard import only_asked
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tidemark.dashboard.answers import Answers
from tidemark.dashboard.figures import Figure
from tidemark.dashboard.filters import Chosen
from tidemark.dashboard.reader import SESSIONS, Reader
from tidemark.errors import ConfigError, TransientError
from tidemark.pipeline import utc_now
from tidemark.postgres.queries import query

if TYPE_CHECKING:
    from tests.support.kept import KeptPipelines

BATCHES = 3


@pytest.fixture(scope="module")
def rig(kept_pipelines: "KeptPipelines", postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A warehouse with some batches."""
    place = str(tmp_path_factory.mktemp("reader") / "lake")
    with only_asked(kept_pipelines, postgres, place, BATCHES) as found:
        yield found


@pytest.mark.parametrize(
    "statement",
    [
        "with gone as (delete from fact_payment returning 1) select * from gone",
        "select 1; commit; delete from fact_payment; select 1",
        # What tells statements apart before they are sent knows no texts with escapes.
        r"select E'\''; commit; delete from fact_payment; select 'x'",
        "delete from fact_payment",
    ],
)
def test_a_figure_cannot_write(statement: str, rig: Rig) -> None:
    with closing(Reader(lambda: rig.warehouse_url)) as reader, pytest.raises(ConfigError, match="cannot run the SEL"):
        reader.ask(SQL(statement))
    assert rig.count("fact_payment") > 0


def test_no_page_keeps_another_from_the_warehouse_or_the_dashboard_from_its_end(rig: Rig) -> None:
    reader = Reader(lambda: rig.warehouse_url)
    with ThreadPoolExecutor() as executor:
        slow = [executor.submit(reader.ask, SQL("select pg_sleep(60)")) for _ in range(SESSIONS)]
        sleeping = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
        while len(rig.warehouse(sleeping)) < SESSIONS:
            time.sleep(0.01)
        with pytest.raises(TransientError, match="as many questions in hand"):
            reader.ask(SQL("select 1"))

        reader.close()

        assert [type(each.exception()) for each in slow] == [TransientError] * SESSIONS
    with pytest.raises(TransientError, match="about to stop"):
        reader.ask(SQL("select 1"))


def test_the_first_figure_has_the_warehouse_to_itself_for_a_moment_and_no_longer(rig: Rig) -> None:
    def figure(name: str, seconds: float) -> Figure:
        return Figure(name, name, "Page", f"select pg_sleep({seconds}), clock_timestamp() as ended, '{name}' as name")

    def begun_and_ended(first_seconds: float) -> tuple[datetime, datetime]:
        with closing(Reader(lambda: rig.warehouse_url)) as reader, ThreadPoolExecutor() as executor:
            answers = Answers(reader, utc_now)
            answers.newest_batch()
            first = executor.submit(answers.ask, figure("first", first_seconds), Chosen(), is_first=True)
            sleeping = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
            while not rig.warehouse(sleeping):
                time.sleep(0.01)
            other = executor.submit(answers.ask, figure("other", 0), Chosen())
            return first.result().rows[0][1], other.result().rows[0][1]

    quick, after = begun_and_ended(0.3)
    slow, before = begun_and_ended(1.5)

    assert after > quick
    assert before < slow


def test_a_statement_that_takes_too_long_ends(rig: Rig) -> None:
    with (
        closing(Reader(lambda: rig.warehouse_url, timedelta(milliseconds=50))) as reader,
        pytest.raises(TransientError, match=r"did not answer within 0\.05 s"),
    ):
        reader.ask(SQL("select pg_sleep(5)"))


def test_a_session_that_the_server_ended_is_replaced(rig: Rig) -> None:
    with closing(Reader(lambda: rig.warehouse_url)) as reader:
        (pid,) = reader.ask(SQL("select pg_backend_pid()")).rows[0]
        rig.warehouse("select pg_terminate_backend(%s)", [pid])

        assert reader.ask(query("dashboard", "newest_batch")).rows == ((BATCHES,),)


def test_a_mistake_in_a_figure_is_said_and_no_traceback(rig: Rig) -> None:
    reader = Reader(lambda: rig.warehouse_url)

    for statement, said in (("selec 1", "cannot run the SELECT"), ("select %(x)s", "cannot be given its parameters")):
        with pytest.raises(ConfigError, match=said):
            reader.ask(SQL(statement), {"a": 1})
