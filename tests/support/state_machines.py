"""What moto's Step Functions lack for our state machine: names as AWS writes them, tasks and jobs that fail."""

import functools
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

# Late imports: moto's interpreter is slow to load, and most tests need S3 alone.
# ruff: noqa: PLC0415

# The waits between a state's retries, which a test has no time for; their sum still takes part in a test's time.
WAITS_SHORTENED_BY = 20.0
ENDED = {"SUCCESS", "FAILED", "CANCELLED"}


@functools.cache
def prepare_step_functions() -> None:
    """Shorten waits, and let an execution know its start as a text, as on AWS: moto's intrinsics fail on a datetime."""
    _write_names_as_states_do()
    _fail_as_the_task()
    _wait_for_jobs()
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
    from moto.stepfunctions.parser.backend import execution_worker

    # Only the waits between retries: the module reads the clock for nothing else.
    retrier_decl.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / WAITS_SHORTENED_BY))  # type: ignore[attr-defined, assignment]

    def execution(**members: Any) -> dict[str, Any]:  # noqa: ANN401 -- moto's
        return members | {"StartTime": members["StartTime"].isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    setattr(execution_worker, "ExecutionData", execution)  # noqa: B010 -- a type to mypy


def validated(definition: str) -> dict[str, Any]:
    """Answer ValidateStateMachineDefinition."""
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    try:
        StepFunctionsParserBackend._validate_definition(definition)
    except Exception as exc:  # noqa: BLE001 -- whatever moto's parser raises, the definition is none
        diagnostic = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": str(exc)}
        return {"result": "FAIL", "diagnostics": [diagnostic], "truncated": False}
    return {"result": "OK", "diagnostics": [], "truncated": False}


def _recased(value: object, change: Callable[[str], str]) -> Any:  # noqa: ANN401 -- JSON
    """Change the first letter of each member's name, at every depth."""
    if isinstance(value, dict):
        return {change(name[:1]) + name[1:]: _recased(each, change) for name, each in value.items()}
    return [_recased(each, change) for each in value] if isinstance(value, list) else value


def _write_names_as_states_do() -> None:
    """Let states name what ECS and EMR take and give with a capital letter, as on AWS: moto changes none."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
        StateTaskService,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
        StateTaskServiceAwsSdk,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
        StateTaskServiceEcs,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_unsupported import (
        StateTaskServiceUnsupported,
    )

    # The name by which states call the SDK of EMR Serverless.
    StateTaskService._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES["emrserverless"] = "emr-serverless"

    def recase(self: Any, value: Any, change: Callable[[str], str]) -> None:  # noqa: ANN401 -- moto's
        if isinstance(value, dict) and self._get_boto_service_name() in {"ecs", "emr-serverless"}:
            named = _recased(value, change)
            value.clear()
            value.update(named)

    def normalise(self: Any, parameters: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        recase(self, parameters, str.lower)

    def normalise_back(self: Any, response: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        recase(self, response, str.upper)

    for service in (StateTaskServiceEcs, StateTaskServiceAwsSdk, StateTaskServiceUnsupported):
        setattr(service, "_normalise_parameters", normalise)  # noqa: B010 -- methods to mypy
        setattr(service, "_normalise_response", normalise_back)  # noqa: B010


def _fail_as_the_task() -> None:
    """Let a state fail with its task, as on AWS: moto's succeeds with the description of a task that failed."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
        StateTaskServiceEcs,
    )

    build = StateTaskServiceEcs._build_sync_resolver

    def built(self: Any, env: Any, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401 -- moto's
        resolve = build(self, env, *arguments, **more)

        def resolved() -> Any:  # noqa: ANN401
            task = resolve() if resolve else None
            if task is None or all(each.get("ExitCode") == 0 for each in task["Containers"]):
                return task
            raise _failure(env, "ecs", "runTask", task)

        return resolved

    setattr(StateTaskServiceEcs, "_build_sync_resolver", built)  # noqa: B010 -- a method to mypy


def _wait_for_jobs() -> None:
    """Let a state wait for its job on EMR Serverless and fail with it, as on AWS: moto knows no end of a job."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_unsupported
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
    from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for

    state_task_service_unsupported._SUPPORTED_INTEGRATION_PATTERNS.add(ResourceCondition.Sync)  # type: ignore[arg-type]

    def built(self: Any, env: Any, resource_runtime_part: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401, ARG001
        started = env.stack.pop()
        client: Any = boto_client_for(service="emr-serverless", region=resource_runtime_part.region)

        def resolved() -> Any:  # noqa: ANN401
            found = client.get_job_run(applicationId=started["ApplicationId"], jobRunId=started["JobRunId"])["jobRun"]
            job = json.loads(json.dumps(_recased(found, str.upper), default=str))
            if job["State"] not in ENDED:
                return None
            if job["State"] == "SUCCESS":
                return job
            raise _failure(env, "emr-serverless", "startJobRun", job)

        return resolved

    setattr(state_task_service_unsupported.StateTaskServiceUnsupported, "_build_sync_resolver", built)  # noqa: B010


def _failure(env: Any, service: str, resource: str, described: Any) -> Exception:  # noqa: ANN401 -- moto's
    """Make the failure of a state whose task or job has failed; its cause is how AWS describes that."""
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
        FailureEvent,
        FailureEventException,
    )
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

    details = TaskFailedEventDetails(
        resource=resource,
        resourceType=service,
        error=StatesErrorNameType.StatesTaskFailed.to_name(),
        cause=json.dumps(described, separators=(",", ":")),
    )
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed),
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(taskFailedEventDetails=details),  # type: ignore[typeddict-item]
        )
    )
