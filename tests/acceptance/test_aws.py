"""The pipeline on AWS, from `terraform apply` to a mail: the real configuration, packages and rows.

All tests share one deployment. Each begins and ends with a warehouse that has all that the source has, so their order
does not matter.
"""

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.aws import Execution
from tests.support.browser import CHROMIUM, MISSING, opened, started
from tests.support.deployment import Begun, Deployment, deployed
from tests.support.kills import contents, unlike
from tests.support.pipeline import Rig, real_totesys, rigs
from tests.support.postgres import Postgres
from tests.support.site import wait_for

STAGES = ("Ingest", "Transform", "Load")
PATH = (
    *("Ingest", "Is it too large to ingest"),
    *("Transform", "Is it too large to transform"),
    *("Load", "Is it too large to load"),
)
ENDS = ("What came of it", "Loaded")
# How a stage goes on where its function has left the work to a task, or to a job on Spark.
BY = ("Is it too large to {0}", "Look for a {2} to {0}", "Is a {2} to {0} at work", "{1} by a {2}")
INCREMENT = (
    """insert into sales_order
       select 20001, '2024-11-16 09:00', '2024-11-16 09:00', design_id, staff_id, counterparty_id, 7, 1.25, currency_id,
              '2024-11-20', '2024-11-21', agreed_delivery_location_id
       from sales_order where sales_order_id = 17""",
    """update sales_order set agreed_delivery_location_id = 5, last_updated = '2024-11-16 09:01'
       where sales_order_id = 17""",
    "update staff set last_name = 'Changed' where staff_id = 1",  # and last_updated stays
    "delete from payment where payment_id = 2",
)


@dataclass(frozen=True)
class Taken:
    """What a pipeline has made of the real rows, and then of the increment."""

    baseline: dict[str, Any]
    increment: dict[str, Any]


@dataclass(frozen=True)
class Cloud:
    """The deployment, after the baseline and one increment, and what the same runs make on one machine."""

    deployment: Deployment
    taken: Taken
    local: Taken


@pytest.fixture(scope="module")
def cloud_once(
    begun_deployment: Begun, postgres: Postgres, totesys_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """The cloud of `cloud`, without the environment."""
    template = postgres.template("real_totesys", real_totesys(totesys_rows, whole=True))
    with rigs(postgres, str(tmp_path_factory.mktemp("local") / "lake")) as create:
        local, remote = create(template), create(template)
        reference = _taken(local, local.run)
        with deployed(begun_deployment, remote) as deployment:
            runs = iter(("baseline", "increment"))
            taken = _taken(deployment.rig, lambda: deployment.tick(next(runs)))
            yield Cloud(deployment, taken, reference)
            print(_report(deployment))  # noqa: T201 -- for `pytest -s`


@pytest.fixture
def cloud(cloud_once: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A pipeline on AWS that has loaded the real rows and an increment, and whose inbox is empty."""
    for name, value in cloud_once.deployment.aws.server.variables.items():
        monkeypatch.setenv(name, value)
    cloud_once.deployment.mails()
    return cloud_once


@pytest.fixture
def pipeline(cloud: Cloud) -> Deployment:
    return cloud.deployment


def _taken(rig: Rig, run: Callable[[], object]) -> Taken:
    run()
    baseline = contents(rig)
    rig.change(*INCREMENT)
    run()
    return Taken(baseline, contents(rig))


def _report(deployment: Deployment) -> str:
    lines = [f"{seconds:7.1f} s  {name}" for name, seconds in deployment.seconds.items()]
    for invocation in deployment.aws.invocations():
        if invocation["import_seconds"]:
            size = f"{invocation['memory_mb']} MB, {invocation['import_seconds']:.1f} s to start"
            lines.append(f"{invocation['seconds']:7.1f} s  {invocation['function']}: {size}")
    return "\n".join(["", *lines])


def test_the_real_rows_are_all_as_a_local_run_has_them(cloud: Cloud) -> None:
    assert unlike(cloud.local.baseline, cloud.taken.baseline) == {}
    assert len(cloud.taken.baseline["warehouse fact_sales_order"]) == 11_187


def test_an_increment_is_as_a_local_run_has_it(cloud: Cloud) -> None:
    assert unlike(cloud.local.increment, cloud.taken.increment) == {}
    assert cloud.taken.increment != cloud.taken.baseline


def test_terraform_finds_nothing_to_change_after_runs(pipeline: Deployment) -> None:
    assert "No changes." in pipeline.terraform.run("plan", "-input=false")


def test_a_run_that_finds_nothing_is_skipped(pipeline: Deployment) -> None:
    ended = pipeline.tick("nothing new")

    assert ended.status == "SUCCEEDED"
    assert ended.states == (*PATH, "What came of it", "Skipped")
    assert pipeline.mails() == []


def test_a_backfill_is_asked_for_by_the_input(pipeline: Deployment) -> None:
    pipeline.rig.change(
        "update sales_order set units_sold = 1, last_updated = '2024-11-05 12:00' where sales_order_id = 101",
        "update sales_order set units_sold = 1, last_updated = '2024-11-12 12:00' where sales_order_id = 102",
    )

    span = {"from": "2024-11-01", "to": "2024-11-08", "tables": ["sales_order"]}
    ended = pipeline.execute("backfill", {"backfill": span})

    assert ended.states == (*PATH, *ENDS)
    assert _units_sold(pipeline, 101)[-1] == 1
    assert _units_sold(pipeline, 102)[-1] != 1
    assert pipeline.tick("after the backfill").states[-1] == "Loaded"
    assert _units_sold(pipeline, 102)[-1] == 1


def test_a_verification_is_asked_for_by_the_input(pipeline: Deployment) -> None:
    ended = pipeline.execute("verify", {"verify": True})

    assert ended.states == (*PATH, "What came of it", "Verified")
    assert {ended.output[stage.lower()]["Payload"]["verified"] for stage in STAGES} == {True}


@pytest.fixture
def large(pipeline: Deployment) -> Callable[..., Execution]:
    """Run the state machine as it was applied, for which any number of rows is too large for a function.

    What follows the name is a text of its definition, and what is to stand there.
    """
    steps = pipeline.aws.server.client("stepfunctions")
    machine = steps.describe_state_machine(stateMachineArn=pipeline.outputs["state_machine_arn"])

    def run(name: str, text: str = "", other: str = "") -> Execution:
        definition, count = re.subn(r'"from_rows": *1000000\b', '"from_rows": 0', machine["definition"])
        assert count == len(STAGES)
        assert text in definition
        definition = definition.replace(text, other) if text else definition
        made = steps.create_state_machine(name=name, definition=definition, roleArn=machine["roleArn"])
        return pipeline.aws.execute(made["stateMachineArn"])

    return run


def test_what_is_too_large_for_a_function_is_done_by_tasks_and_a_job_on_spark(
    pipeline: Deployment, large: Callable[..., Execution]
) -> None:
    _change_order(pipeline, 107)
    kinds = {"Ingest": "task", "Transform": "job", "Load": "task"}
    by = [
        each for stage, kind in kinds.items() for each in (stage, *(to.format(stage.lower(), stage, kind) for to in BY))
    ]

    ended = large("large")

    assert (ended.status, ended.states) == ("SUCCEEDED", (*by, "Loaded"))
    left = {"batches": 0, "rows": 0}
    assert ended.output["ingest"]["Payload"] == {"stage": "ingest", **left, "rows_to_come": 0}
    assert ended.output["transform"]["Payload"] == {"stage": "transform", **left, "rows_to_come": 1}
    assert ended.output["load"]["Payload"]["rows_to_come"] > 0
    assert len(_units_sold(pipeline, 107)) == 2
    scratch = f"/{pipeline.outputs['buckets']['processed']}/tidemark-scratch/"
    assert any(path.startswith(scratch) for path, _ in pipeline.aws.puts())
    assert list(pipeline.rig.processed.list("tidemark-scratch/")) == []
    assert pipeline.execute("verify after tasks", {"verify": True}).states[-1] == "Verified"
    assert pipeline.mails() == []


def test_a_job_that_fails_says_so_in_a_mail_and_is_not_started_again(
    pipeline: Deployment, large: Callable[..., Execution]
) -> None:
    failed = large("failing", 'TIDEMARK_MODEL":"totesys"', 'TIDEMARK_MODEL":"nowhere"')

    assert (failed.status, failed.error) == ("FAILED", "ConfigError")
    assert failed.cause == "The command ended with the exit code 2: its log says why."
    assert failed.attempts.count("Transform by a job") == 1
    (mail,) = pipeline.mails()
    assert mail["Subject"] == "Tidemark tidemark: transform failed (ConfigError)"
    assert "$252Faws$252Femr-serverless$252Ftidemark-transform" in mail["Message"]
    logs = pipeline.aws.server.client("logs")
    lines = logs.filter_log_events(logGroupName="/aws/emr-serverless/tidemark-transform")["events"]
    assert "nowhere" in "".join(each["message"] for each in lines)


def test_a_task_that_fails_says_so_in_a_mail_like_a_function(
    pipeline: Deployment, large: Callable[..., Execution]
) -> None:
    pipeline.rig.change("alter table department rename column location to place")

    failed = large("failing-task")
    pipeline.rig.change("alter table department rename column place to location")

    assert (failed.status, failed.error) == ("FAILED", "ContractError")
    assert failed.cause == "The command ended with the exit code 4: its log says why."
    (mail,) = pipeline.mails()
    assert mail["Subject"] == "Tidemark tidemark: ingest failed (ContractError)"
    assert "$252Faws$252Fecs$252Ftidemark-ingest" in mail["Message"]
    assert pipeline.tick("after the failed task").states[-1] == "Skipped"


def test_a_failure_ends_in_one_mail_that_says_what_to_do(pipeline: Deployment) -> None:
    pipeline.rig.change("alter table department rename column location to place")

    failed = pipeline.tick("failure")
    pipeline.rig.change("alter table department rename column place to location")

    assert (failed.status, failed.error) == ("FAILED", "ContractError")
    (mail,) = pipeline.mails()
    print(mail["Subject"], mail["Message"], sep="\n\n")  # noqa: T201 -- for `pytest -s`
    assert mail["Subject"] == "Tidemark tidemark: ingest failed (ContractError)"
    assert failed.cause in mail["Message"]
    for part in ("ContractError", "ingest: dimension/staff.sql cannot read the source", '"location"', failed.name):
        assert part in mail["Message"]
    assert re.search(r"^what to do: nothing was written: bring it back in the source", mail["Message"], re.MULTILINE)
    assert re.search(r"^log: https://eu-west-2\.console\.aws\.amazon\.com/cloudwatch/", mail["Message"], re.MULTILINE)
    assert "{}" not in mail["Message"].replace("with the input {}", "")
    assert pipeline.tick("after the failure").states[-1] == "Skipped"


def test_what_passes_is_tried_again(pipeline: Deployment) -> None:
    _change_order(pipeline, 103)
    for _ in range(2):
        pipeline.aws.fail("tidemark-ingest", "raise", point="before-manifest", error="TransientError")
    pipeline.aws.fail("tidemark-load", "throttle")

    ended = pipeline.tick("retries")

    assert ended.attempts == ("Ingest", "Ingest", "Ingest", "Transform", "Load", "Load")
    assert ended.states == (*PATH, *ENDS)
    assert len(_units_sold(pipeline, 103)) == 2
    assert pipeline.mails() == []


def test_the_next_run_finishes_what_a_crash_left_between_two_stages(pipeline: Deployment) -> None:
    _change_order(pipeline, 104)
    pipeline.aws.fail("tidemark-transform", "kill", point="before-fact-commit")

    crashed = pipeline.tick("crash")

    assert (crashed.status, crashed.error) == ("FAILED", "Runtime.ExitError")
    assert crashed.attempts == ("Ingest", "Transform", "Send the mail")
    (mail,) = pipeline.mails()
    assert "signal: killed" in mail["Message"]
    assert len(_units_sold(pipeline, 104)) == 1
    ended = pipeline.tick("after the crash")
    assert ended.states == (*PATH, *ENDS)
    assert [ended.output[stage.lower()]["Payload"]["batches"] for stage in STAGES] == [0, 1, 1]
    assert len(_units_sold(pipeline, 104)) == 2


def test_a_run_that_another_overtook_is_skipped_without_a_mail(pipeline: Deployment, tmp_path: Path) -> None:
    _change_order(pipeline, 105)
    reached, until = tmp_path / "reached", tmp_path / "until"
    pipeline.aws.fail("tidemark-ingest", "wait", point="before-manifest", reached=str(reached), until=str(until))

    slow = pipeline.aws.start(pipeline.outputs["state_machine_arn"])
    wait_for(reached.exists)
    fast = pipeline.tick("overtaking")
    until.touch()

    assert fast.states == (*PATH, *ENDS)
    overtaken = pipeline.aws.end_of(slow)
    assert (overtaken.status, overtaken.states) == ("SUCCEEDED", ("Ingest", "Skipped"))
    assert pipeline.mails() == []
    assert len(_units_sold(pipeline, 105)) == 2


def test_a_backfill_that_a_poll_overtook_is_done_again(pipeline: Deployment, tmp_path: Path) -> None:
    _change_order(pipeline, 106)
    reached, until = tmp_path / "reached", tmp_path / "until"
    pipeline.aws.fail("tidemark-ingest", "wait", point="before-manifest", reached=str(reached), until=str(until))

    span = {"from": "2024-11-01", "to": "2100-01-01", "tables": ["sales_order"]}
    slow = pipeline.aws.start(pipeline.outputs["state_machine_arn"], {"backfill": span})
    while not reached.exists():
        time.sleep(0.05)
    pipeline.tick("overtaking the backfill")
    until.touch()

    done = pipeline.aws.end_of(slow)
    assert (done.status, done.states[: len(PATH)]) == ("SUCCEEDED", PATH)
    assert done.output["ingest"]["Payload"]["batches"] == 0  # for the poll has brought it all
    assert pipeline.mails() == []
    assert len(_units_sold(pipeline, 106)) == 2


def test_compaction_leaves_everything_as_it_is(pipeline: Deployment) -> None:
    before = pipeline.rig.warehouse_rows()
    target = pipeline.aws.server.client("scheduler").get_schedule(Name="tidemark-compact")["Target"]

    answer, is_error = pipeline.aws.invoke(target["Arn"], json.loads(target["Input"]))

    assert not is_error, answer
    assert answer["stage"] == "compact"
    assert pipeline.execute("verify after compaction", {"verify": True}).states[-1] == "Verified"
    assert pipeline.rig.warehouse_rows() == before


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_signed_link_shows_the_dashboard_as_one_page_which_asks_nobody(pipeline: Deployment) -> None:
    newest, orders = pipeline.rig.ledger()[-1], pipeline.rig.count("fact_sales_order_current")
    command = shlex.split(pipeline.outputs["dashboard_page_command"])
    assert command[:3] == ["aws", "s3", "presign"]
    bucket, _, key = command[3].removeprefix("s3://").partition("/")
    client = pipeline.aws.server.client("s3")
    address = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})

    with started() as browser, opened(browser) as (page, seen):
        page.goto(address)
        expect(page.get_by_role("heading", name=f"The warehouse after batch {newest}")).to_be_visible()
        shown = page.locator("dl.tiles div:has(dt:text-is('orders')) dd").first.get_attribute("title")
        found = Axe().run(page)

        assert shown == f"{orders:,}"
        assert page.locator(".trouble").count() == 0
        assert found.violations_count == 0, found.generate_report()
        assert (seen.errors, seen.urls) == ([], {address})


def test_nothing_but_checkpoints_of_a_delta_log_and_the_page_may_be_overwritten(pipeline: Deployment) -> None:
    buckets = [pipeline.outputs["buckets"][name] for name in ("ingestion", "processed")]
    puts = [(path, is_new) for path, is_new in pipeline.aws.puts() if path.split("/", 2)[1] in buckets]
    objects = [(path.split("/", 2)[2], is_new) for path, is_new in puts if path.count("/") > 1]
    # What Spark hands to DuckDB, it puts in its own way.
    checkpoint = re.compile(r"dashboard\.html|tidemark-scratch/.*|.*/_delta_log/(_last_checkpoint|.*\.checkpoint.*)")

    assert len(objects) > 100
    assert "dashboard.html" in [key for key, is_new in objects if not is_new]
    # The roles may put again what this pattern names, and nothing else (infra/iam.tf, infra/emr.tf).
    assert [key for key, is_new in objects if not is_new and not checkpoint.fullmatch(key)] == []


@pytest.mark.parametrize("function", ["ingest", "transform", "load"])
def test_each_line_of_a_log_is_json_and_names_invocation_and_batch(pipeline: Deployment, function: str) -> None:
    found = [each for each in pipeline.aws.invocations(f"tidemark-{function}") if not each["error"]]

    baseline = found[0]
    lines = [json.loads(line) for line in baseline["log"]]
    logged = [line for line in lines if "_aws" not in line and line.get("type") != "platform.report"]
    assert {line["function_request_id"] for line in logged} == {baseline["request_id"]}
    assert [line for line in logged if "batch" not in line] == []
    assert (logged[-1]["batch"], logged[-1]["rows"]) == (1, baseline["answer"]["rows"])


def test_no_run_leaves_a_file_in_the_scratch_space_that_the_next_one_gets(pipeline: Deployment) -> None:
    ended = [each for each in pipeline.aws.invocations() if each["memory_mb"]]

    assert {each["function"]: each["scratch_bytes"] for each in ended if each["scratch_bytes"]} == {}


def test_metrics_count_rows_by_pipeline_and_by_table(pipeline: Deployment) -> None:
    found: dict[tuple[str, ...], float] = {}
    for function in ("ingest", "transform", "load"):
        baseline = pipeline.aws.invocations(f"tidemark-{function}")[0]
        for line in map(json.loads, baseline["log"]):
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                assert directive["Namespace"] == "Tidemark"
                for names in directive["Dimensions"]:
                    place = tuple(line[name] for name in sorted(names))
                    found |= {(metric["Name"], *place): line[metric["Name"]][0] for metric in directive["Metrics"]}

    assert found["RowsIngested", "tidemark", "sales_order"] == 11_187
    assert found["RowsTransformed", "tidemark", "fact_sales_order"] == 11_187
    assert found["RowsLoaded", "tidemark", "fact_sales_order"] == 11_187
    assert found["FreshnessSeconds", "tidemark"] > 0
    assert {name for name, *_ in found} >= {"QuarantinedRows", "ContractWarnings", "Duration"}


def _change_order(pipeline: Deployment, order: int) -> None:
    pipeline.rig.change(f"update sales_order set units_sold = 1, last_updated = now() where sales_order_id = {order}")


def _units_sold(pipeline: Deployment, order: int) -> list[int]:
    """Give the units sold of each version of an order."""
    return [version["units_sold"] for version in pipeline.rig.versions("fact_sales_order", order)]
