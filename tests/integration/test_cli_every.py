"""A schedule: `run --every` until a signal, through whatever is away in between."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import Postgres
from tests.support.receiver import receiving
from tests.support.site import PATIENCE_SECONDS, Site, batches_loaded, new_site, proxy, read_until, stop, wait_for


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_schedule_goes_on_until_a_signal_and_ends_with_0(site: Site, number: signal.Signals) -> None:
    site.run("init")
    with site.started("run", "--every", "1s", "--json") as process:
        wait_for(lambda: batches_loaded(site) == 1)
        site.run("generate", "--rows", "10")
        wait_for(lambda: batches_loaded(site) == 2)
        out, err = stop(process, number)

    rounds = [json.loads(line)["stages"] for line in out.splitlines()]
    assert process.returncode == 0, err
    assert [stage["batches"] for stage in rounds[0]] == [[1], [1], [1]]
    assert [batch for stages in rounds for batch in stages[2]["batches"]] == [1, 2]
    assert "stopping after the batch in hand" in err


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive), signal.SIGHUP]
)
def test_a_signal_ends_a_plain_run_with_128_and_its_number_in_one_line(site: Site, number: signal.Signals) -> None:
    site.run("init")
    waiting = "select 1 from pg_stat_activity where application_name = 'tidemark ingest' and wait_event_type = 'Lock'"
    with psycopg.connect(site.source) as blocker:
        blocker.execute("lock table payment in access exclusive mode")
        with site.started("run", "--json") as process:
            wait_for(lambda: bool(site.query(site.source, waiting)))
            out, err = stop(process, number)

    assert (process.returncode, out) == (128 + number, "")
    assert err == f"ended by {number.name}: what was not committed is part of nothing\n"
    [record] = (site.folder / ".tidemark" / "pointer.json.runs").glob("*.json")
    found = json.loads(record.read_text("utf-8"))
    assert (found["outcome"], found["message"]) == ("ended", f"ended by signal {number}")
    assert batches_loaded(site) == 0


def test_a_schedule_compacts_the_lake_after_so_many_batches(site: Site) -> None:
    site.run("init")
    with site.started("run", "--every", "1s", "--compact-after", "2", "--json") as process:
        wait_for(lambda: batches_loaded(site) == 1)
        site.run("generate", "--rows", "10")
        wait_for(lambda: batches_loaded(site) == 2)
        out, err = stop(process)

    by_last_batch = {
        stages["stages"][2]["batches"][-1]: stages
        for stages in map(json.loads, out.splitlines())
        if stages["stages"][2]["batches"]
    }
    assert process.returncode == 0, err
    assert "compaction" not in by_last_batch[1]
    assert by_last_batch[2]["compaction"]["tables"]["fact/sales_order"]["written"] == 1


def test_a_plain_run_compacts_the_lake_after_the_same_batches(site: Site) -> None:
    site.run("init")
    found = []
    for _ in range(2):
        found.append(json.loads(site.run("run", "--compact-after", "2", "--json").stdout))
        site.run("generate", "--rows", "10")
    found.append(json.loads(site.run("run", "--compact-after", "0", "--json").stdout))

    assert ["compaction" in each for each in found] == [False, True, False]
    assert found[1]["compaction"]["tables"]["fact/sales_order"]["written"] == 1


def test_a_signal_in_the_middle_lets_the_batch_in_hand_arrive(site: Site) -> None:
    site.run("init")
    waiting = "select 1 from pg_stat_activity where application_name = 'tidemark ingest' and wait_event_type = 'Lock'"
    with psycopg.connect(site.source) as blocker:
        # A poll waits for this lock before its snapshot: so the signal certainly comes in the middle.
        blocker.execute("lock table payment in access exclusive mode")
        with site.started("run", "--every", "1h") as process:
            wait_for(lambda: bool(site.query(site.source, waiting)))
            process.send_signal(signal.SIGTERM)
            blocker.rollback()
            _, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 0, err
    assert batches_loaded(site) == 1


def test_a_schedule_survives_a_source_that_is_away(site: Site) -> None:
    site.run("init")
    every_second = ("run", "--every", "1s", "--attempts", "1")
    with proxy(site.source) as (url, come_back), site.started(*every_second, TIDEMARK_SOURCE_URL=url) as process:
        errors = read_until(process, "next attempt in")
        assert batches_loaded(site) == 0
        come_back()
        wait_for(lambda: batches_loaded(site) == 1)
        out, err = stop(process)

    assert process.returncode == 0, err
    assert "ERROR ingest: the database at 127.0.0.1" in errors
    assert "ingest: batch 1" in out


def test_a_schedule_survives_a_warehouse_that_is_away(site: Site) -> None:
    site.run("init")
    every_second = ("run", "--every", "1s", "--attempts", "1")
    with receiving() as receiver, proxy(site.warehouse) as (url, come_back):
        settings = {"TIDEMARK_WAREHOUSE_URL": url, "TIDEMARK_WEBHOOK_URL": f"{receiver.url}/hook"}
        with site.started(*every_second, **settings) as process:
            errors = read_until(process, "next attempt in")
            come_back()
            wait_for(lambda: batches_loaded(site) == 1)
            wait_for(lambda: len(receiver.posts) > 1)
            _, err = stop(process)

    assert process.returncode == 0, err
    assert [each["event"] for each in receiver.documents] == ["failure", "recovery"]
    assert "ERROR load: the database at 127.0.0.1" in errors


def test_a_schedule_ends_with_an_error_that_time_does_not_mend(site: Site) -> None:
    site.run("init")
    site.query(site.source, "alter table payment rename to bill")

    found = site.run("run", "--every", "1s", expect=4)

    assert "source table" in found.stderr
