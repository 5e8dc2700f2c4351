"""The files of deployment, as the tools that use them read them."""

import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from tidemark.cli.app import app
from tidemark.settings import NAMES, variable

REPOSITORY = Path(__file__).parents[2]
COMPOSE = REPOSITORY / "compose.yml"
DOCKERFILE = REPOSITORY / "Dockerfile"
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PROGRAMS = Path(sys.executable).parent
IMAGE = "tidemark"


def read_yaml(path: Path) -> Any:  # noqa: ANN401 -- YAML
    """Read a file of YAML. Its version 1.1 takes the key `on` for true."""
    return yaml.safe_load(path.read_text("utf-8"))


def services() -> Mapping[str, Mapping[str, Any]]:
    """Return the services of compose.yml by name."""
    found: Mapping[str, Mapping[str, Any]] = read_yaml(COMPOSE)["services"]
    return found


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile's instructions, each with all of its lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, " ".join(rest.split())


def accept(arguments: Sequence[str]) -> None:
    """Have the command line itself read arguments of `tidemark`, and refuse what it does not know; run nothing."""
    name, *rest = arguments
    group = typer.main.get_command(app)
    command = getattr(group, "commands", {})[name]
    with command.make_context(name, list(rest)):
        pass


def is_here(command: str) -> bool:
    """Say whether there is a command of this name."""
    return command in getattr(typer.main.get_command(app), "commands", {})


def unknown_settings(names: Iterable[str]) -> list[str]:
    """Return the names that begin as our settings do and are none."""
    known = {variable(name) for name in NAMES}
    return sorted(name for name in names if name.startswith("TIDEMARK_") and name not in known)


def words(command: str | Sequence[str]) -> list[str]:
    """Return the words of a command that is one text or a list of words."""
    return shlex.split(command) if isinstance(command, str) else list(command)
