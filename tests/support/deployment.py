"""The real infra/, applied by Terraform to the AWS of the tests, with the real packages and two real databases."""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.aws import AWS, Execution
from tests.support.packages import built_packages
from tests.support.pipeline import Rig
from tests.support.s3 import S3, running_s3
from tests.support.terraform import Terraform, terraform_on
from tidemark.log.pointer import open_pointer
from tidemark.objects import open_objects


@dataclass
class Deployment:
    """A pipeline on AWS: what Terraform made, and a look at what lies where."""

    aws: AWS
    terraform: Terraform
    outputs: Mapping[str, Any]
    rig: Rig
    """The same source, lake and warehouse, for the tests to look at and to change."""
    inbox: str
    seconds: dict[str, float]
    """How long each step took."""

    def tick(self, name: str) -> Execution:
        """Do what the schedule does every ten minutes; `name` says in `seconds` which time this was."""
        target = self.aws.server.client("scheduler").get_schedule(Name="tidemark-run")["Target"]
        return self._noted(name, self.aws.execute(target["Arn"], json.loads(target["Input"])))

    def execute(self, name: str, event: Mapping[str, Any]) -> Execution:
        """Start an execution by hand and wait for its end."""
        return self._noted(name, self.aws.execute(self.outputs["state_machine_arn"], event))

    def mails(self) -> list[dict[str, Any]]:
        """Take the mails that came since the last time."""
        return self.aws.messages(self.inbox)

    def _noted(self, name: str, execution: Execution) -> Execution:
        self.seconds[name] = execution.seconds
        return execution


@dataclass(frozen=True)
class Begun:
    """An apply that goes on in the background, and what it works on."""

    server: S3
    terraform: Terraform
    outputs: Future[Mapping[str, Any]]
    seconds: dict[str, float]


@contextmanager
def begun(folder: Path, **variables: object) -> Iterator[Begun]:
    """Build the packages and let Terraform apply infra/ in the background, to a server of its own.

    Terraform mostly waits: it confirms the buckets' lifecycles for about a minute. So whoever can begins this early.

    Args:
        folder: an empty directory, for the server, the packages and Terraform.
        variables: of Terraform, beside the directory of the packages.
    """
    began = time.monotonic()
    packages = built_packages(folder / "packages")
    seconds = {"packages": time.monotonic() - began}
    (folder / "aws").mkdir()
    with running_s3(folder / "aws") as server, ThreadPoolExecutor(1) as pool:
        terraform = terraform_on(folder / "terraform", server.endpoint_url)

        def apply() -> Mapping[str, Any]:
            began = time.monotonic()
            # The databases of the tests are on this machine, and have no certificates.
            terraform.apply(package_directory=str(packages), sslrootcert=None, **variables)
            seconds["terraform apply"] = time.monotonic() - began
            return terraform.output()

        yield Begun(server, terraform, pool.submit(apply), seconds)
    shutil.rmtree(packages)


@contextmanager
def deployed(begun: Begun, local: Rig) -> Iterator[Deployment]:
    """Give the pipeline that Terraform has made, with addresses in its secrets and no batch yet.

    Args:
        begun: the apply.
        local: has the source, and the warehouse with its tables.
    """
    outputs, server = begun.outputs.result(), begun.server
    for name, url in (("source", local.source_url), ("warehouse", local.warehouse_url)):
        _put_secret(server, outputs["secrets"][name], url)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.variables.items():
            environment.setenv(name, value)
        rig = replace(
            local,
            ingestion=open_objects(f"s3://{outputs['buckets']['ingestion']}"),
            processed=open_objects(f"s3://{outputs['buckets']['processed']}"),
            pointer=open_pointer(f"ssm:{outputs['pointer']}"),
        )
        aws = AWS(server)
        yield Deployment(aws, begun.terraform, outputs, rig, aws.subscribe(outputs["topic_arn"]), begun.seconds)


def _put_secret(server: S3, arn: str, url: str) -> None:
    found = conninfo_to_dict(url)
    members = {"host": found["host"], "port": found["port"], "dbname": found["dbname"], "username": found["user"]}
    secret = json.dumps(members | {"password": "the server asks for none"})
    server.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=secret)
