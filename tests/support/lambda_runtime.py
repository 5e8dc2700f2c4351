"""What runs a function in a process of its own, as Lambda's runtime for Python does.

Started as `python -I -S lambda_runtime.py <code> <libraries> <answers>`, it sees the standard library, the function's
code and the libraries that the runtime brings, and nothing else. It reads invocations from standard input, one JSON
object on a line, and writes as many answers to the file descriptor `answers`; the first of all says that the handler is
there. What the function holds in memory stays from one invocation to the next, as with Lambda while it is warm.
"""

import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TextIO

Handler = Callable[[Any, Any], object]
_current: dict[str, str] = {}  # the request id that the runtime's own log lines have
VARIABLES = os.environ  # noqa: TID251 -- Lambda's runtime knows its function by the environment alone


class Context:
    """What a handler learns of its invocation."""

    def __init__(self, invocation: Mapping[str, Any]) -> None:
        self.aws_request_id: str = invocation["request_id"]
        self.invoked_function_arn: str = invocation["arn"]
        self.function_name = VARIABLES["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = VARIABLES["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = VARIABLES["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]  # a text, as Lambda has it
        self.log_group_name = VARIABLES["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = VARIABLES["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = None
        self._deadline: float = invocation["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the invocation is ended."""
        return max(0, int((self._deadline - time.time()) * 1000))


def serve(requests: TextIO, answers: TextIO) -> None:
    """Load the handler, then answer one invocation after the other until there is no more."""
    _log_to_stdout()
    handler, error = _load(VARIABLES["_HANDLER"])
    _answer(answers, {"error": error} if error else {})
    if handler is None:
        return
    for line in requests:
        _answer(answers, _invoke(handler, json.loads(line)))


def _log_to_stdout() -> None:
    """Give the root logger the handler that Lambda's runtime gives it before it loads the code."""
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    if VARIABLES["AWS_LAMBDA_LOG_FORMAT"] == "JSON":
        handler.format = lambda record: json.dumps(  # type: ignore[method-assign]
            {"level": record.levelname, "message": record.getMessage(), "logger": record.name, **_current}
        )
        logging.getLogger().setLevel(VARIABLES["AWS_LAMBDA_LOG_LEVEL"])


def _load(name: str) -> tuple[Handler | None, Mapping[str, Any] | None]:
    module, _, function = name.rpartition(".")
    try:
        handler: Handler = getattr(importlib.import_module(module), function)
    except ImportError as exc:
        return None, _error("Runtime.ImportModuleError", f"Unable to import module '{module}': {exc}", exc)
    except AttributeError as exc:
        return None, _error("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'", exc)
    except BaseException as exc:  # noqa: BLE001 -- whatever the module raises is the function's failure
        return None, _error(type(exc).__name__, str(exc), exc)
    return handler, None


def _invoke(handler: Handler, invocation: Mapping[str, Any]) -> Mapping[str, Any]:
    _current["requestId"] = invocation["request_id"]
    try:
        with _injected(invocation.get("fault")):
            result = handler(invocation["event"], Context(invocation))
    except Exception as exc:  # noqa: BLE001 -- as above
        error = _error(type(exc).__name__, str(exc), exc) | {"requestId": invocation["request_id"]}
        return {"error": error, "memory_mb": _memory_mb()}
    try:
        text = json.dumps(result)
    except (TypeError, ValueError) as exc:
        return {"error": _error("Runtime.MarshalError", f"Unable to marshal response: {exc}", exc)}
    return {"result": text, "memory_mb": _memory_mb()}


def _error(name: str, message: str, exc: BaseException) -> dict[str, Any]:
    print(f"[ERROR] {name}: {message}", "".join(traceback.format_exception(exc)), sep="\n")  # noqa: T201 -- the log
    frames = [frame for frame in traceback.format_tb(exc.__traceback__) if __file__ not in frame]
    return {"errorMessage": message, "errorType": name, "stackTrace": frames}


@contextmanager
def _injected(fault: Mapping[str, str] | None) -> Iterator[None]:
    """Do something to the run where it passes a fault point: end the process, raise an error, or wait for a file."""
    if not fault:
        yield
        return
    faults, errors = importlib.import_module("tidemark.faults"), importlib.import_module("tidemark.errors")

    def pass_(point: str) -> None:
        if point != fault["point"]:
            return
        if fault["action"] == "kill":
            os.kill(os.getpid(), 9)
        if fault["action"] == "raise":
            raise getattr(errors, fault["error"])("injected by a test", advice="none is needed")
        with open(fault["reached"], "w"):  # noqa: PTH123 -- without another import into the function's process
            pass
        while not os.path.exists(fault["until"]):  # noqa: PTH110 -- as above
            time.sleep(0.02)

    with faults.watched(pass_):
        yield


def _answer(answers: TextIO, answer: Mapping[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _memory_mb() -> int:
    # Not getrusage: its maximum begins with that of the process that forked this one.
    with open("/proc/self/status") as status:  # noqa: PTH123 -- without another import into the function's process
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    code, libraries, descriptor = sys.argv[1:]
    sys.path = [code, *sys.path, libraries]
    sys.argv = [code]
    os.set_inheritable(int(descriptor), False)  # noqa: FBT003 -- takes no keyword
    with os.fdopen(os.dup(0)) as invocations, os.fdopen(int(descriptor), "w") as replies:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(invocations, replies)
