"""Run Terraform on copies of infra/, with the real provider.

Nothing in infra/ knows of tests: an override file in the copy sends the provider to a server that plays AWS. Where
Terraform finds the provider is the business of whoever runs the tests (TF_CLI_CONFIG_FILE); without it they skip.
"""

import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INFRA = Path(__file__).parent.parent.parent / "infra"
REGION = "eu-west-2"
# What the provider would otherwise ask of services that the server does not play, and how it names a bucket: a bucket's
# host name does not lead to the server.
OVERRIDE: Mapping[str, Any] = {
    "access_key": "test",
    "secret_key": "test",
    "region": REGION,
    "s3_use_path_style": True,
    "skip_credentials_validation": True,
    "skip_metadata_api_check": True,
    "skip_region_validation": True,
}
SERVICES = (
    "cloudwatch",
    "ecs",
    "emrserverless",
    "iam",
    "lambda",
    "logs",
    "s3",
    "scheduler",
    "secretsmanager",
    "sfn",
    "sns",
    "ssm",
    "sts",
)
# Go's programs collect garbage less often: that is a third of their work otherwise, and memory is there.
FOR_GO = {"GOGC": "400"}
# The provider in debug mode writes a line about each call.
QUIET = {"TF_LOG_SDK": "OFF", "TF_LOG_SDK_PROTO": "OFF"}
ATTACHED = re.compile(rb"TF_REATTACH_PROVIDERS='(.+)'")
START_TIMEOUT_SECONDS = 60
SCHEMA_BYTES = 10_000_000
# What `terraform init` says when the provider is neither here nor to be had.
NO_PROVIDER = ("Failed to query available provider packages", "Failed to install provider")


class TerraformError(Exception):
    """Say that a command of Terraform failed; the text is all that it printed."""


@dataclass(frozen=True)
class Terraform:
    """A copy of infra/ to work in; `variables` are those of the environment by which it finds a running provider."""

    directory: Path
    variables: Mapping[str, str]

    def apply(self, **variables: object) -> None:
        """Make all that the configuration describes; the variables stay for later commands."""
        (self.directory / "test.auto.tfvars.json").write_text(json.dumps(variables))
        self.run("apply", "-auto-approve", "-input=false", "-compact-warnings")

    def output(self) -> dict[str, Any]:
        """Give the outputs' values by name."""
        outputs: dict[str, dict[str, Any]] = json.loads(self.run("output", "-json"))
        return {name: output["value"] for name, output in outputs.items()}

    def show(self) -> dict[str, Any]:
        """Give the state as `terraform show -json` prints it."""
        state: dict[str, Any] = json.loads(self.run("show", "-json"))
        return state

    def run(self, command: str, *arguments: str) -> str:
        """Run a command and give what it printed.

        Raises:
            TerraformError: it failed.
        """
        return _run(self.directory, command, "-no-color", *arguments, variables=self.variables)


def terraform_on(directory: Path, endpoint: str | None = None) -> Terraform:
    """Copy infra/ into a directory that does not exist yet, ready for every command of Terraform.

    Args:
        directory: where to.
        endpoint: address of a server that plays AWS; without it the provider would work on the real one.
    """
    _binary()
    provider, missing = _initialised()
    if missing:
        pytest.skip(f"Terraform cannot get its provider for AWS: {missing}")
    _copy(directory)
    shutil.copy(provider / ".terraform.lock.hcl", directory)
    (directory / ".terraform").symlink_to(provider / ".terraform")
    if endpoint:
        override = {**OVERRIDE, "endpoints": [dict.fromkeys(SERVICES, endpoint)]}
        (directory / "provider_override.tf.json").write_text(json.dumps({"provider": {"aws": override}}))
    return Terraform(directory, _running_provider(endpoint))


@dataclass(frozen=True)
class Tested:
    """What came of Terraform's own tests: how it says that they ended, how many passed, and what failed."""

    status: str
    passed: int
    failures: Sequence[Mapping[str, Any]]


@functools.cache
def mocked_apply() -> tuple[Tested, Mapping[str, Any]]:
    """Run the tests in infra/tests, whose provider is a mock, once for all who ask.

    Returns:
        What came of them, and the state of the run `with_defaults` as `terraform show -json` would print it: all that
        an `apply` without variables makes.

    Raises:
        TerraformError: Terraform ended before the tests did.
    """
    directory = Path(tempfile.mkdtemp(prefix="tidemark-terraform-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    terraform = terraform_on(directory / "infra")
    try:
        lines = terraform.run("test", "-json", "-verbose")
    except TerraformError as exc:
        lines = str(exc)
    # With each plan and state comes the provider's whole schema, 14 MB: of these, only one is read.
    told = (line for line in lines.splitlines() if line.startswith("{"))
    events = [json.loads(line) for line in told if len(line) < SCHEMA_BYTES or '"@testrun":"with_defaults"' in line]
    summary = next((each["test_summary"] for each in events if "test_summary" in each), None)
    if summary is None:
        raise TerraformError(lines)
    failures = [each["diagnostic"] for each in events if each["@level"] == "error" and "diagnostic" in each]
    states = [each["test_state"] for each in events if each.get("@testrun") == "with_defaults" and "test_state" in each]
    return Tested(summary["status"], summary["passed"], failures), {"values": states[0]} if states else {}


def _run(directory: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
    command = [_binary(), *arguments]
    done = subprocess.run(  # noqa: S603 -- no shell
        command,
        cwd=directory,
        env=_without_aws() | FOR_GO | dict(variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TerraformError(f"terraform {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _without_aws() -> dict[str, str]:
    """Give the environment without what somebody's own AWS is reached by, such as AWS_CA_BUNDLE or a profile."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}  # noqa: TID251 -- as a shell


def _binary() -> str:
    binary = shutil.which("terraform")
    if binary is None:
        pytest.skip("Terraform is not installed")
    return binary


@functools.cache
def _initialised() -> tuple[Path, str]:
    """Initialise one copy for all: the provider is a file of 700 MB, which each of them would otherwise fetch again.

    Returns:
        Where it is, and why the provider cannot be had, if so.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidemark-terraform-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    directory = folder / "infra"
    _copy(directory)
    try:
        _run(directory, "init", "-no-color", "-input=false", "-backend=false")
    except TerraformError as exc:
        text = str(exc)
        sign = next((sign for sign in NO_PROVIDER if sign in text), None)
        if sign is None:
            raise
        return directory, " ".join(text[text.index(sign) :].split())[:300]
    return directory, ""


@functools.cache
def _running_provider(endpoint: str | None) -> Mapping[str, str]:
    """Start the provider in debug mode, one for each server it is configured for; it ends with this process.

    Terraform would start it anew for every walk of every command, and to start takes it a second of work each time.

    Args:
        endpoint: what `terraform_on` got: a running provider has one configuration at a time.

    Returns:
        The variables of the environment by which Terraform finds it.
    """
    binary = next((_initialised()[0] / ".terraform" / "providers").glob("*/hashicorp/aws/*/*/terraform-provider-aws*"))
    log = Path(tempfile.mkdtemp(prefix="tidemark-terraform-")) / "log"
    atexit.register(shutil.rmtree, log.parent, ignore_errors=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- Terraform starts the same
            [binary, "-debug"],
            env=_without_aws() | FOR_GO | QUIET,
            stdout=output,
            stderr=output,
        )
    atexit.register(process.wait)  # what is registered last is called first
    atexit.register(process.kill)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not (found := ATTACHED.search(log.read_bytes())):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TerraformError(f"the provider for {endpoint or 'nothing'} did not start:\n{log.read_text()}")
        time.sleep(0.05)
    return {"TF_REATTACH_PROVIDERS": found[1].decode()}


def _copy(directory: Path) -> None:
    """Copy what is in the repository, and not what somebody's own Terraform has left beside it."""
    left = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*", "*.tfplan", "__pycache__", "*override.tf*")
    shutil.copytree(INFRA, directory, ignore=left)
