"""EMR Serverless for the tests: a job is the entry out of S3 in a process of its own, beside the archive it asks for.

As on EMR the image brings pyspark, all else has to be in the archive, and Spark sees no disk of the job. It is a Sail
that this starts, and the Python is that of the tests, for which their package is built.
"""

import hashlib
import io
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from tests.support.lambdas import linked_libraries
from tests.support.tasks import KILLED

# What the image brings: pyspark, and what its client needs.
LIBRARIES = (
    *("pyspark", "pandas", "numpy", "pyarrow", "grpc", "grpc_status", "google", "dateutil", "pytz", "six"),
    *("typing_extensions", "zstandard"),
)
OF_DRIVER = "spark.emr-serverless.driverEnv."
PATH = re.compile(r"/applications(?:/(?P<application>\w+)(?P<jobs>/jobruns(?:/(?P<job>\w+))?)?(?:/(?:start|stop))?)?")
SAID = "Job failed, please check complete logs in configured logging destination. ExitCode: {}. Last few exceptions: "


class Jobs:
    """The applications and their jobs; `publish` takes log group, stream and lines of a job that has ended."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], publish: Callable[[str, str, list[str]], None]
    ) -> None:
        self._folder = folder
        self._variables = variables
        self._publish = publish
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._sail = ""
        self._applications: dict[str, dict[str, Any]] = {}
        self._jobs: dict[str, _Job] = {}

    def answer(self, method: str, path: str, given: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """Answer a request; None for one that is not known here."""
        found = PATH.fullmatch(path)
        if not found or (found["application"] and found["application"] not in self._applications):
            return None
        if found["job"]:
            job = self._jobs[found["job"]]
            if method == "DELETE":
                job.process.kill()
            return {"jobRun": self._described(job)}
        if found["jobs"]:
            return self._start(found["application"], given) if method == "POST" else self._list(found["application"])
        return self._of_application(method, found["application"], given, region)

    def close(self) -> None:
        """End all jobs and Sail, and forget them and the applications."""
        with self._lock:
            jobs, self._jobs = self._jobs, {}
            self._applications.clear()
            self._opened.close()
            self._sail = ""
        for job in jobs.values():
            job.process.kill()
            job.process.wait()

    def _of_application(self, method: str, name: str | None, given: Mapping[str, Any], region: str) -> dict[str, Any]:
        if name is None:
            name = uuid.uuid4().hex[:16]
            arn = f"arn:aws:emr-serverless:{region}:123456789012:/applications/{name}"
            made = {"applicationId": name, "arn": arn, "state": "CREATED", "architecture": "X86_64"}
            self._applications[name] = made | {"createdAt": time.time(), "updatedAt": time.time()} | dict(given)
            return {"applicationId": name, "arn": arn, "name": given["name"]}
        if method == "PATCH":
            self._applications[name] |= given
        return {"application": self._applications[name]}

    def _start(self, application: str, given: Mapping[str, Any]) -> dict[str, Any]:
        from tests.support.spark import HERE  # noqa: PLC0415 -- slow, and few tests start a job

        overrides = given["configurationOverrides"]
        properties = next(each["properties"] for each in overrides["applicationConfiguration"])
        submitted = given["jobDriver"]["sparkSubmit"]
        directory = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        archive, _, name = properties["spark.archives"].partition("#")
        (directory / name).symlink_to(self._unpacked(archive))
        entry = directory / "entry.py"
        entry.write_bytes(self._object(submitted["entryPoint"]))
        environment = {key.removeprefix(OF_DRIVER): value for key, value in properties.items() if OF_DRIVER in key}
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 -- our own entry
                [str(Path(sys.executable).resolve()), "-S", str(entry), *submitted["entryPointArguments"]],
                env={"PATH": "/usr/bin:/bin", "TMPDIR": HERE, "HOME": str(directory)}
                | environment
                | {"PYTHONPATH": str(self._libraries()), "SPARK_REMOTE": self._spark()}
                | dict(self._variables),
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        job = _Job(process, dict(given) | {"applicationId": application}, directory / "log")
        with self._lock:
            self._jobs[job.name] = job
        return {"applicationId": application, "jobRunId": job.name, "arn": self._described(job)["arn"]}

    def _list(self, application: str) -> dict[str, Any]:
        """List the jobs that are at work, which is what the state machine asks for."""
        with self._lock:
            jobs = list(self._jobs.values())
        found = [self._described(job) for job in jobs if job.given["applicationId"] == application]
        return {"jobRuns": [{**each, "id": each["jobRunId"]} for each in found if each["state"] == "RUNNING"]}

    def _described(self, job: "_Job") -> dict[str, Any]:
        """Give a job as EMR Serverless describes it, and publish its log once it has ended."""
        code = job.process.poll()
        application = self._applications[job.given["applicationId"]]
        described = {
            "applicationId": application["applicationId"],
            "arn": f"{application['arn']}/jobruns/{job.name}",
            "createdAt": job.began,
            "createdBy": "tests",
            "executionRole": job.given["executionRoleArn"],
            "jobDriver": job.given["jobDriver"],
            "jobRunId": job.name,
            "name": job.given["name"],
            "releaseLabel": application["releaseLabel"],
            "state": "RUNNING",
            "stateDetails": "",
            "updatedAt": time.time(),
        }
        if code is None:
            return described
        with self._lock:
            lines, job.unpublished = job.unpublished, None
        if lines:
            kept = job.given["configurationOverrides"]["monitoringConfiguration"]["cloudWatchLoggingConfiguration"]
            stream = f"{kept['logStreamNamePrefix']}/applications/{application['applicationId']}/jobs/{job.name}"
            text = lines.read_text("utf-8", errors="replace")
            self._publish(kept["logGroupName"], f"{stream}/SPARK_DRIVER/stderr", text.splitlines() or [""])
        if code == 0:
            return described | {"state": "SUCCESS"}
        return described | {"state": "FAILED", "stateDetails": SAID.format(KILLED if code < 0 else code)}

    def _spark(self) -> str:
        from tests.support.spark import sail_elsewhere  # noqa: PLC0415 -- as above

        with self._lock:
            if not self._sail:
                elsewhere = Path(tempfile.mkdtemp(prefix="spark-", dir=self._folder)) / "disk"
                self._sail = self._opened.enter_context(sail_elsewhere(elsewhere, self._variables))
            return self._sail

    def _libraries(self) -> Path:
        folder = self._folder / "image"
        with self._lock:
            return folder if folder.exists() else linked_libraries(folder, LIBRARIES)

    def _unpacked(self, archive: str) -> Path:
        content = self._object(archive)
        folder = self._folder / "code" / hashlib.sha256(content).hexdigest()
        with self._lock:
            if not folder.exists():
                draft = folder.with_suffix(".draft")
                with zipfile.ZipFile(io.BytesIO(content)) as package:
                    package.extractall(draft)
                draft.rename(folder)
        return folder

    def _object(self, url: str) -> bytes:
        place = urlsplit(url)
        client: Any = boto3.client(
            "s3",
            endpoint_url=self._variables["AWS_ENDPOINT_URL"],
            region_name=self._variables["AWS_REGION"],
            aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
        )
        content: bytes = client.get_object(Bucket=place.netloc, Key=place.path.removeprefix("/"))["Body"].read()
        return content


class _Job:
    """A job that was started: its process, what was asked for, and its log, until that is published."""

    def __init__(self, process: "subprocess.Popen[bytes]", given: Mapping[str, Any], log: Path) -> None:
        self.process = process
        self.given = given
        self.unpublished: Path | None = log
        self.name = uuid.uuid4().hex[:16]
        self.began = time.time()
