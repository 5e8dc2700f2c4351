"""AWS as a process for the tests: moto's server, and what it lacks for our Terraform and our state machine.

`python -m tests.support.aws_server <port> <folder>`. State machines run; Lambda functions run in processes of their own
(lambdas.py), and so do tasks of ECS (tasks.py) and jobs of EMR Serverless (jobs.py). Step Functions'
ValidateStateMachineDefinition and ListStateMachineVersions are answered (state_machines.py). A test steers it below
/test-api: it lists invocations, requests and puts to S3 there, and lets an invocation fail.
"""

import functools
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.core.config import default_user_config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

from tests.support.jobs import Jobs
from tests.support.lambdas import EVENT_ATTEMPTS, Function, Lambdas, tail
from tests.support.s3 import HOST, reaching
from tests.support.state_machines import prepare_step_functions, validated
from tests.support.tasks import Tasks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

STEP_FUNCTIONS = "AWSStepFunctions."
CONTAINER_SERVICE = "AmazonEC2ContainerServiceV20141113."
FUNCTIONS = "/2015-03-31/functions"
ENVIRONMENT = os.environ  # noqa: TID251 -- where moto looks for its own port


class Server:
    """The application: answers what moto lacks, and hands all else to moto."""

    def __init__(self, port: int, folder: Path) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.lambdas = Lambdas(folder, reaching(port), _keep_log)
        self.tasks = Tasks(folder, reaching(port))
        self.jobs = Jobs(folder, reaching(port), _keep_log)
        self.puts: list[tuple[str, bool]] = []
        self.requests: list[tuple[str, str]] = []

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        try:
            response = self._response(environ)
        except HTTPException as exc:
            return exc(environ, start_response)
        if response is None:
            answer: Iterable[bytes] = self._moto(environ, start_response)
            return answer
        return response(environ, start_response)

    def _response(self, environ: "WSGIEnvironment") -> Response | None:
        path: str = environ.get("PATH_INFO", "")
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith(STEP_FUNCTIONS):
            prepare_step_functions()
            return _step_functions(target.removeprefix(STEP_FUNCTIONS), Request(environ))
        if target.startswith(CONTAINER_SERVICE):
            return self._container_service(target.removeprefix(CONTAINER_SERVICE), Request(environ))
        if path.startswith(FUNCTIONS):
            _prepare_lambda()
            if path.endswith("/invocations"):
                name = unquote(path.removeprefix(FUNCTIONS).removesuffix("/invocations").strip("/"))
                return self._invoke(name, Request(environ))
        if "/emr-serverless/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            return self._emr_serverless(Request(environ))
        self._note(environ, path)
        if path.startswith("/test-api/"):
            return self._steer(path.removeprefix("/test-api/"), Request(environ))
        if "policy" in environ.get("QUERY_STRING", ""):
            _prepare_policies()
        if path == "/moto-api/reset":
            self.close()
        return None

    def close(self) -> None:
        """End all that runs beside this process."""
        self.lambdas.close()
        self.tasks.close()
        self.jobs.close()

    def _emr_serverless(self, request: Request) -> Response:
        """Answer all of EMR Serverless: moto notes jobs down, and forgets most of an application."""
        given = request.get_json() if request.data else {}
        answer = self.jobs.answer(request.method, request.path, given, _region(request))
        if answer is None:
            return _refusal(404, "ResourceNotFoundException", f"There is no {request.path}")
        return Response(json.dumps(answer), mimetype="application/json")

    def _note(self, environ: "WSGIEnvironment", path: str) -> None:
        """Keep what a request asks of S3, for a test to look at."""
        if "/s3/aws4_request" in environ.get("HTTP_AUTHORIZATION", ""):
            self.requests.append((environ["REQUEST_METHOD"], f"{path}?{environ.get('QUERY_STRING', '')}"))
            if environ["REQUEST_METHOD"] == "PUT":
                self.puts.append((path, environ.get("HTTP_IF_NONE_MATCH") == "*"))

    def _container_service(self, action: str, request: Request) -> Response | None:
        """Run tasks, which moto only notes down; it answers all that is about clusters and definitions."""
        if action not in {"RunTask", "DescribeTasks", "ListTasks"}:
            # What is read of a request here, moto cannot read any more.
            return None
        given = request.get_json(force=True)
        if action == "RunTask":
            definition, container = _definition(given["taskDefinition"], _region(request))
            answer: dict[str, Any] = {
                "tasks": [self.tasks.run(given["cluster"], definition, container)],
                "failures": [],
            }
        elif action == "DescribeTasks":
            answer = {"tasks": [self.tasks.described(arn) for arn in given["tasks"]], "failures": []}
        else:
            answer = {"taskArns": self.tasks.at_work(given["family"])}
        return Response(json.dumps(answer), mimetype="application/x-amz-json-1.1")

    def _invoke(self, name: str, request: Request) -> Response:
        function = _function(name, _region(request))
        if function is None:
            return _refusal(404, "ResourceNotFoundException", f"Function not found: {name}")
        event = request.get_data()
        way = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if way == "DryRun":
            return Response(status=204)
        if way == "Event":
            threading.Thread(target=self._invoke_later, args=(function, event), daemon=True).start()
            return Response(status=202)
        if self._is_throttled(function):
            return _refusal(429, "TooManyRequestsException", "Rate Exceeded.")
        outcome = self.lambdas.invoke(function, event)
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": outcome.request_id}
        if outcome.error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.headers.get("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = tail(outcome.log)
        return Response(outcome.payload, headers=headers, mimetype="application/json")

    def _invoke_later(self, function: Function, event: bytes) -> None:
        """Invoke a function as Lambda does for an event that nobody waits for: three times while it fails."""
        for _ in range(EVENT_ATTEMPTS):
            if not self.lambdas.invoke(function, event).error:
                return

    def _is_throttled(self, function: Function) -> bool:
        faults = self.lambdas.faults[function.name]
        if faults and faults[0]["action"] == "throttle":
            faults.pop(0)
            return True
        return False

    def _steer(self, what: str, request: Request) -> Response:
        if what == "faults":
            for function, fault in request.get_json().items():
                self.lambdas.faults[function].append(fault)
        seen = {"puts": self.puts, "requests": self.requests}.get(what, self.lambdas.invocations)
        return Response(json.dumps(seen), mimetype="application/json")


def _function(name: str, region: str) -> Function | None:
    from moto.awslambda.exceptions import UnknownFunctionException  # noqa: PLC0415 -- as below
    from moto.awslambda.models import lambda_backends  # noqa: PLC0415 -- slow, and most tests need S3 alone

    try:
        found: Any = lambda_backends[DEFAULT_ACCOUNT_ID][region].get_function(name, None)
    except UnknownFunctionException:
        return None
    return Function(
        arn=found.function_arn,
        name=found.function_name,
        handler=found.handler,
        runtime=found.run_time,
        timeout=int(found.timeout),
        memory_mb=int(found.memory_size),
        log_group=found.logging_config["LogGroup"],
        log_format=found.logging_config["LogFormat"],
        log_level=found.logging_config.get("ApplicationLogLevel", "INFO"),
        code_sha256=found.code_sha_256,
        region=region,
        environment=tuple(sorted(found.environment_vars.items())),
        code=found.code_bytes,
    )


def _definition(name: str, region: str) -> tuple[str, dict[str, Any]]:
    """Give the ARN of the newest definition of a task, and its container."""
    from moto.ecs.models import ecs_backends  # noqa: PLC0415 -- as below

    found: Any = ecs_backends[DEFAULT_ACCOUNT_ID][region].describe_task_definition(name)
    (container,) = found.container_definitions
    return found.arn, container


def _keep_log(group: str, stream: str, lines: list[str]) -> None:
    """Put lines into CloudWatch Logs; whoever may run a function has the right to."""
    from moto.logs.models import logs_backends  # noqa: PLC0415 -- as above

    backend = logs_backends[DEFAULT_ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]]
    backend.ensure_log_group(group)
    if stream not in backend.groups[group].streams:
        backend.create_log_stream(group, stream)
    now = int(time.time() * 1000)
    backend.put_log_events(group, stream, [{"timestamp": now, "message": line} for line in lines])


@functools.cache
def _prepare_lambda() -> None:
    """Let moto keep how a function logs, which it forgets otherwise."""
    from moto.awslambda.models import LambdaFunction  # noqa: PLC0415 -- as above

    # Not by a class of our own: moto files each class of its models under its module.
    create, describe, update = (
        LambdaFunction.__init__,
        LambdaFunction.get_configuration,
        LambdaFunction.update_configuration,
    )

    def created(self: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:  # noqa: ANN401
        create(self, account_id, spec, region, version)
        self.logging_config = {"LogFormat": "Text", "LogGroup": self.logs_group_name} | spec.get("LoggingConfig", {})

    def described(self: Any, on_create: bool = False) -> dict[str, Any]:  # noqa: ANN401, FBT001, FBT002
        return describe(self, on_create) | {"LoggingConfig": self.logging_config}

    def updated(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
        self.logging_config |= config_updates.get("LoggingConfig", {})
        return update(self, config_updates)

    for name, method in (
        ("__init__", created),
        ("get_configuration", described),
        ("update_configuration", updated),
    ):
        setattr(LambdaFunction, name, method)


@functools.cache
def _prepare_policies() -> None:
    """Let what is refused without TLS pass: we have none here, and moto refuses it whatever the condition says."""
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult  # noqa: PLC0415 -- as above

    decide = IAMPolicyStatement.is_action_permitted

    def decided(self: Any, *arguments: Any, **more: Any) -> PermissionResult:  # noqa: ANN401 -- moto's
        if self._statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
            return PermissionResult.NEUTRAL
        return decide(self, *arguments, **more)

    setattr(IAMPolicyStatement, "is_action_permitted", decided)  # noqa: B010 -- a method to mypy


def _step_functions(action: str, request: Request) -> Response | None:
    if action == "ListStateMachineVersions":
        answer: dict[str, Any] = {"stateMachineVersions": []}
    elif action == "ValidateStateMachineDefinition":
        answer = validated(request.get_json(force=True)["definition"])
    else:
        return None
    return Response(json.dumps(answer), mimetype="application/x-amz-json-1.0")


def _region(request: Request) -> str:
    """Return the region that a request was signed for."""
    scope = request.headers["Authorization"].partition("Credential=")[2].partition(",")[0]
    return scope.split("/")[2]


def _refusal(status: int, code: str, message: str) -> Response:
    text = json.dumps({"Type": "User", "message": message})
    headers = {"x-amzn-ErrorType": code, "x-amzn-RequestId": str(uuid.uuid4())}
    return Response(text, status=status, headers=headers, mimetype="application/json")


def main(port: int, folder: Path) -> None:
    """Serve until SIGTERM."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    ENVIRONMENT["MOTO_PORT"] = str(port)
    ENVIRONMENT.update(reaching(port))
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(port, folder)
    try:
        run_simple(HOST, port, server, threaded=True, request_handler=MotoRequestHandler)
    finally:
        server.close()
        shutil.rmtree(
            folder / "code", ignore_errors=True
        )  # half a gigabyte, of which a failed test's folder has no use


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
