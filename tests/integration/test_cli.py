"""The command as people run it: a process of its own between two real databases."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.support.postgres import Postgres
from tidemark.generator import create_tables, fill

UNTIL = datetime(2024, 11, 15, 12, 0, tzinfo=UTC)
STARS = 11
PATIENCE_SECONDS = 60


def filled(url: str) -> None:
    with psycopg.connect(url) as connection:
        create_tables(connection)
        fill(connection, until=UNTIL, scale=0.02)


@dataclass
class Site:
    """A source, a warehouse and the directory that the commands run in."""

    source: str
    warehouse: str
    folder: Path

    @contextmanager
    def started(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command; whatever of it is left is killed at the end."""
        urls = {"TIDEMARK_SOURCE_URL": self.source, "TIDEMARK_WAREHOUSE_URL": self.warehouse}
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter
            [sys.executable, "-W", "error", "-m", "tidemark", *arguments],
            cwd=self.folder,
            env={**os.environ, **urls, **settings},  # noqa: TID251 -- for the child, as a shell would
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str, expect: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
        with self.started(*arguments, **settings) as process:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == expect, out + err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str, expect: int = 0, **settings: str) -> Any:  # noqa: ANN401 -- JSON
        return json.loads(self.run(*arguments, "--json", expect=expect, **settings).stdout)

    def query(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return Site(new_database(postgres.template("cli_totesys", filled)), new_database(), tmp_path)


@pytest.fixture
def loaded(site: Site) -> Site:
    """A site after its first run."""
    site.run("init")
    site.run("run")
    return site


@contextmanager
def proxy(url: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give an address of the database over TCP, to which nobody listens until the second value is called."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    target = f"{options['host'][0]}/.s.PGSQL.{options.get('port', ['5432'])[0]}"
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    over = threading.Event()

    def relay(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(target)
            while not over.is_set():
                for one in select.select([client, server], [], [], 0.2)[0]:
                    block = one.recv(65536)
                    if not block:
                        return
                    (server if one is client else client).sendall(block)

    def serve() -> None:
        listener.listen()
        with suppress(OSError):
            while not over.is_set():
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    try:
        yield (
            f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}{parts.path}",
            lambda: threading.Thread(target=serve, daemon=True).start(),
        )
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=PATIENCE_SECONDS)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def batches_loaded(site: Site) -> int:
    [(count,)] = site.query(site.warehouse, "select count(*) from tidemark.batch")
    return int(count)


def test_the_sql_of_a_dry_run_makes_the_warehouse(site: Site) -> None:
    shown = site.run("init", "--dry-run").stdout
    assert site.query(site.warehouse, "select 1 from pg_tables where tablename like 'fact%'") == []

    site.query(site.warehouse, shown)

    assert site.json("init") == {"statements": [], "dry_run": False}
    assert site.run("init", "--dry-run").stdout == ""


def test_a_load_before_init_says_so(site: Site) -> None:
    assert "run tidemark init" in site.json("load", expect=2)["error"]["advice"]


def test_a_run_brings_everything_and_the_next_one_finds_nothing(site: Site) -> None:
    site.run("init")

    first = site.json("run")["stages"]
    second = site.json("run")["stages"]

    assert [(stage["stage"], stage["batches"]) for stage in first] == [
        ("ingest", [1]),
        ("transform", [1]),
        ("load", [1]),
    ]
    assert [stage["batches"] for stage in second] == [[], [], []]
    assert sum(stage["seconds"] for stage in second) < 2
    counts = "select (select count(*) from sales_order)", "select (select count(*) from fact_sales_order_current)"
    assert site.query(site.source, counts[0]) == site.query(site.warehouse, counts[1])
    assert first[0]["tables"]["sales_order"]["inserted"] == first[2]["tables"]["fact_sales_order"]["rows"]


def test_each_stage_is_a_command_of_its_own(site: Site) -> None:
    site.run("init")

    reports = [site.json(stage)["stages"] for stage in ("ingest", "transform", "load")]

    assert [[report["stage"] for report in of_command] for of_command in reports] == [
        ["ingest"],
        ["transform"],
        ["load"],
    ]
    assert site.run("load").stdout.startswith("load: nothing new")


def test_generated_work_arrives_and_shows_in_the_report(loaded: Site) -> None:
    done = loaded.json("generate", "--rows", "40", "--seed", "7")

    [ingest, transform, load] = loaded.json("run")["stages"]

    for kind in ("inserted", "updated", "deleted"):
        got = {name: table[kind] for name, table in ingest["tables"].items() if table[kind]}
        assert got == {name: count for name, count in done[kind].items() if count}
    assert transform["rows"] == load["rows"]
    shown = loaded.run("generate", "--rows", "10", "--seed", "8").stdout
    assert "sales_order" in shown
    report = loaded.run("run").stdout
    titles = [line.strip() for line in report.splitlines() if ": batch" in line]
    assert titles == ["ingest: batch 3", "transform: batch 3", "load: batch 3"]


def test_status_tells_how_far_everything_is(loaded: Site) -> None:
    loaded.run("generate", "--rows", "20")
    loaded.run("ingest")

    found = loaded.json("status")

    assert [found[place]["batch"] for place in ("log", "pointer", "processed", "warehouse")] == [2, 2, 1, 1]
    assert found["next_steps"][1:] == ["transform: batch 2", "load: only what this run brings"]
    assert len(found["warehouse"]["rows"]) == STARS
    assert found["freshness_seconds"] > 0
    assert found["watermark"]
    assert "transform: batch 2" in loaded.run("status").stdout


def test_status_works_while_source_and_warehouse_are_away(loaded: Site) -> None:
    away = "postgresql://u:s3cr3t@127.0.0.1:1/x"

    found = loaded.json("status", TIDEMARK_SOURCE_URL=away, TIDEMARK_WAREHOUSE_URL=away)
    shown = loaded.run("status", TIDEMARK_SOURCE_URL=away, TIDEMARK_WAREHOUSE_URL=away)

    assert (found["log"]["batch"], found["processed"]["batch"], found["warehouse"]["batch"]) == (1, 1, None)
    assert "source cannot be asked" in shown.stdout
    assert "warehouse cannot be asked" in shown.stdout
    assert "s3cr3t" not in shown.stdout + shown.stderr


def test_history_shows_the_versions_of_a_row_and_what_changed(loaded: Site) -> None:
    loaded.query(
        loaded.source,
        "update sales_order set agreed_delivery_location_id = 1 + agreed_delivery_location_id % 30,"
        " last_updated = now() at time zone 'UTC' where sales_order_id = 17",
    )
    loaded.run("run")
    loaded.query(
        loaded.source,
        "delete from payment where transaction_id in"
        " (select transaction_id from transaction where sales_order_id = 17);"
        "delete from transaction where sales_order_id = 17; delete from sales_order where sales_order_id = 17",
    )
    loaded.run("run")

    found = loaded.json("history", "sales_order", "17")
    shown = loaded.run("history", "fact_sales_order", "17").stdout

    assert [version["is_deleted"] for version in found["versions"]] == [False, False, True]
    assert [version["batch_id"] for version in found["versions"]] == [1, 2, 3]
    assert found["changed"] == [
        [],
        ["last_updated_date", "last_updated_time", "agreed_delivery_location_id"],
        ["is_deleted"],
    ]
    assert "version 3" in shown
    assert "● true" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sales_order", "999999"], "no version of fact_sales_order with sales_order_id 999999"),
        (["sales_order", "seventeen"], "cannot be a key"),
        (["sales_order", "1", "2"], "expected 1, got 2"),
        (["staff", "1"], "only facts keep one"),
        (["nothing", "1"], "has no table 'nothing'"),
    ],
)
def test_history_says_what_is_wrong_with_its_arguments(loaded: Site, arguments: list[str], message: str) -> None:
    assert message in loaded.json("history", *arguments, expect=2)["error"]["message"]


def test_history_takes_a_key_of_several_columns(new_database: Callable[..., str], tmp_path: Path) -> None:
    clinic = Path(__file__).parents[1] / "models" / "clinic"
    site = Site(new_database(), new_database(), tmp_path)
    for file in ("schema.sql", "rows.sql"):
        site.query(site.source, (clinic / file).read_text("utf-8"))
    site.run("init", "--model", str(clinic))
    site.run("run", "--model", str(clinic))
    from tidemark.model import load_model  # noqa: PLC0415 -- the one test that reads a model

    fact = next(fact for fact in load_model(str(clinic)).facts if len(fact.source_key) > 1)
    columns = ", ".join(f"{name}::text" for name in fact.source_key)
    key = site.query(site.warehouse, f"select {columns} from {fact.name} limit 1")[0]

    found = site.json("--model", str(clinic), "history", fact.name, *key)

    assert found["key"] == dict(zip(fact.source_key, key, strict=True))
    assert len(found["versions"]) == 1


def test_doctor_passes_a_sound_pipeline(loaded: Site) -> None:
    found = loaded.json("doctor")

    assert found["failures"] == 0
    assert {each["area"] for each in found["findings"]} == {
        "versions",
        "settings",
        "source",
        "ingestion",
        "processed",
        "pointer",
        "warehouse",
    }
    assert {each["found"] for each in found["findings"] if each["outcome"] == "hint"} == {
        each["found"] for each in found["findings"] if "no index for the cursor" in each["found"]
    }
    assert [path.name for path in (loaded.folder / ".tidemark").rglob("doctor-*")] == []


def test_doctor_says_what_to_grant_and_ends_with_2(site: Site, postgres: Postgres) -> None:
    role = "doctor_reader"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"drop role if exists {role}; create role {role} login".encode())
    try:
        site.query(
            site.source,
            f"grant select on all tables in schema public to {role}; revoke select on payment from {role};"
            "alter table staff enable row level security; alter table design drop constraint design_pkey cascade",
        )
        found = site.json("doctor", expect=2, TIDEMARK_SOURCE_URL=site.source.replace("postgres@", f"{role}@"))
    finally:
        site.query(site.source, f"drop owned by {role}")
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"drop role {role}".encode())

    failures = {(each["area"], each["found"]) for each in found["findings"] if each["outcome"] == "failure"}
    advice = " ".join(each["advice"] for each in found["findings"])
    assert ("source", "the role may not read public.payment") in failures
    assert ("source", "a policy hides rows of public.staff from the role") in failures
    assert any("public.design has no unique index over design_id" in text for _, text in failures)
    assert any(area == "warehouse" and "tables are missing" in text for area, text in failures)
    assert f"grant select on public.payment to {role}" in advice
    assert f"grant pg_read_all_stats to {role}" in advice
    assert "run tidemark init" in advice


def test_doctor_hints_at_prepared_transactions(loaded: Site) -> None:
    loaded.query(loaded.source, "begin; create table held (); prepare transaction 'forgotten'")
    try:
        hints = [each["found"] for each in loaded.json("doctor")["findings"] if each["outcome"] == "hint"]
    finally:
        with psycopg.connect(loaded.source, autocommit=True) as connection:
            connection.execute("rollback prepared 'forgotten'")

    assert any("'forgotten'" in found for found in hints)


def test_doctor_names_every_bad_setting(site: Site) -> None:
    found = site.json("doctor", "--lag", "soon", "--pointer", "ssm:x", expect=2)

    assert [each["area"] for each in found["findings"] if each["outcome"] == "failure"] == ["settings", "settings"]


def test_a_source_that_stays_away_ends_a_run_with_3(site: Site) -> None:
    done = site.run("ingest", "--attempts", "2", expect=3, TIDEMARK_SOURCE_URL="postgresql://u:s3cr3t@127.0.0.1:1/x")

    assert "trying again in 1 s (attempt 1 of 2)" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: the database at 127.0.0.1:1/x is away")
    assert done.stdout == ""
    assert "s3cr3t" not in done.stderr


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
        time.sleep(3)
        assert process.poll() is None
        assert batches_loaded(site) == 0
        come_back()
        wait_for(lambda: batches_loaded(site) == 1)
        out, err = stop(process)

    assert process.returncode == 0, err
    assert "ERROR ingest: the database at 127.0.0.1" in err
    assert "next attempt in" in err
    assert "ingest: batch 1" in out


def test_a_schedule_survives_a_warehouse_that_is_away(site: Site) -> None:
    site.run("init")
    every_second = ("run", "--every", "1s", "--attempts", "1")
    with proxy(site.warehouse) as (url, come_back), site.started(*every_second, TIDEMARK_WAREHOUSE_URL=url) as process:
        manifest = site.folder / ".tidemark" / "processed" / "batches" / "0000000001.json"
        wait_for(manifest.exists)
        # Only once a load has surely failed: the next round begins behind it.
        time.sleep(2)
        come_back()
        wait_for(lambda: batches_loaded(site) == 1)
        _, err = stop(process)

    assert process.returncode == 0, err
    assert "ERROR load: the database at 127.0.0.1" in err


def test_a_schedule_ends_with_an_error_that_time_does_not_mend(site: Site) -> None:
    site.run("init")
    site.query(site.source, "alter table payment rename to bill")

    found = site.run("run", "--every", "1s", expect=4)

    assert "source table" in found.stderr
