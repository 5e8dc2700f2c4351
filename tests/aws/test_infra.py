"""What can be said of infra/ without an AWS account, by Terraform itself and a mock of its provider."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.package import JOB, RECORD, Target, write_record
from infra.policies import policy_table
from tests.support.aws import AWS, Execution
from tests.support.s3 import S3
from tests.support.terraform import INFRA, mocked_apply, terraform_on

LOG_STREAMS = "`arn:aws:logs:<region>:<account>:log-group:/aws/lambda/tidemark-ingest:*`"
POINTER = "`arn:aws:ssm:<region>:<account>:parameter/tidemark/pointer`"
CREDENTIALS = "`arn:aws:secretsmanager:<region>:<account>:secret:tidemark/source-<suffix>`"
AWS_PAGE = INFRA.parent / "docs" / "aws.md"
STAGES = ("Ingest", "Transform", "Load")
# A function that gives what the execution's input says that it gives, and refuses an input that is no object.
FUNCTION = """
class ConfigError(Exception):
    pass

def handler(event, context):
    if not isinstance(event["input"], dict):
        raise ConfigError("expected an object")
    return event["input"][context.function_name.removeprefix("tidemark-")]
"""


@pytest.fixture(scope="module", autouse=True)
def _what_takes_long_is_begun(request: pytest.FixtureRequest) -> None:
    """Let Terraform's apply wait in the background if test_aws.py needs it later in this worker."""
    if any(item.path.name == "test_aws.py" for item in request.session.items):
        # Without Terraform, the tests here say so themselves.
        with suppress(pytest.skip.Exception):
            request.getfixturevalue("begun_deployment")


@pytest.fixture(scope="module")
def resources() -> Mapping[str, Mapping[str, Any]]:
    """What an apply without variables makes, by address."""
    _, state = mocked_apply()
    return {each["address"]: each["values"] for each in state["values"]["root_module"]["resources"]}


@pytest.fixture(scope="module")
def states(resources: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """The states of the state machine."""
    definition = json.loads(resources["aws_sfn_state_machine.run"]["definition"])
    found: Mapping[str, Mapping[str, Any]] = definition["States"]
    return found


@pytest.fixture
def run(s3: S3, resources: Mapping[str, Mapping[str, Any]]) -> Callable[[object], Execution]:
    """Start the state machine as Terraform writes it, on functions that do nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("module.py", FUNCTION)
    s3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
    role = "arn:aws:iam::123456789012:role/role"
    for stage in STAGES:
        s3.client("lambda").create_function(
            FunctionName=f"tidemark-{stage.lower()}",
            Runtime="python3.13",
            Role=role,
            Handler="module.handler",
            Code={"ZipFile": archive.getvalue()},
        )
    s3.client("sns").create_topic(Name="tidemark-notices")
    definition = resources["aws_sfn_state_machine.run"]["definition"]
    steps = s3.client("stepfunctions")
    machine = steps.create_state_machine(name="tidemark", definition=definition, roleArn=role)

    def run(given: object) -> Execution:
        execution = steps.start_execution(
            stateMachineArn=machine["stateMachineArn"], name="test", input=json.dumps(given)
        )
        return AWS(s3).end_of(execution["executionArn"])

    return run


def test_the_configuration_is_formatted_and_valid(tmp_path: Path) -> None:
    terraform = terraform_on(tmp_path / "infra")
    assert terraform.run("fmt", "-check", "-recursive") == ""
    assert json.loads(terraform.run("validate", "-json"))["diagnostics"] == []


def test_terraforms_own_tests_pass() -> None:
    tested, _ = mocked_apply()
    assert tested.failures == []
    runs = "".join(file.read_text() for file in (INFRA / "tests").glob("*.tftest.hcl")).count('\nrun "')
    assert (tested.status, tested.passed) == ("pass", runs)


@pytest.mark.parametrize(("architecture", "certificates"), [("x86_64", True), ("arm64", False)])
def test_terraforms_own_tests_read_what_make_package_writes(
    architecture: str, *, certificates: bool, tmp_path: Path
) -> None:
    packages = INFRA / "tests" / ("packages" if architecture == "x86_64" else f"packages_{architecture}")
    shutil.copytree(packages, tmp_path, dirs_exist_ok=True)
    (tmp_path / RECORD).unlink()

    job = (packages / f"{JOB}.zip").exists()
    write_record(Target(architecture=architecture), tmp_path, certificates=certificates, job=job)

    assert (tmp_path / RECORD).read_text() == (packages / RECORD).read_text()


def test_every_variable_is_typed_described_and_validated() -> None:
    blocks = re.findall(
        r'^variable "(\w+)" \{\n(.*?)^\}', (INFRA / "variables.tf").read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) > 20
    for name, body in blocks:
        for attribute in ("type", "description", "default"):
            assert re.search(rf"^  {attribute} ", body, re.MULTILINE), f"{name} has no {attribute}"
        # Of a bool, Terraform itself refuses what it cannot be.
        assert "  validation {" in body or re.search(r"type += bool", body), f"{name} is not validated"


def test_every_output_is_described() -> None:
    blocks = re.findall(r'^output "(\w+)" \{\n(.*?)^\}', (INFRA / "outputs.tf").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    assert [name for name, body in blocks if "  description = " not in body] == []


def test_every_alarm_tells_the_topic_and_shows_on_the_dashboard(resources: Mapping[str, Mapping[str, Any]]) -> None:
    alarms = [values for address, values in resources.items() if address.startswith("aws_cloudwatch_metric_alarm.")]
    topic = resources["aws_sns_topic.notices"]["arn"]
    assert alarms
    assert [each["alarm_name"] for each in alarms if each["alarm_actions"] != [topic]] == []
    widgets = json.loads(resources["aws_cloudwatch_dashboard.this"]["dashboard_body"])["widgets"]
    shown = next(each["properties"]["alarms"] for each in widgets if each["type"] == "alarm")
    assert sorted(shown) == sorted(each["arn"] for each in alarms)


def test_the_dashboard_shows_every_metric_that_a_run_puts(resources: Mapping[str, Mapping[str, Any]]) -> None:
    body = resources["aws_cloudwatch_dashboard.this"]["dashboard_body"]
    metrics = "RowsIngested RowsTransformed RowsLoaded FreshnessSeconds QuarantinedRows ContractWarnings"
    assert [metric for metric in metrics.split() if metric not in body] == []


def test_every_state_leads_to_an_end_and_can_be_reached(states: Mapping[str, Mapping[str, Any]]) -> None:
    reached, waiting = set[str](), ["Ingest"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_followers(states[name]))
    assert reached == set(states)
    ends = {name: state["Type"] for name, state in states.items() if not list(_followers(state))}
    assert ends.pop("Failed") == "Fail"
    assert ends == dict.fromkeys(("Loaded", "Verified", "Nothing to verify", "Skipped"), "Succeed")


@pytest.mark.parametrize(
    ("results", "end"),
    [
        ([{"batches": 0}, {"batches": 0}, {"batches": 1}], "Loaded"),
        ([{"batches": 0}, {"batches": 0}, {"batches": 0}], "Skipped"),
        ([{"batches": 0, "verified": each} for each in (True, True, True)], "Verified"),
        ([{"batches": 0, "verified": each} for each in (False, False, False)], "Nothing to verify"),
        ([{"batches": 0, "verified": each} for each in (True, False, False)], "Nothing to verify"),
        ([{"batches": 0, "verified": each} for each in (True, True, False)], "Nothing to verify"),
    ],
)
def test_an_execution_ends_in_the_state_that_its_results_ask_for(
    run: Callable[[object], Execution], results: list[Mapping[str, object]], end: str
) -> None:
    given = dict(zip(("ingest", "transform", "load"), results, strict=True))

    ended = run(given)

    assert (ended.status, ended.states) == ("SUCCEEDED", (*STAGES, "What came of it", end))
    assert ended.output == {stage: {"Payload": result} for stage, result in given.items()}


@pytest.mark.parametrize("given", [["verify"], [], "verify"])
def test_an_input_that_is_no_object_ends_in_a_mail(run: Callable[[object], Execution], s3: S3, given: object) -> None:
    aws = AWS(s3)
    inbox = aws.subscribe("arn:aws:sns:eu-west-2:123456789012:tidemark-notices")

    ended = run(given)

    assert (ended.status, ended.error, ended.cause) == ("FAILED", "ConfigError", "expected an object")
    [mail] = aws.messages(inbox)
    assert mail["Subject"] == "Tidemark tidemark: ingest failed (ConfigError)"
    assert f"with the input {json.dumps(given)}\n" in mail["Message"]


def test_a_missing_function_ends_in_a_mail_that_says_how_to_make_it(run: Callable[[object], Execution], s3: S3) -> None:
    aws = AWS(s3)
    inbox = aws.subscribe("arn:aws:sns:eu-west-2:123456789012:tidemark-notices")
    s3.client("lambda").delete_function(FunctionName="tidemark-transform")

    ended = run({"ingest": {"batches": 0}})

    assert (ended.status, ended.error) == ("FAILED", "Lambda.ResourceNotFoundException")
    [mail] = aws.messages(inbox)
    assert mail["Subject"] == "Tidemark tidemark: transform failed (Lambda.ResourceNotFoundException)"
    assert "`terraform apply` makes it again" in mail["Message"]


def test_every_stage_is_repeated_and_caught_alike(states: Mapping[str, Mapping[str, Any]]) -> None:
    first = states["Ingest"]
    assert {error for retrier in first["Retry"] for error in retrier["ErrorEquals"] if "." not in error} == {
        "TransientError"
    }
    for name in STAGES:
        overtaken, other = states[name]["Catch"]
        assert states[name]["Retry"] == first["Retry"]
        assert (overtaken["ErrorEquals"], overtaken["Next"]) == (["OvertakenError"], "Skipped")
        assert (other["ErrorEquals"], other["Next"]) == (["States.ALL"], f"{name} failed")


def test_repetitions_take_a_few_minutes_at_most(states: Mapping[str, Mapping[str, Any]]) -> None:
    [retrier] = states["Ingest"]["Retry"]
    waits = [
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt, retrier["MaxDelaySeconds"])
        for attempt in range(retrier["MaxAttempts"])
    ]
    assert retrier["JitterStrategy"] == "FULL"
    assert 120 <= sum(waits) <= 600


def test_every_error_family_has_its_own_advice(states: Mapping[str, Mapping[str, Any]]) -> None:
    families = ["TransientError", "ConfigError", "ContractError", "DataError", "StateError"]
    chosen = {
        test["StringEquals"]: choice["Next"] for choice in states["What to do"]["Choices"] for test in choice["Or"]
    }
    assert [chosen[family] for family in families] == families
    assert len({states[name]["Result"]["advice"] for name in families}) == len(families)


def test_a_subject_fits_into_a_mail(states: Mapping[str, Mapping[str, Any]]) -> None:
    longest_name = 24
    errors = [error for retrier in states["Ingest"]["Retry"] for error in retrier["ErrorEquals"]]
    text = states["Write the mail"]["Parameters"]["subject.$"].split("'")[1].replace("tidemark", "x" * longest_name)
    assert len(text.format("transform", max(errors, key=len))) <= 100


def test_the_mail_says_something_at_each_of_its_places(states: Mapping[str, Mapping[str, Any]]) -> None:
    places = states["Write the mail"]["Parameters"]["text"].count("{}")
    arguments = states["Send the mail"]["Parameters"]["Message.$"].removeprefix("States.Format(").split(", ")[1:]
    assert len(arguments) == places


def test_the_table_of_policies_has_a_row_for_each_statement() -> None:
    _, state = mocked_apply()
    rows = [line.strip("| ").split(" | ") for line in policy_table(state).splitlines()[2:]]
    assert ["load", "processed", "`s3:GetObject`", "`arn:aws:s3:::tidemark-processed-<account>-<region>/*`"] in rows
    assert rows[5:7] == [
        ["ingest", "logs", "`logs:CreateLogStream`, `logs:PutLogEvents`", LOG_STREAMS],
        ["ingest", "pointer", "`ssm:GetParameter`, `ssm:PutParameter`", POINTER],
    ]
    assert rows[7] == ["ingest", "source", "`secretsmanager:GetSecretValue`", CREDENTIALS]
    policies = [each for each in state["values"]["root_module"]["resources"] if each["type"] == "aws_iam_role_policy"]
    assert len(rows) == sum(len(json.loads(each["values"]["policy"])["Statement"]) for each in policies)


def test_the_documentation_has_the_table_of_policies() -> None:
    _, state = mocked_apply()
    shown = AWS_PAGE.read_text("utf-8").partition("<!-- policies -->")[2].partition("<!-- end of policies -->")[0]

    assert shown.strip() == policy_table(state), "terraform show -json | python infra/policies.py"


def _followers(state: Mapping[str, Any]) -> Iterator[str]:
    for branch in (state, *state.get("Choices", ()), *state.get("Catch", ())):
        yield from (branch[name] for name in ("Next", "Default") if name in branch)
