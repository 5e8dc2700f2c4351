"""An S3 for the tests: moto's server, in a process of its own; the rest of AWS is there as well (aws.py).

In this process it could deadlock: delta-rs waits for an answer while it holds the interpreter lock.
"""

import functools
import http.client
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session

REPOSITORY = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 60.0
ANY_KEY = "testing"  # moto checks none
REGION: Final = "eu-west-2"


class S3:
    """A running server with the interfaces of AWS (S3 and the rest), and what a client needs to reach it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint_url = f"http://{HOST}:{port}"
        self._numbers = itertools.count(1)
        self._clients: dict[str, Any] = {}

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which boto3 and delta-rs find this server."""
        return reaching(self.port)

    def client(self, service: str) -> Any:  # noqa: ANN401 -- boto3 makes its clients at run time
        """Return a client of one service, always the same: to make one takes long, and it is safe for threads."""
        if service not in self._clients:
            session = boto3.Session(aws_access_key_id=ANY_KEY, aws_secret_access_key=ANY_KEY, region_name=REGION)
            # boto3 has an overload for each service and none for a name that is not known before.
            self._clients[service] = session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]
        return self._clients[service]

    def create_bucket(self) -> str:
        """Create an empty bucket and return its name; `s3://<name>` is its address."""
        name = f"bucket-{next(self._numbers)}"
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def reset(self) -> None:
        """Forget every bucket, parameter and secret."""
        self.request("POST", "/moto-api/reset")

    def requests(self) -> list[str]:
        """List the requests to S3 so far, such as `GET /bucket-1/batches/0000000001.json?`."""
        found: list[list[str]] = json.loads(self.request("GET", "/test-api/requests"))
        return [" ".join(each) for each in found]

    def is_ready(self) -> bool:
        """Say whether the server answers."""
        try:
            self.request("GET", "/test-api/invocations")
        except ConnectionRefusedError:
            return False
        return True

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """Send a request that is not one of AWS, and return the answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=START_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()


def read_descriptions_once() -> None:
    """Let all of botocore's sessions in this process share what they read of botocore's descriptions of services.

    Each reads megabytes of JSON otherwise, and each place for objects has a session of its own.
    """
    setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))  # noqa: B010 -- a function to mypy


def reaching(port: int) -> dict[str, str]:
    """Return the environment variables by which boto3 and delta-rs find the server at a port."""
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": ANY_KEY,
        "AWS_SECRET_ACCESS_KEY": ANY_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def running_s3(folder: Path) -> Iterator[S3]:
    """Run a server that keeps its log and what it unpacks in `folder`; it has ended afterwards."""
    port = _free_port()
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- nothing in it comes from outside
            [sys.executable, "-m", "tests.support.aws_server", str(port), str(folder)],
            cwd=REPOSITORY,
            stdout=output,
            stderr=output,
        )
        try:
            s3 = S3(port)
            deadline = time.monotonic() + START_TIMEOUT_SECONDS
            while not s3.is_ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"moto's server did not start; its log:\n{log.read_text()}")
                time.sleep(0.1)
            yield s3
        finally:
            process.terminate()
            process.wait(timeout=START_TIMEOUT_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
