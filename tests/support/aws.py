"""What the tests do with a running AWS: run state machines, let functions fail, read logs and messages."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.s3 import S3

PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Execution:
    """A state machine's execution that has ended."""

    name: str
    status: str
    output: Any
    error: str
    cause: str
    states: tuple[str, ...]
    """Which states it entered, in this order."""
    attempts: tuple[str, ...]
    """Which tasks it began, in this order: a task that is retried stands there more than once."""
    seconds: float


class AWS:
    """A running server, seen by a test of the state machine."""

    def __init__(self, server: S3) -> None:
        self.server = server
        self._steps = server.client("stepfunctions")

    def execute(self, machine: str, event: Mapping[str, Any] | None = None) -> Execution:
        """Run a state machine to its end."""
        return self.end_of(self.start(machine, event))

    def start(self, machine: str, event: Mapping[str, Any] | None = None) -> str:
        """Start a state machine, and return the ARN of its execution."""
        name = f"test-{uuid.uuid4()}"
        started = self._steps.start_execution(stateMachineArn=machine, name=name, input=json.dumps(event or {}))
        arn: str = started["executionArn"]
        return arn

    def end_of(self, arn: str) -> Execution:
        """Wait for the end of an execution."""
        began = time.monotonic()
        found = self._steps.describe_execution(executionArn=arn)
        while found["status"] == "RUNNING":
            if time.monotonic() > began + PATIENCE_SECONDS:
                raise TimeoutError(f"{arn} was not through after {PATIENCE_SECONDS} seconds")
            time.sleep(0.1)
            found = self._steps.describe_execution(executionArn=arn)
        states, attempts = [], []
        for event in self._steps.get_execution_history(executionArn=arn)["events"]:
            if "stateEnteredEventDetails" in event:
                states.append(event["stateEnteredEventDetails"]["name"])
            if event["type"] in {"TaskStarted", "LambdaFunctionStarted"}:
                attempts.append(states[-1])
        return Execution(
            name=found["name"],
            status=found["status"],
            output=json.loads(found.get("output", "null")),
            error=found.get("error", ""),
            cause=found.get("cause", ""),
            states=tuple(states),
            attempts=tuple(attempts),
            seconds=(found["stopDate"] - found["startDate"]).total_seconds(),
        )

    def invoke(self, function: str, event: Mapping[str, Any]) -> tuple[Any, bool]:
        """Invoke a function, and return what it answers and whether that is an error."""
        answer = self.server.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read()), "FunctionError" in answer

    def fail(self, function: str, action: str, **details: str) -> None:
        """Let the next invocation of a function fail; each call lets one more.

        `throttle` refuses it. The others act where it passes the fault point `point`: `kill` ends the process, `raise`
        raises `error` of `tidemark.errors`, and `wait` makes the file `reached` and waits for the file `until`.
        """
        self.server.request("POST", "/test-api/faults", {function: {"action": action, **details}})

    def invocations(self, function: str | None = None) -> list[dict[str, Any]]:
        """Give all invocations so far, or those of one function: event, answer, seconds, memory, log lines …"""
        found: list[dict[str, Any]] = json.loads(self.server.request("GET", "/test-api/invocations"))
        return [each for each in found if function in {None, each["function"]}]

    def puts(self) -> list[tuple[str, bool]]:
        """Give all puts to S3 so far: the path with its bucket, and whether S3 was told to overwrite nothing."""
        found: list[list[Any]] = json.loads(self.server.request("GET", "/test-api/puts"))
        return [(path, is_new) for path, is_new in found]

    def log(self, function: str) -> list[dict[str, Any]]:
        """Give the JSON lines that a function wrote, metrics included, as CloudWatch Logs has them."""
        logs = self.server.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
        lines = [event["message"] for page in pages for event in page["events"]]
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line.get("type") != "platform.report"]  # Lambda's own

    def subscribe(self, topic: str) -> str:
        """Let a queue of its own take what is published to a topic, and return the queue's address."""
        queues = self.server.client("sqs")
        url: str = queues.create_queue(QueueName=f"queue-{uuid.uuid4()}")["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.server.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return url

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take the messages that came into a queue: `Subject` and `Message`."""
        queues = self.server.client("sqs")
        found = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            queues.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]
