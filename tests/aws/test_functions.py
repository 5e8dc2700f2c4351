"""The functions' handlers, each in a process like Lambda's: what they return, log, measure and raise."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.kept import small_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tests.support.tampering import alter_database, rewrite

PASSWORD = "correct horse"  # noqa: S105 -- of no server
FUNCTION = "arn:aws:lambda:eu-west-2:123456789012:function:shop-"
# Invocations come as lines and are answered on the descriptor of stderr; stdout is the function's log.
RUNTIME = """
import importlib, json, sys
from types import SimpleNamespace
for number, line in enumerate(sys.stdin, start=1):
    stage, event = json.loads(line)
    context = SimpleNamespace(
        function_name=f"shop-{stage}", function_version="1", memory_limit_in_mb="2048",
        aws_request_id=f"request-{number}",
        invoked_function_arn="arn:aws:lambda:eu-west-2:123456789012:function:shop-" + stage,
        log_group_name=f"/aws/lambda/shop-{stage}", log_stream_name="2026/11/21/[$LATEST]1", tenant_id=None,
        get_remaining_time_in_millis=lambda: event.get("left", 900_000))
    try:
        answer = {"result": importlib.import_module(f"tidemark.aws.{stage}").handler(event, context)}
    except Exception as exc:
        answer = {"error": type(exc).__name__, "text": str(exc)}
    print("END", flush=True)
    print(json.dumps(answer), file=sys.stderr, flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to, and the JSON lines that it wrote."""

    result: dict[str, Any]
    error: str
    text: str
    lines: list[dict[str, Any]]

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [line for line in self.lines if "_aws" not in line]

    def metrics(self) -> dict[str, float]:
        """The metrics by name, with the dimensions that are not `service`."""
        found: dict[str, float] = {}
        for line in self.lines:
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                assert directive["Namespace"] == "Tidemark"
                assert line["service"] == "shop"
                (dimensions,) = directive["Dimensions"]
                rest = [line[name] for name in sorted(dimensions) if name != "service"]
                found |= {" ".join([each["Name"], *rest]): line[each["Name"]][0] for each in directive["Metrics"]}
        return found


class Functions:
    """The functions of one pipeline, all warm in one process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def invoke(self, stage: str, event: object = None) -> Outcome:
        """Run a function once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdin.write(json.dumps([stage, event or {}]) + "\n")
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline()) not in {"END\n", ""}:
            lines.append(json.loads(line))
        answer = self._process.stderr.readline()
        assert answer.startswith("{"), answer + self._process.stderr.read()
        found = json.loads(answer)
        return Outcome(found.get("result", {}), found.get("error", ""), found.get("text", ""), lines)

    def run(self) -> dict[str, Outcome]:
        """Run the three stages as the state machine does."""
        ingested = self.invoke("ingest", {"input": {}, "execution": "tick"})
        event = {"input": {}, "execution": "tick", "ingested": ingested.result}
        return {"ingest": ingested, "transform": self.invoke("transform", event), "load": self.invoke("load", event)}


def secret_of(url: str) -> str:
    found = conninfo_to_dict(url)
    members = {"host": found["host"], "port": found["port"], "dbname": found["dbname"], "username": found["user"]}
    return json.dumps(members | {"password": PASSWORD})


def after(batches: int) -> pytest.MarkDecorator:
    """Let a test begin with a pipeline that has these batches; otherwise it has none."""
    return pytest.mark.parametrize("rig", [batches], indirect=True, ids=[f"after {batches}"])


@pytest.fixture
def rig(
    request: pytest.FixtureRequest,
    new_rig: Callable[..., Rig],
    small_totesys: Callable[..., Rig],
    postgres: Postgres,
) -> Rig:
    batches = getattr(request, "param", 0)
    return small_totesys(batches) if batches else new_rig(small_template(postgres))


@pytest.fixture
def functions(request: pytest.FixtureRequest, rig: Rig, s3: S3, tmp_path: Path) -> Iterator[Functions]:
    for name, url in (("source", rig.source_url), ("warehouse", rig.warehouse_url)):
        s3.client("secretsmanager").create_secret(Name=f"shop/{name}", SecretString=secret_of(url))
    settings = {
        "TIDEMARK_SOURCE_SECRET": "shop/source",
        "TIDEMARK_WAREHOUSE_SECRET": "shop/warehouse",
        "TIDEMARK_INGESTION": str(tmp_path / "lake" / "ingestion"),
        "TIDEMARK_PROCESSED": str(tmp_path / "lake" / "processed"),
        "TIDEMARK_POINTER": str(tmp_path / "lake" / "pointer.json"),
        "TIDEMARK_MEMORY_LIMIT": "512MB",
        "TMPDIR": str(tmp_path / "scratch"),
        "POWERTOOLS_SERVICE_NAME": "shop",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }
    settings |= getattr(request, "param", {})
    (tmp_path / "scratch").mkdir()
    with subprocess.Popen(  # noqa: S603 -- our own interpreter
        [sys.executable, "-W", "error", "-c", RUNTIME],
        env=settings | s3.variables,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield Functions(process)
        process.kill()


def test_the_functions_bring_a_source_into_the_warehouse_and_say_how_much(functions: Functions, rig: Rig) -> None:
    ran = functions.run()

    rows = sum(rig.source(f"select count(*) from {name}")[0][0] for name in rig.model.sources)
    ingested = ran["ingest"].result
    assert {name: ingested[name] for name in ("stage", "batch", "batches", "rows", "inserted", "warnings")} == {
        "stage": "ingest",
        "batch": 1,
        "batches": 1,
        "rows": rows,
        "inserted": rows,
        "warnings": 0,
    }
    assert (ran["transform"].result["batch"], ran["transform"].result["quarantined"]) == (1, 0)
    assert (ran["load"].result["batch"], ran["load"].result["rows"]) == (1, ran["transform"].result["rows"])
    assert 0 <= ran["load"].result["freshness_seconds"] < 60
    assert list(rig.ledger()) == [1]


def test_a_run_that_finds_nothing_says_so_and_keeps_the_warehouse_fresh(functions: Functions) -> None:
    first = functions.run()
    again = functions.run()

    assert {stage: (ran.result["batch"], ran.result["batches"]) for stage, ran in again.items()} == {
        "ingest": (1, 0),
        "transform": (1, 0),
        "load": (1, 0),
    }
    # As of the poll that found nothing, not of the batch before it.
    assert again["ingest"].result["checked_at"] > first["ingest"].result["checked_at"]
    # Without a poll before it nobody can tell, and no metric says otherwise.
    alone = functions.invoke("load")
    assert alone.result["freshness_seconds"] is None
    assert "FreshnessSeconds" not in alone.metrics()


def test_what_is_too_large_for_a_function_is_counted_and_left_alone(functions: Functions, rig: Rig) -> None:
    rows = sum(rig.source(f"select count(*) from {name}")[0][0] for name in rig.model.sources)
    rig.change("analyze")
    asked = {"input": {}, "execution": "tick"}

    left = functions.invoke("ingest", asked | {"from_rows": rows})
    taken = functions.invoke("ingest", asked | {"from_rows": rows + 1})
    # What the log holds is not new, so a poll of a large source is no large poll.
    again = functions.invoke("ingest", asked | {"from_rows": 1})
    unmade = functions.invoke("transform", asked | {"from_rows": rows})
    made = functions.invoke("transform", asked | {"from_rows": rows + 1})
    unloaded = functions.invoke("load", asked | {"from_rows": made.result["rows"]})
    loaded = functions.invoke("load", asked | {"from_rows": made.result["rows"] + 1})

    assert left.result == {"stage": "ingest", "batches": 0, "rows": 0, "rows_to_come": rows}
    assert (taken.result["batches"], taken.result["rows"]) == (1, rows)
    assert (again.result["batches"], "rows_to_come" in again.result) == (0, False)
    assert unmade.result == {"stage": "transform", "batches": 0, "rows": 0, "rows_to_come": rows}
    assert made.result["batches"] == 1
    assert unloaded.result == {"stage": "load", "batches": 0, "rows": 0, "rows_to_come": made.result["rows"]}
    assert loaded.result["batches"] == 1
    assert list(rig.ledger()) == [1]


def test_the_log_has_a_line_for_the_start_each_table_and_the_end(functions: Functions, rig: Rig) -> None:
    for stage, ran in functions.run().items():
        lines = ran.logged
        tables = [line for line in lines if "table" in line]

        assert [line["message"] for line in (lines[0], lines[-1])] == [f"{stage} begins", f"{stage} ends"]
        assert {line["table"] for line in tables} == set(rig.model.sources if stage == "ingest" else rig.model.stars)
        assert all(line.keys() >= {"rows", "bytes", "seconds"} for line in [*tables, lines[-1]])
        assert {line["function_request_id"] for line in lines} == {
            f"request-{['ingest', 'transform', 'load'].index(stage) + 1}"
        }
        assert {line["batch"] for line in lines[1:]} == {1}
        assert {line["execution"] for line in lines[1:]} == {"tick"}
        assert lines[-1].get("watermark") == ran.result["watermark"]


def test_metrics_count_rows_by_table_seconds_by_stage_and_what_needs_a_person(functions: Functions, rig: Rig) -> None:
    ran = functions.run()
    rig.change(
        "alter table currency add column note text",
        "update sales_order set unit_price = 'NaN' where sales_order_id = 3",
    )
    second = functions.run()

    whole = ran["ingest"].metrics()
    assert whole["RowsIngested"] == ran["ingest"].result["rows"]
    assert whole["RowsIngested sales_order"] == rig.source("select count(*) from sales_order")[0][0]
    assert (whole["ContractWarnings"], second["ingest"].metrics()["ContractWarnings"]) == (0, 1)
    assert set(ran["transform"].metrics()) >= {"RowsTransformed", "RowsTransformed fact_payment", "Duration transform"}
    assert (ran["transform"].metrics()["QuarantinedRows"], second["transform"].metrics()["QuarantinedRows"]) == (0, 1)
    assert set(ran["load"].metrics()) >= {"RowsLoaded", "RowsLoaded dim_staff", "Duration load", "FreshnessSeconds"}
    # Only what moved is paid for.
    assert "RowsIngested staff" not in second["ingest"].metrics()
    warned = [line for line in second["ingest"].logged if line["level"] == "WARNING"]
    assert [(line["message"], line["batch"]) for line in warned] == [("currency.note is new (text): taken along", 0)]


@pytest.mark.parametrize("functions", [{"TIDEMARK_DASHBOARD_PAGE": "true"}], indirect=True, ids=["with a page"])
def test_a_load_writes_the_page_if_time_is_left_and_never_fails_for_it(
    functions: Functions, rig: Rig, tmp_path: Path
) -> None:
    page = tmp_path / "lake" / "processed" / "dashboard.html"
    functions.invoke("ingest")
    functions.invoke("transform")

    late = functions.invoke("load", {"left": 18_000, "input": {}})

    assert (late.error, late.result["batches"], late.result["page_written"]) == ("", 1, False)
    assert [line["message"] for line in late.logged if line["level"] == "WARNING"] == [
        "the page of the dashboard could not be written: no time was left for it"
    ]
    assert not page.exists()
    assert "page_written" not in functions.invoke("load").result
    rig.change("update sales_order set units_sold = units_sold + 1 where sales_order_id = 3")
    assert functions.run()["load"].result["page_written"] is True
    assert "The warehouse after batch 2" in page.read_text("utf-8")
    assert "cannot be" not in page.read_text("utf-8")
    recorded = rig.warehouse(
        "select stages -> 0 ->> 'warnings' from tidemark.run where command = 'load' order by started_at"
    )
    assert [warnings for (warnings,) in recorded] == ["1", "0", "0"]


@after(1)
def test_a_range_of_time_is_read_again(functions: Functions, rig: Rig) -> None:
    rig.change("update sales_order set units_sold = units_sold + 1 where sales_order_id = 3")
    asked = {"backfill": {"from": "2000-01-01", "to": "2100-01-01", "tables": ["sales_order"]}}

    found = functions.invoke("ingest", {"input": asked, "execution": "by hand"})

    assert (found.result["batch"], found.result["batches"], found.result["updated"]) == (2, 1, 1)
    assert functions.invoke("ingest", asked).result["batches"] == 0


@after(1)
def test_an_error_leaves_under_the_name_of_its_family(functions: Functions, rig: Rig) -> None:
    rig.change("alter table payment rename column paid to is_paid")

    failed = functions.invoke("ingest", {"input": {}, "execution": "tick"})

    assert failed.error == "ContractError"
    first, *_, advice, link = failed.text.splitlines()
    assert first.startswith("ingest: ")
    assert "paid" in first
    assert advice.startswith("what to do: nothing was written")
    assert link.startswith("log: https://eu-west-2.console.aws.amazon.com/cloudwatch/")
    assert (failed.logged[-1]["level"], failed.logged[-1]["family"]) == ("ERROR", "ContractError")


def test_an_event_that_nobody_understands_is_refused(functions: Functions) -> None:
    failed = functions.invoke("load", {"verfy": True})

    assert (failed.error, failed.text.splitlines()[0]) == ("ConfigError", "load: input: unknown 'verfy'")


@after(1)
def test_a_secret_that_changed_is_read_again(functions: Functions, rig: Rig, s3: S3) -> None:
    functions.invoke("ingest")
    name = conninfo_to_dict(rig.source_url)["dbname"]
    moved = rig.source_url.replace(str(name), f"{name}_moved")
    with psycopg.connect(rig.warehouse_url, autocommit=True) as connection:
        statement = sql.SQL("alter database {} rename to {}")
        connection.execute(statement.format(sql.Identifier(str(name)), sql.Identifier(f"{name}_moved")))
        try:
            lost = functions.invoke("ingest")
            s3.client("secretsmanager").put_secret_value(SecretId="shop/source", SecretString=secret_of(moved))
            # The log's source is known by the database's name, too.
            found = functions.invoke("ingest")
            still = functions.invoke("ingest")
        finally:
            connection.execute(statement.format(sql.Identifier(f"{name}_moved"), sql.Identifier(str(name))))

    assert "does not exist" in lost.text
    assert "the secret has changed" in " ".join(line["message"] for line in found.logged)
    assert found.error == still.error == "StateError"
    assert "the secret has changed" not in " ".join(line["message"] for line in still.logged)


@after(1)
def test_a_secret_that_cannot_be_read_again_hides_no_error(functions: Functions, rig: Rig, s3: S3) -> None:
    functions.invoke("ingest")
    rig.change("alter table payment rename column paid to is_paid")
    s3.client("secretsmanager").delete_secret(SecretId="shop/source", ForceDeleteWithoutRecovery=True)

    assert functions.invoke("ingest").error == "ContractError"


def test_what_an_invocation_left_that_was_ended_in_its_midst_is_cleared(functions: Functions, tmp_path: Path) -> None:
    left = tmp_path / "scratch" / "tidemark-function" / "tidemark-left"
    left.mkdir(parents=True)
    (left / "spill").write_bytes(bytes(1000))

    assert functions.invoke("ingest").error == ""

    assert list((tmp_path / "scratch" / "tidemark-function").iterdir()) == []


@after(2)
def test_each_function_proves_its_own_edge(functions: Functions, rig: Rig) -> None:

    for stage, tables in (
        ("ingest", len(rig.model.sources)),
        ("transform", len(rig.model.stars)),
        ("load", len(rig.model.stars)),
    ):
        proven = functions.invoke(stage, {"verify": True})
        assert (proven.error, proven.text) == ("", "")
        assert (proven.result["verified"], proven.result["batch"], proven.result["tables"]) == (True, 2, tables)


def test_what_is_not_there_yet_is_not_verified(functions: Functions) -> None:
    for stage in ("ingest", "transform", "load"):
        found = functions.invoke(stage, {"verify": True})

        assert (found.error, found.result["verified"]) == ("", False)
        assert "is not verified" in " ".join(line["message"] for line in found.logged)


@after(1)
def test_a_difference_is_named(functions: Functions, rig: Rig) -> None:
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("update dim_staff set first_name = 'Eve' where staff_id = 3")

    failed = functions.invoke("load", {"verify": True})

    assert failed.error == "DataError"
    assert failed.text.startswith(
        "load: star = warehouse does not hold as of batch 1: dim_staff: 1 keys differ, such as staff_id 3"
    )


@after(1)
def test_each_function_makes_again_what_it_writes(functions: Functions, rig: Rig) -> None:
    rewrite(rig.ingestion, "latest/design", "design_id = 1", design_name="'forged'")
    rewrite(rig.processed, "dimension/design", "design_id = 2", design_name="'forged'")
    alter_database(rig.warehouse_url, "update dim_design set design_name = 'forged' where design_id = 3")

    for stage, what in (("ingest", "latest"), ("transform", "star"), ("load", "warehouse")):
        done = functions.invoke(stage, {"rebuild": what})
        assert (done.error, done.result.get("rebuilt"), done.result.get("differences")) == ("", what, 2), done.text
        assert functions.invoke(stage, {"rebuild": what}).result["differences"] == 0
        assert functions.invoke(stage, {"verify": True}).result["verified"]


@after(2)
@pytest.mark.usefixtures("rig")
def test_compaction_says_what_it_did(functions: Functions) -> None:
    done = functions.invoke("compact")

    assert done.error == ""
    assert done.result["rewritten"] > done.result["written"] > 0
    assert functions.invoke("load", {"verify": True}).result["verified"]


def test_no_line_and_no_message_holds_a_password(functions: Functions, s3: S3) -> None:
    away = json.dumps({"host": "127.0.0.1", "port": 9, "dbname": "x", "username": "reader", "password": PASSWORD})
    s3.client("secretsmanager").put_secret_value(SecretId="shop/source", SecretString=away)

    failed = functions.invoke("ingest")

    assert failed.error == "TransientError"
    assert not [
        line for line in [failed.text, *map(json.dumps, failed.lines)] if PASSWORD in line or "correct%20" in line
    ]
