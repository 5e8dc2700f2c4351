"""Fargate for the tests: a task is the command line in a process of its own, with the environment of its definition.

The image is not built here: it starts `tidemark`, and the command line of this checkout takes its place.
"""

import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The exit code of a task that is stopped before its command ended.
KILLED = 137


class Tasks:
    """The tasks that were started, all of one cluster."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._folder = folder
        self._variables = variables
        self._lock = threading.Lock()
        self._tasks: dict[str, tuple[dict[str, Any], subprocess.Popen[bytes]]] = {}

    def run(self, cluster: str, definition: str, container: Mapping[str, Any]) -> dict[str, Any]:
        """Start a task.

        Args:
            cluster: its ARN.
            definition: the ARN of the task's definition.
            container: the only one in the definition, as ECS describes it.
        """
        family = definition.rpartition("/")[2].partition(":")[0]
        directory = Path(tempfile.mkdtemp(prefix=f"task-{family}-", dir=self._folder))
        environment = {each["name"]: each["value"] for each in container["environment"]}
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 -- our own command
                [sys.executable, "-m", "tidemark", *container["command"]],
                env={"PATH": "/usr/bin:/bin", "TMPDIR": str(directory), "HOME": str(directory)}
                | environment
                | dict(self._variables),
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        arn = f"{cluster.replace(':cluster/', ':task/')}/{uuid.uuid4().hex}"
        task = {"taskArn": arn, "clusterArn": cluster, "taskDefinitionArn": definition, "group": f"family:{family}"}
        with self._lock:
            self._tasks[arn] = task, process
        return self.described(arn)

    def described(self, arn: str) -> dict[str, Any]:
        """Give a task as ECS describes it."""
        task, process = self._tasks[arn]
        code = process.poll()
        if code is None:
            return task | {"lastStatus": "RUNNING", "containers": [{"name": "tidemark", "lastStatus": "RUNNING"}]}
        ended = {"name": "tidemark", "lastStatus": "STOPPED", "exitCode": KILLED if code < 0 else code}
        reason = "Essential container in task exited"
        return task | {"lastStatus": "STOPPED", "stoppedReason": reason, "containers": [ended]}

    def at_work(self, family: str) -> list[str]:
        """List the tasks of a family that have not ended."""
        with self._lock:
            known = dict(self._tasks)
        found = {arn: process for arn, (task, process) in known.items() if task["group"] == f"family:{family}"}
        return [arn for arn, process in found.items() if process.poll() is None]

    def close(self) -> None:
        """End all tasks, and forget them."""
        with self._lock:
            known, self._tasks = self._tasks, {}
        for _, process in known.values():
            process.kill()
            process.wait()
