"""`tidemark demo`: what a newcomer does first, as a process of its own."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tidemark.embedded.generator import TABLES
from tidemark.model_reader import load_model

LANDMARKS = (
    "Tidemark demo: ",
    "✓ PostgreSQL 18.",
    "✓ source filled: ",
    "✓ batch 1, the baseline: ",
    "✓ batch 3: ",
    "What arrived where: batches 1 to 3",
    "fact_purchase_orders",
    "How orders evolve: ",
    " was updated, ",
    " was deleted ",
    "● true",
    "from fact_sales_order_current",
    "from fact_sales_order_as_of('",
    "demo --directory",
    "--keep && ",
    "ingestion/baseline/sales_order/",
    "processed/fact/sales_order/",
)


@dataclass(frozen=True)
class Run:
    """A demo that was run once, with `--json`."""

    folder: Path
    report: dict[str, Any]


@contextmanager
def new_folder() -> Iterator[Path]:
    # Not below pytest's own: as root, another pytest that starts closes that to the user that the server runs as.
    with tempfile.TemporaryDirectory(prefix="tidemark-") as name:
        yield Path(name) / "demo"


@pytest.fixture
def folder() -> Iterator[Path]:
    with new_folder() as path:
        yield path


@pytest.fixture(scope="module")
def first() -> Iterator[Run]:
    with new_folder() as path:
        yield Run(path, document(path))


def arguments(folder: Path, *more: str) -> list[str]:
    options = ["--directory", str(folder), "--scale", "0.02", *more]
    return [sys.executable, "-W", "error", "-m", "tidemark", "demo", *options]


def demo(folder: Path, *more: str) -> str:
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        arguments(folder, *more), check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def document(folder: Path, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(demo(folder, "--json", *more))
    return found


def servers(folder: Path) -> list[str]:
    """Name the processes that were started with this data directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended since
        if str(folder / "postgres") in command:
            found.append(command)
    return found


def changes(report: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    kinds = ("batch", "inserted", "updated", "deleted")
    return [tuple(each[kind] for kind in kinds) for each in report["batches"]]


def test_every_stage_works_on_every_table(first: Run) -> None:
    report = first.report
    assert servers(first.folder) == []
    assert not report["is_running"]
    assert [each["batch"] for each in report["batches"]] == [1, 2, 3, 4]
    assert changes(report)[0] == (1, sum(report["source_rows"].values()), 0, 0)
    assert all(min(each) > 0 for each in changes(report)[1:])
    assert [set(each["seconds"]) for each in report["batches"]] == [{"ingest", "transform", "load"}] * 4
    tables = report["tables"]
    model = load_model("totesys")
    assert [set(tables[stage]) for stage in ("ingest", "transform", "load")] == [
        {*model.sources},
        {*model.stars},
        {*model.stars},
    ]
    # The generator has rows for these, and the calendar for the days that they name.
    filled = {*TABLES, *(name for name, star in model.stars.items() if set(star.reads) <= set(TABLES))}
    for stage in tables:
        for name, table in tables[stage].items():
            if name not in filled:
                continue
            assert min(table["rows"], table["bytes"], table["seconds"]) > 0, (stage, name)
    assert tables["transform"]["fact_payment"]["rows"] == tables["load"]["fact_payment"]["rows"]


def test_its_orders_and_queries_tell_of_what_happened(first: Run) -> None:
    report = first.report
    updated, deleted = report["updated"]["versions"], report["deleted"]["versions"]
    assert [version["batch_id"] for version in updated] == [1, 2, 4]
    assert len({version["units_sold"] for version in updated}) == 3
    assert [version["is_deleted"] for version in deleted] == [False, True]
    assert deleted[0]["valid_to"] == deleted[1]["valid_from"]
    current, history, as_of = report["queries"]
    assert sum(row[current["columns"].index("orders")] for row in current["rows"]) > 0
    assert history["rows"][0][history["columns"].index("versions")] == 3
    before = {version["sales_order_id"]: version["units_sold"] for version in (updated[0], deleted[0])}
    assert {row[0]: row[1] for row in as_of["rows"]} == before


def test_a_second_run_goes_on_and_a_reset_starts_over(first: Run) -> None:
    second = document(first.folder, "--batches", "1")
    assert servers(first.folder) == []
    assert [each["batch"] for each in second["batches"]] == [5]
    assert second["source_rows"] == {}

    fresh = document(first.folder, "--reset")
    assert servers(first.folder) == []
    assert fresh["source_rows"] == first.report["source_rows"]
    assert changes(fresh) == changes(first.report)
    assert fresh["updated"]["key"] == first.report["updated"]["key"]


def test_it_prints_what_a_newcomer_wants_to_see(folder: Path) -> None:
    text = demo(folder, "--batches", "2")
    assert [landmark for landmark in LANDMARKS if landmark not in text] == []
    # The last lines are commands and paths, to be copied whole.
    report, _, _ = text.partition("Go on from here")
    assert max(map(len, report.splitlines()[1:])) <= 100


def test_a_server_that_is_kept_can_be_asked_and_stopped(folder: Path) -> None:
    try:
        report = document(folder, "--keep", "--batches", "1")
        assert report["is_running"]
        assert len(servers(folder)) == 1
        assert len(report["places"]["samples"]) == 3
        assert all((folder / sample).is_file() for sample in report["places"]["samples"])
        with psycopg.connect(report["places"]["warehouse_url"]) as connection:
            row = connection.execute("select count(*) from fact_sales_order").fetchone()
            runs = connection.execute("select command, outcome from tidemark.run").fetchall()
        assert row == (report["tables"]["load"]["fact_sales_order"]["rows"],)
        assert runs == [("run", "ok")] * len(report["batches"])
        command = f"{report['places']['psql']} totesys -Atc 'select current_database()'"
        got = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)  # noqa: S602 -- it is to be pasted
        assert got.stdout == "totesys\n"
    finally:
        assert json.loads(demo(folder, "--stop", "--json")) == {"was_running": True}
    assert servers(folder) == []
    assert json.loads(demo(folder, "--stop", "--json")) == {"was_running": False}


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)])
def test_a_signal_stops_its_server_too_and_the_next_run_goes_on(folder: Path, number: signal.Signals) -> None:
    command = arguments(folder, "--batches", "50")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603 -- as above
        assert running.stdout
        assert running.stderr
        while "batch 2" not in running.stdout.readline():
            assert running.poll() is None
        running.send_signal(number)
        running.stdout.read()
        assert "the server has been stopped" in running.stderr.read()
    assert running.returncode == 128 + number
    assert servers(folder) == []
    assert document(folder, "--batches", "1")["batches"][-1]["batch"] > 2


def test_two_at_once_in_one_directory_are_refused(folder: Path) -> None:
    command = arguments(folder, "--batches", "50")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:  # noqa: S603 -- as above
        assert running.stdout
        while "PostgreSQL" not in running.stdout.readline():
            time.sleep(0.01)
        done = subprocess.run(arguments(folder), check=False, capture_output=True, text=True, timeout=60)  # noqa: S603 -- as above
        running.terminate()
        running.stdout.read()
    assert done.returncode == 2
    assert "another demo is at work" in done.stderr
    assert servers(folder) == []
