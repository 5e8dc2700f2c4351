"""What tells of runs: health in `status`, the webhook, the file of metrics, the record; and `tidemark.run()`."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import tidemark
from tests.support.office import NOBODY, Office
from tests.support.receiver import Receiver, receiving
from tidemark.errors import ConfigError, TransientError
from tidemark.objects import open_objects
from tidemark.runs.announcing import Subject
from tidemark.runs.metrics import put_file
from tidemark.runs.run import Run
from tidemark.runs.webhook import Webhook, post
from tidemark.settings import NAMES
from tidemark.whole_run import Given

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FAILED = Run("a", "run", NOW, 1.0, 3, "TransientError", "the warehouse is away")
WELL = replace(FAILED, exit_code=0, outcome="ok", message="")
PATH = "/services/T0/B0/s3cr3t"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def samples(file: Path) -> dict[tuple[str, ...], float]:
    """Read a file of metrics as Prometheus does: name and the values of labels, with the number."""
    families = text_string_to_metric_families(file.read_text("utf-8"))
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def status(office: Office, capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    """Give the first line that `tidemark status` shows, and its health as JSON."""
    capsys.readouterr()
    office.run("status")
    line = capsys.readouterr().out.splitlines()[0]
    office.run("status", "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return line, found["health"]


def test_a_failure_and_the_recovery_from_it_are_seen_by_all(
    office: Office, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = office.folder / "tidemark.prom"
    office.set("TIDEMARK_WEBHOOK_URL", f"{receiver.url}{PATH}")
    office.run("init")
    assert office.run("run", "--metrics-file", str(metrics)) == 0
    assert status(office, capsys)[0] == "green, well"
    assert receiver.posts == []

    office.set("TIDEMARK_WAREHOUSE_URL", NOBODY)
    codes = [office.run("run", "--attempts", "1", "--metrics-file", str(metrics)) for _ in range(2)]

    line, health = status(office, capsys)
    failed = samples(metrics)
    [told] = receiver.documents
    assert codes == [3, 3]
    assert line.startswith("red, in trouble: the warehouse cannot be asked: the database at 127.0.0.1:9/nobody")
    assert any("the last run failed" in reason and "TransientError" in reason for reason in health["reasons"])
    assert (told["event"], told["run"]["outcome"]) == ("failure", "TransientError")
    assert "TransientError: the database at 127.0.0.1:9/nobody is away" in told["text"]
    assert told["pipeline"]["warehouse"] == "127.0.0.1:9/nobody"
    assert failed["tidemark_run_last_exit_code",] == 3
    assert failed["tidemark_run_last_success_timestamp_seconds",] < failed["tidemark_run_last_timestamp_seconds",]
    assert failed["tidemark_health", "red"] == failed["tidemark_run_last_failed",] == 1

    office.set("TIDEMARK_WAREHOUSE_URL", office.warehouse)
    assert office.run("run", "--metrics-file", str(metrics)) == office.run("run") == 0

    well = samples(metrics)
    assert status(office, capsys) == ("green, well", {"colour": "green", "word": "well", "reasons": []})
    assert [each["event"] for each in receiver.documents] == ["failure", "recovery"]
    assert well["tidemark_health", "green"] == 1
    assert well["tidemark_run_last_exit_code",] == well["tidemark_run_last_failed",] == 0
    assert well["tidemark_run_last_success_timestamp_seconds",] == well["tidemark_run_last_timestamp_seconds",]
    assert [run.announced for run in office.newest()] == ["", "recovery", "", "failure", ""]
    assert "s3cr3t" not in "".join(run.encode() for run in office.newest())


def test_the_metrics_say_how_far_and_how_fresh_a_pipeline_is(office: Office) -> None:
    metrics = office.folder / "tidemark.prom"
    office.run("init")
    office.run("run")

    assert office.run("status", "--metrics-file", str(metrics)) == 0

    found = samples(metrics)
    [(loans,)] = office.ask("select count(*) from fact_loan")
    assert {found["tidemark_batch", place] for place in ("log", "star", "warehouse")} == {1}
    assert found["tidemark_loaded_rows_total", "fact_loan"] == loans
    assert found["tidemark_stage_rows", "load"] > 0
    assert 0 < found["tidemark_stage_duration_seconds", "load"] < found["tidemark_run_last_duration_seconds",]
    assert 0 <= found["tidemark_freshness_seconds",] < found["tidemark_freshness_limit_seconds",] == 1800
    assert metrics.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in office.folder.glob("*prom*")] == ["tidemark.prom"]


def test_every_metric_is_documented() -> None:
    root = Path(__file__).parents[2]
    names = set(re.findall(r'"(tidemark_\w+)"', (root / "src" / "tidemark" / "runs" / "metrics.py").read_text("utf-8")))
    page = (root / "docs" / "operations.md").read_text("utf-8")

    assert len(names) > 10
    assert [name for name in names if f"`{name}" not in page] == []


def test_a_file_of_metrics_that_cannot_be_written_changes_no_run(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.run("init")
    assert office.run("run", "--metrics-file", str(office.folder / "nowhere" / "x.prom")) == 2
    assert "expected a file in a directory that is there" in capsys.readouterr().err
    pipe = office.folder / "pipe.prom"
    os.mkfifo(pipe)
    assert office.run("run", "--metrics-file", str(pipe)) == 2
    assert pipe.is_fifo()
    link, target = office.folder / "link.prom", office.folder / "target.prom"
    link.symlink_to(target)
    target.write_text("tidemark_run_last_success_timestamp_seconds 1.2.3\n")
    assert office.run("run", "--metrics-file", str(link)) == 0
    assert link.is_symlink()
    assert samples(target)
    closed = office.folder / "closed"
    closed.mkdir()
    with pytest.raises(ConfigError, match="the metrics cannot be written"):
        put_file(closed / "a" / "x.prom", "")


class Teller:
    """Tells a webhook of runs, at moments that the test chooses."""

    def __init__(self, url: str, folder: Path) -> None:
        self.now, self.url, self.folder = NOW, url, folder

    def told(self, run: Run, minutes_later: float = 0) -> str:
        self.now += timedelta(minutes=minutes_later)
        place = (open_objects(str(self.folder)), "runs/")
        return Webhook(lambda: self.url, lambda: place, Subject("library"), lambda: self.now).told(run)


def test_failures_are_told_once_an_hour_and_a_recovery_once(receiver: Receiver, tmp_path: Path) -> None:
    teller = Teller(receiver.url, tmp_path)
    story = [
        (WELL, 0),
        (FAILED, 10),
        (FAILED, 10),
        (FAILED, 55),
        (WELL, 1),
        (WELL, 1),
        (FAILED, 1),
        (WELL, 1),
        (FAILED, 60),
    ]

    told = [teller.told(run, minutes) for run, minutes in story]

    assert told == ["", "failure", "", "failure", "recovery", "", "", "", "failure"]
    assert [each["event"] for each in receiver.documents] == [each for each in told if each]
    assert {headers["Content-Type"] for _, headers, _ in receiver.posts} == {"application/json"}


def test_a_receiver_that_sends_a_byte_now_and_then_holds_nobody_up() -> None:
    def drip(server: socket.socket) -> None:
        with suppress(OSError):
            accepted, _ = server.accept()
            with accepted:
                while True:
                    accepted.sendall(b"H")
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        with pytest.raises(TransientError, match="does not finish its answer"):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/", {"text": "x"}, patience_seconds=0.1, slack_seconds=0.1)


def test_of_many_processes_at_once_one_tells(receiver: Receiver, tmp_path: Path) -> None:
    told: list[str] = []
    runs = [replace(FAILED, id=str(number)) for number in range(8)]
    threads = [
        threading.Thread(target=lambda run=run: told.append(Teller(receiver.url, tmp_path).told(run))) for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told) == [*[""] * 7, "failure"]
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("codes", "posts", "told"),
    [
        ([500], 2, "failure"),
        ([500, 503], 2, ""),
        ([404], 1, ""),
        ([302], 1, ""),
        ([204], 1, "failure"),
    ],
)
def test_a_webhook_is_tried_twice_and_never_followed_elsewhere(
    receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture, codes: list[int], posts: int, told: str
) -> None:
    receiver.codes = list(codes)

    assert Teller(f"{receiver.url}{PATH}", tmp_path).told(FAILED) == told

    assert [path for path, _, _ in receiver.posts] == [PATH] * posts
    assert "s3cr3t" not in caplog.text
    assert "127.0.0.1" not in caplog.text
    assert bool(caplog.text) == (not told)
    # What was not told is told by the next run.
    assert Teller(receiver.url, tmp_path).told(FAILED, 1) == ("" if told else "failure")


def test_a_webhook_that_does_not_answer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{PATH}"
        begun = time.monotonic()
        with pytest.raises(TransientError, match="it cannot be reached: TimeoutError"):
            post(url, {"text": "x"}, patience_seconds=0.2)

    assert time.monotonic() - begun >= 0.4
    assert "s3cr3t" not in caplog.text


def test_a_program_runs_it_and_gets_typed_results(office: Office) -> None:
    office.run("init")
    settings: Given = {"warehouse_url": office.warehouse, "lag": "1s"}

    first, second = tidemark.run(**settings), tidemark.run(**settings)

    [(loans,)] = office.ask("select count(*) from fact_loan")
    assert (first.batches, second.batches) == ((1,), ())
    assert first.rows["fact_loan"] == loans
    assert second.rows == {}
    assert [report.stage for report in first.stages] == ["ingest", "transform", "load"]
    assert 0 < second.seconds < first.seconds + 5
    assert [(run.command, run.outcome) for run in office.newest()] == [("run", "ok")] * 2


def test_the_page_on_python_runs_as_it_stands(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    exec(compile(block, "reference.md", "exec"), {"SOURCE": office.source, "WAREHOUSE": office.warehouse})  # noqa: S102

    [(loans,)] = office.ask("select count(*) from loan")
    assert capsys.readouterr().out.startswith("(1,) {")
    assert loans > 0


def test_a_program_gets_the_errors_of_their_families(office: Office) -> None:
    with pytest.raises(ConfigError, match="--colour is not a setting"):
        tidemark.run(colour="red")  # type: ignore[call-arg]
    with pytest.raises(TransientError, match="is away"):
        tidemark.run(warehouse_url=NOBODY)

    assert [(run.exit_code, run.outcome) for run in office.newest()] == [(3, "TransientError")]


def test_a_program_may_give_every_setting() -> None:
    assert list(Given.__annotations__) == list(NAMES)


def test_importing_tidemark_imports_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import tidemark; print(*set(sys.modules) - before)"

    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)  # noqa: S603 -- our own

    assert found.stdout.split() == ["tidemark"]
