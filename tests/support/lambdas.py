"""Lambda for the tests: a function's zip runs in processes of its own, with the environment that Lambda would give.

As in Lambda a process serves one invocation at a time, stays warm for the next one, and stands still in between.
"""

import base64
import hashlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RUNTIME = Path(__file__).with_name("lambda_runtime.py")
# What Lambda's runtime for Python brings; all else has to be in the zip.
LIBRARIES = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six")
INIT_SECONDS = 60  # Lambda gives 10 on a machine that does nothing else
RESPONSE_BYTES = 6_291_556
EVENT_ATTEMPTS = 3


@dataclass(frozen=True)
class Function:
    """A function as it is configured now."""

    arn: str
    name: str
    handler: str
    runtime: str
    timeout: int
    memory_mb: int
    log_group: str
    log_format: str
    log_level: str
    code_sha256: str
    region: str
    environment: tuple[tuple[str, str], ...]
    code: bytes = field(repr=False, compare=False)


@dataclass(frozen=True)
class Outcome:
    """What an invocation came to: `payload` as Lambda answers it, `error` whether it says what went wrong."""

    request_id: str
    payload: bytes
    error: bool
    log: str


class Lambdas:
    """All functions' processes, below one folder; `publish` takes log group, stream and lines of an invocation."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], publish: Callable[[str, str, list[str]], None]
    ) -> None:
        self._folder = folder
        self._variables = variables
        self._publish = publish
        self._idle: defaultdict[Function, list[_Process]] = defaultdict(list)
        self._lock = threading.Lock()
        self.invocations: list[dict[str, Any]] = []
        self.faults: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._libraries = linked_libraries(folder / "runtime", LIBRARIES)

    def invoke(self, function: Function, event: bytes) -> Outcome:
        """Run a function once."""
        request_id = str(uuid.uuid4())
        with self._lock:
            fault = self.faults[function.name].pop(0) if self.faults[function.name] else None
            process = self._idle[function].pop() if self._idle[function] else None
        began = time.monotonic()
        fresh = process is None
        process = process or _Process(
            function, self._unpacked(function), self._libraries, self._folder, self._variables
        )
        reply = process.invoke(request_id, json.loads(event or b"{}"), fault)
        seconds = time.monotonic() - began
        error = reply.get("error")
        payload = json.dumps(error) if error else reply["result"]
        memory_mb, import_seconds = reply.get("memory_mb", 0), process.import_seconds if fresh else 0.0
        log = [*process.new_lines(), _report(function, request_id, seconds, memory_mb)]
        self._publish(function.log_group, process.log_stream, log)
        invocation = {
            "function": function.name,
            "request_id": request_id,
            "event": json.loads(event or b"{}"),
            "answer": json.loads(payload),
            "error": bool(error),
            "seconds": seconds,
            "import_seconds": import_seconds,
            "memory_mb": memory_mb,
            "scratch_bytes": process.scratch_bytes(),
            "log": log,
        }
        with self._lock:
            self.invocations.append(invocation)
            if process.is_alive():
                self._idle[function].append(process)
            else:
                process.end()
        return Outcome(request_id, payload.encode(), bool(error), "\n".join(log))

    def close(self) -> None:
        """End all idle processes, and forget invocations and faults."""
        with self._lock:
            idle = [process for processes in self._idle.values() for process in processes]
            self._idle.clear()
            self.invocations.clear()
            self.faults.clear()
        for process in idle:
            process.end()

    def _unpacked(self, function: Function) -> Path:
        folder = self._folder / "code" / hashlib.sha256(function.code).hexdigest()
        with self._lock:
            if not folder.exists():
                draft = folder.with_suffix(".draft")
                with zipfile.ZipFile(io.BytesIO(function.code)) as archive:
                    archive.extractall(draft)
                draft.rename(folder)
        return folder


class _Process:
    """A process that runs a function; it begins with the import of its handler."""

    def __init__(
        self, function: Function, code: Path, libraries: Path, folder: Path, variables: Mapping[str, str]
    ) -> None:
        self._function = function
        self.log_stream = f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{function.name}-", dir=folder))
        self._scratch = self._folder / "tmp"
        self._scratch.mkdir()
        output = (self._folder / "log").open("ab")
        self._log = (self._folder / "log").open("rb")
        answers, answers_end = os.pipe()
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._unread = b""
        began = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 -- our own function
            [
                str(Path(sys.executable).resolve()),
                "-I",
                "-S",
                str(RUNTIME),
                str(code),
                str(libraries),
                str(answers_end),
            ],
            env=self._environment(code, variables),
            cwd=code,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[answers_end],
            # A group of its own in our session: if we die, the kernel wakes and ends one that stands still.
            process_group=0,
        )
        os.close(answers_end)
        output.close()
        self._failure = self._answer(INIT_SECONDS).get("error")
        self.import_seconds = time.monotonic() - began

    def invoke(self, request_id: str, event: object, fault: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the result as JSON text, or the error, of one invocation."""
        if self._failure:
            return {"error": self._failure}
        deadline = time.time() + self._function.timeout
        invocation = {"request_id": request_id, "event": event, "fault": fault}
        invocation |= {"arn": self._function.arn, "deadline": deadline}
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(invocation).encode() + b"\n")
        self._process.stdin.flush()
        reply = self._answer(self._function.timeout, request_id)
        if self.is_alive():
            self._process.send_signal(signal.SIGSTOP)
        if len(reply.get("result", "")) > RESPONSE_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes)."
            return {"error": {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}}
        return reply

    def is_alive(self) -> bool:
        """Say whether the process can take another invocation."""
        return self._process.poll() is None and not self._failure

    def new_lines(self) -> list[str]:
        """Return what the function wrote since the last time."""
        return self._log.read().decode(errors="replace").splitlines()

    def scratch_bytes(self) -> int:
        """Return how much the function has left in its temporary directory."""
        return sum(each.stat().st_size for each in self._scratch.rglob("*") if each.is_file())

    def end(self) -> None:
        """End the process; its log can be read no more."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        for file in (self._process.stdin, self._answers, self._log):
            file.close()

    def _answer(self, seconds: float, request_id: str = "") -> dict[str, Any]:
        """Read one answer, or make up the one that Lambda gives for a process that is late or gone."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._process.kill()
                self._process.wait()
                return _failed("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds", request_id)
            chunk = self._answers.read(1 << 20)
            if not chunk:
                code = self._process.wait()
                status = f"signal: {signal.strsignal(-code) or -code}".lower() if code < 0 else f"exit status {code}"
                return _failed("Runtime.ExitError", f"Runtime exited with error: {status}", request_id)
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _environment(self, code: Path, variables: Mapping[str, str]) -> dict[str, str]:
        """Return what Lambda sets, what the function's configuration sets, and what leads to this server."""
        function = self._function
        return {
            "_HANDLER": function.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": function.log_format,
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_LEVEL": function.log_level,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.log_stream,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_SESSION_TOKEN": "testing",
            "LAMBDA_TASK_ROOT": str(code),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin/:/bin",
            "TMPDIR": str(self._scratch),  # Lambda's is /tmp, of which the tests have but one
            "TZ": ":UTC",
            **dict(function.environment),
            **variables,
        }


def _report(function: Function, request_id: str, seconds: float, memory_mb: int) -> str:
    """Return the last line of an invocation's log."""
    if function.log_format != "JSON":
        return f"REPORT RequestId: {request_id}\tDuration: {seconds * 1000:.2f} ms\tMax Memory Used: {memory_mb} MB"
    metrics = {"durationMs": seconds * 1000, "memorySizeMB": function.memory_mb, "maxMemoryUsedMB": memory_mb}
    return json.dumps({"type": "platform.report", "record": {"requestId": request_id, "metrics": metrics}})


def _failed(name: str, message: str, request_id: str) -> dict[str, Any]:
    return {"error": {"errorType": name, "errorMessage": f"RequestId: {request_id} Error: {message}"}}


def tail(log: str) -> str:
    """Return the end of an invocation's log as Lambda hands it out on request."""
    return base64.b64encode(log.encode()[-4096:]).decode()


def linked_libraries(folder: Path, names: Iterable[str]) -> Path:
    """Make a folder with these libraries of our own, and no other, and return it."""
    folder.mkdir(parents=True)
    for name in names:
        spec = find_spec(name)
        assert spec is not None, name
        inside = list(spec.submodule_search_locations or ())
        place = Path(inside[0] if inside else str(spec.origin))
        (folder / place.name).symlink_to(place)
    return folder
