"""Spark itself, on a Java that is there: as a Spark Connect server, and without one as Tidemark's own seam sees it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import pytest

from tidemark.errors import ConfigError
from tidemark.lake.carrying import carried_over
from tidemark.lake.spark import CONF, Spark, view_of
from tidemark.lake.spark_scratch import plain

REPOSITORY = Path(__file__).parents[2]
VERSIONS = ("spark35", "spark")
PATIENCE_SECONDS = 600
# Each process has its own.
HERE = "/proc/self/cwd"
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
STARTED = re.compile(r"Spark Connect server started at: 127\.0\.0\.1:(\d+)")


class SparkWithoutConnect(Spark):
    """The same verb as `Spark` has, by a Spark that runs in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._made = 0

    def made(self, select: str, tables: Mapping[str, Path], folder: Path, what: str = "") -> list[Path]:
        """Run a SELECT; see `Spark.made`."""
        self._made += 1
        target = folder / f"rows-{self._made}"
        views = [view_of(name, plain(file)) for name, file in tables.items()]
        job = {"statements": views, "select": carried_over(select, tables), "target": str(target)}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        if error := json.loads(self._process.stdout.readline()):
            raise ConfigError(f"{what}: {error}")
        return sorted(target.glob("*.parquet"))


def venv_of(version: str) -> Path:
    """Give the venv of a Spark; skip the test without it or without Java."""
    if lacks := what_lacks(version):
        pytest.skip(lacks)
    return _venv(version)


def what_lacks(version: str) -> str:
    """Say what this machine lacks for a Spark; nothing if all is there."""
    if not (_venv(version) / ".made").exists():
        return f"there is no Spark in {_venv(version).name}: make exhaustive installs it"
    if shutil.which("java") is None:
        return "there is no Java: apt-get install openjdk-17-jre-headless"
    return ""


def _venv(version: str) -> Path:
    return REPOSITORY / f".venv-peer-{version}"


@contextmanager
def spark_without_connect(version: str) -> Iterator[Spark]:
    """Start a Spark."""
    command = [str(venv_of(version) / "bin" / "python"), str(Path(__file__).with_name("spark_job.py"))]
    with subprocess.Popen(  # noqa: S603 -- our own venv
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdin
            process.stdin.write(json.dumps(CONF) + "\n")
            process.stdin.flush()
            yield SparkWithoutConnect(process)
        finally:
            process.kill()


@contextmanager
def spark_of(version: str, folder: Path) -> Iterator[str | Spark]:
    """Start a Spark: the newest as a server, whose address this gives; the one before has no server in its package."""
    if version == VERSIONS[-1]:
        with spark_server(folder) as (address, _):
            yield address
    else:
        with spark_without_connect(version) as found:
            yield found


@contextmanager
def spark_server(
    folder: Path, more: Mapping[str, str] = MappingProxyType({})
) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """Start a Spark Connect server; give its address and its process, which has what it writes of its own in `folder`.

    It has `more` settings than the tests need.
    """
    (home,) = venv_of("spark").glob("lib/python3*/site-packages/pyspark")
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.local.dir": str(folder),
        **more,
    }
    command = [str(home / "bin" / "spark-submit"), "--class", SERVER, "--master", "local[2]"]
    command += [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    log, environment = folder / "spark.log", {"SPARK_HOME": str(home), "PATH": os.defpath}
    with (
        log.open("w") as output,
        subprocess.Popen(  # noqa: S603 -- as above
            [*command, "spark-internal"], cwd=folder, env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield f"sc://127.0.0.1:{_port(process, log)}", process
        finally:
            process.kill()


@contextmanager
def sail_elsewhere(disk: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Start a Sail that sees another disk than the tests, and give its address.

    To this process and to Sail a path below `HERE` leads to different directories, as one does on two machines.

    Args:
        disk: where such a path leads for Sail.
        variables: tell Sail where S3 is.
    """
    disk.mkdir()
    command, environment = [sys.executable, "-m", "tidemark.lake.sail"], {"PATH": os.defpath, **variables}
    with subprocess.Popen(  # noqa: S603 -- our own interpreter
        command, cwd=disk, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout
            yield f"sc://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


class _Refusing(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Refuses each call, and quotes what it was given to prove who calls."""

    def __init__(self, heard: list[str]) -> None:
        self._heard = heard

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        given = {str(each.key): str(each.value) for each in handler_call_details.invocation_metadata}
        self._heard.append(given["authorization"])

        def refuse(_: object, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{given['authorization']} and {given['x-key']} are unknown")

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextmanager
def refusing_server() -> Iterator[tuple[int, list[str]]]:
    """Start a server that refuses every token; give its port on localhost, and what it hears."""
    heard: list[str] = []
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Refusing(heard)])
    port = server.add_secure_port("localhost:0", grpc.local_server_credentials())
    server.start()
    yield port, heard
    server.stop(None).wait()


def run_program(version: str, variables: Mapping[str, str], *arguments: str) -> dict[str, object]:
    """Run a program that has this Spark and Tidemark beside it (`spark_program.py`), and give what it says."""
    (packages,) = venv_of(version).glob("lib/python3*/site-packages")
    # As spark-submit does it: Spark's own Python comes first.
    environment = {
        "PYTHONPATH": os.pathsep.join([str(packages), str(REPOSITORY)]),
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
        "PATH": os.defpath,
        **variables,
    }
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "tests.support.spark_program", *arguments],
        cwd=REPOSITORY,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def _port(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Give the port on which the server says that it listens."""
    started = time.monotonic()
    while not (found := STARTED.search(log.read_text("utf-8"))):
        assert process.poll() is None, log.read_text("utf-8")[-2000:]
        assert time.monotonic() - started < PATIENCE_SECONDS, "Spark did not start"
        time.sleep(0.2)
    return found[1]
