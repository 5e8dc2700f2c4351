"""What the project's own files say of each other."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from tidemark import __version__

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (REPOSITORY / "Makefile").read_text("utf-8")


def test_there_is_one_version() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert metadata.version("tidemark") == __version__


def test_every_extra_that_the_code_names_can_be_installed() -> None:
    code = "".join(path.read_text("utf-8") for path in (REPOSITORY / "src").rglob("*.py"))

    named = set(re.findall(r'needed_for\("([a-z]+)"\)', code))

    assert "aws" in named
    assert named - set(PROJECT["optional-dependencies"]) == set()


def test_the_hooks_run_what_make_check_runs() -> None:
    hooks = (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8")
    (parts,) = re.findall(r"^check: ([a-z ]+) ##", MAKEFILE, re.MULTILINE)

    assert re.findall(r"entry: make (\w+)$", hooks, re.MULTILINE) == parts.split()
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]


def test_every_python_that_is_promised_is_tried() -> None:
    promised = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    (tried,) = re.findall(r"for version in ([\d. ]+);", MAKEFILE)

    assert set(promised) <= set(tried.split())
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_requirements_hold_names_versions_and_hashes_only() -> None:
    lines = [
        line
        for path in (REPOSITORY / "requirements").glob("*.txt")
        for line in path.read_text("utf-8").splitlines()
        if line and not line.lstrip().startswith("#")
    ]

    assert [
        line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+!]+ \\|    --hash=sha256:\w{64}( \\)?", line)
    ] == []
