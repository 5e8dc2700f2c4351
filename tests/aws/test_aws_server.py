"""The server that plays AWS for the tests: functions and state machine meet there what they would meet on AWS."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.aws import AWS, Execution
from tests.support.s3 import S3

Run = Callable[..., Execution]

CODE = """
import json, logging, os, sys, time

class SourceError(Exception):
    pass

calls = 0

def handler(event, context):
    global calls
    calls += 1
    print(json.dumps({"_aws": {}, "calls": calls}))
    if event.get("raise"):
        raise SourceError("three\\nlines\\nlong")
    if event.get("exit"):
        os._exit(3)
    if event.get("sleep"):
        time.sleep(60)
    if event.get("large"):
        return "x" * 300_000
    return {
        "calls": calls,
        "environment": dict(os.environ),
        "path": sys.path,
        "remaining": context.get_remaining_time_in_millis(),
        "memory": context.memory_limit_in_mb,
        "request_id": context.aws_request_id,
    }
"""
FUNCTION = "test-function"
ROLE = "arn:aws:iam::123456789012:role/role"
# What Lambda itself sets, and what leads to the server of the tests.
GIVEN = {"AWS_", "_HANDLER", "LAMBDA_TASK_ROOT", "LANG", "LC_CTYPE", "PATH", "TMPDIR", "TZ"}


@pytest.fixture
def aws(s3: S3) -> AWS:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("module.py", CODE)
    s3.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
    s3.client("lambda").create_function(
        FunctionName=FUNCTION,
        Runtime="python3.13",
        Role=ROLE,
        Handler="module.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=1,
        MemorySize=256,
        Environment={"Variables": {"OURS": "set"}},
    )
    return AWS(s3)


@pytest.fixture
def run(aws: AWS, s3: S3) -> Run:
    def run(event: dict[str, Any], **more: object) -> Execution:
        parameters = {"FunctionName": FUNCTION, "Payload.$": "$"}
        call = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}
        states = {"Call": call | more, "Caught": {"Type": "Succeed"}}
        machine = s3.client("stepfunctions").create_state_machine(
            name="machine", definition=json.dumps({"StartAt": "Call", "States": states}), roleArn=ROLE
        )
        return aws.execute(machine["stateMachineArn"], event)

    return run


def test_a_function_sees_its_own_environment_and_nothing_of_ours(aws: AWS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_LAG", "7s")

    answer, is_error = aws.invoke(FUNCTION, {})

    assert not is_error
    others = {name for name in answer["environment"] if not name.startswith(tuple(GIVEN))}
    assert others == {"OURS"}
    assert not any("site-packages" in entry or entry.endswith("/src") for entry in answer["path"])
    assert answer["memory"] == "256"
    assert 0 < answer["remaining"] <= 1000


def test_a_warm_function_keeps_its_memory(aws: AWS) -> None:
    assert [aws.invoke(FUNCTION, {})[0]["calls"] for _ in range(3)] == [1, 2, 3]
    assert [each["import_seconds"] > 0 for each in aws.invocations(FUNCTION)] == [True, False, False]
    assert [line["calls"] for line in aws.log(FUNCTION)] == [1, 2, 3]


def test_an_error_is_known_to_the_state_machine_by_the_name_of_its_class(run: Run) -> None:
    caught = run(
        {"raise": True}, Catch=[{"ErrorEquals": ["SourceError"], "ResultPath": "$.error", "Next": "Caught"}], End=True
    )

    assert caught.states == ("Call", "Caught")
    cause = json.loads(caught.output["error"]["Cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("SourceError", "three\nlines\nlong")


@pytest.mark.parametrize(
    ("event", "error", "cause"),
    [
        ({"sleep": True}, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        ({"exit": True}, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ({"large": True}, "States.DataLimitExceeded", "exceeding the maximum number of bytes"),
    ],
)
def test_what_ends_a_function_from_outside_has_its_name(
    run: Run, event: dict[str, Any], error: str, cause: str
) -> None:
    failed = run(event, End=True)

    assert (failed.status, failed.error) == ("FAILED", error)
    assert cause in failed.cause


def test_a_refused_invocation_is_tried_again(run: Run, aws: AWS) -> None:
    aws.fail(FUNCTION, "throttle")

    retry = {"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 1, "JitterStrategy": "FULL"}
    assert run({}, Retry=[retry], End=True).attempts == ("Call", "Call")


def test_a_module_that_is_not_in_the_zip_is_not_there(s3: S3, aws: AWS) -> None:
    assert "duckdb" not in sys.stdlib_module_names
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("module.py", "import boto3, duckdb")
    s3.client("lambda").update_function_code(FunctionName=FUNCTION, ZipFile=archive.getvalue())

    answer, is_error = aws.invoke(FUNCTION, {})

    assert is_error
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'duckdb'" in answer["errorMessage"]
