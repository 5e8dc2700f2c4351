"""The workflows run what a person runs here, and may do no more than they must."""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployed import REPOSITORY, WORKFLOWS, read_yaml

MAKEFILE = (REPOSITORY / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
# What a step may begin with that is neither `make` nor a file of the repository: all of it is there on any machine.
SHELL = {"test", "printf"}
READ = {"contents": "read"}
# These jobs get a short-lived role on AWS, and no other.
MAY_ASK_FOR_A_ROLE = {("deploy", "plan"), ("deploy", "apply")}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in read_yaml(path)["jobs"].items():
            yield path.stem, name, job


def commands() -> Iterator[tuple[str, str]]:
    """Yield workflow and line of each `run:`."""
    for workflow, _, job in jobs():
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                yield workflow, line.strip()


def test_there_are_these_workflows() -> None:
    assert [path.stem for path in WORKFLOWS] == ["audit", "check", "deploy", "release"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_each_job_ends(path: Path) -> None:
    document = read_yaml(path)

    assert document["permissions"] == READ
    assert "pull_request_target" not in document[True]  # YAML's own reading of the key `on`
    for name, job in document["jobs"].items():
        allowed = READ | ({"id-token": "write"} if (path.stem, name) in MAY_ASK_FOR_A_ROLE else {})
        assert job.get("permissions", READ).items() <= allowed.items(), name
        assert job["timeout-minutes"] <= 60
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step for step in checkouts if step["with"].get("persist-credentials") is not False] == []


def test_each_step_runs_what_is_there() -> None:
    for workflow, line in commands():
        program, *arguments = line.split()
        if program == "make":
            assert arguments[0] in TARGETS, line
        elif program == "terraform":
            assert (REPOSITORY / arguments[0].removeprefix("-chdir=")).is_dir(), line
        elif program not in SHELL:
            assert os.access(REPOSITORY / program, os.X_OK), (workflow, line)


def test_a_change_is_checked_by_all_of_ci_and_by_nothing_else() -> None:
    assert [line for workflow, line in commands() if workflow == "check"] == [".ci/run", "make unit PYTHON=python"]


def test_the_pythons_that_are_checked_are_those_of_make() -> None:
    (asked,) = [job["strategy"]["matrix"]["python"] for _, _, job in jobs() if "strategy" in job]
    (tried,) = re.findall(r"for version in ([\d. ]+);", MAKEFILE)

    assert asked == tried.split()


def test_actions_are_named_by_version() -> None:
    used = [step["uses"] for _, _, job in jobs() for step in job["steps"] if "uses" in step]

    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", name)] == []
    assert {name.partition("/")[0] for name in used} == {"actions", "aws-actions", "hashicorp"}


def test_no_expression_is_written_into_a_shell() -> None:
    # What a branch or a title is called could be read as a command there.
    assert [line for _, line in commands() if "${{" in line] == []


def test_nothing_is_applied_without_an_approval() -> None:
    applying = [(name, job) for _, name, job in jobs() if any(" apply" in step.get("run", "") for step in job["steps"])]

    assert [(name, job["environment"]) for name, job in applying] == [("apply", "production")]


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_asks_for_the_doctor_and_for_no_value(name: str) -> None:
    text = " ".join((REPOSITORY / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text("utf-8").split())

    assert "tidemark doctor" in text
    assert "ever paste values of rows, or an address with its password" in text


def test_what_was_planned_comes_along_to_be_applied() -> None:
    (plan,) = [job for workflow, name, job in jobs() if (workflow, name) == ("deploy", "plan")]
    (kept,) = [step["with"]["path"].split() for step in plan["steps"] if "upload-artifact@" in step.get("uses", "")]
    infra = [path for path in (REPOSITORY / "infra").glob("*.t*") if path.is_file()]

    assert [path.name for path in infra if not any(fnmatch(f"infra/{path.name}", pattern) for pattern in kept)] == []
    read = set(re.findall(r"packages\.json", (REPOSITORY / "infra" / "functions.tf").read_text("utf-8")))
    assert {f"dist/{name}" for name in read} | {"dist/*.zip", "infra/*.tfplan"} <= set(kept)
