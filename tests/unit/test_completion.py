"""What a shell gets that asks what could come next: a process of its own, as the shell starts it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.imports import HEAVY
from tidemark.cli.app import GROUPS, MODULES
from tidemark.settings import NAMES, flag

# As `pip install` puts it there.
PROGRAM = f'#!/bin/sh\nexec {sys.executable} -W error -m tidemark "$@"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tidemark").write_text(PROGRAM, "utf-8")
    (tmp_path / "tidemark").chmod(0o755)
    return tmp_path


def ran(folder: Path, *command: str, **variables: str) -> str:
    # The environment of whoever runs the tests says where libraries lie.
    environment = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}  # noqa: TID251 -- for the child
    done = subprocess.run(  # noqa: S603 -- our own program, and shells
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def completed_by_bash(folder: Path, line: str) -> list[str]:
    """Return what bash offers at the end of a line: it has the script, and calls the function that it registers."""
    script = f"""
    source <(tidemark --show-completion bash)
    COMP_WORDS=({line} "") COMP_CWORD={len(line.split())}
    $(complete -p tidemark | sed 's/.*-F \\([^ ]*\\).*/\\1/') tidemark
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return ran(folder, "bash", "--norc", "-c", script).split()


def completed_by_zsh(folder: Path, line: str) -> str:
    """Return what the command answers to zsh's script, which has zsh evaluate it."""
    return ran(folder, "tidemark", _TIDEMARK_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=line)


def test_bash_offers_commands_options_and_the_tables_of_the_model(folder: Path) -> None:
    (folder / "tidemark.toml").write_text('model = "totesys"\n', "utf-8")

    assert completed_by_bash(folder, "tidemark") == list(MODULES)
    assert completed_by_bash(folder, "tidemark history") == [
        "fact_sales_order",
        "sales_order",
        "fact_purchase_orders",
        "purchase_order",
        "fact_payment",
        "payment",
    ]
    script = "COMP_WORDS='tidemark status --' COMP_CWORD=2 _TIDEMARK_COMPLETE=complete_bash tidemark"
    offered = ran(folder, "bash", "--norc", "-c", script).split()
    assert {
        "--watch",
        "--check",
        "--metrics-file",
        "--json",
        "--quiet",
        "--no-color",
        "--help",
        *map(flag, NAMES),
    } == set(offered) - {"--verbose"}


def test_zsh_gets_each_command_with_the_beginning_of_its_help(folder: Path) -> None:
    shown = completed_by_zsh(folder, "tidemark re")

    assert shown.startswith('_arguments \'*: :(("rebuild":"Make latest,')
    script = ran(folder, "tidemark", "--show-completion", "zsh")
    assert script.startswith("#compdef tidemark")
    if zsh := shutil.which("zsh"):
        ran(folder, zsh, "-n", "-c", script)


def test_a_model_that_cannot_be_read_leaves_the_shell_without_tables_and_without_words(folder: Path) -> None:
    (folder / "tidemark.toml").write_text('model = "nowhere"\n', "utf-8")

    assert completed_by_zsh(folder, "tidemark history ") == "_files\n"


def test_one_command_is_completed_without_any_other_and_without_heavy_libraries(folder: Path) -> None:
    script = "import sys\nfrom tidemark.cli import run\ntry:\n    run([])\nfinally:\n    print('\\n'.join(sys.modules))"
    variables = {"_TIDEMARK_COMPLETE": "complete_bash", "COMP_WORDS": "tidemark history ", "COMP_CWORD": "2"}

    modules = set(ran(folder, sys.executable, "-c", script, **variables).split())

    # Typer converts the arguments that are there already by pydantic.
    assert modules & (HEAVY - {"pydantic"}) == set()
    assert modules & {f"tidemark.cli.{name}" for name in MODULES.values()} == {"tidemark.cli.history"}


def test_completion_is_installed_for_a_shell_that_is_named(folder: Path) -> None:
    shown = ran(folder, "tidemark", "--install-completion", "bash")

    assert "bash completion installed" in shown
    written = folder / ".bash_completions" / "tidemark.sh"
    assert f"source '{written}'" in (folder / ".bashrc").read_text("utf-8")
    assert "_TIDEMARK_COMPLETE=complete_bash" in written.read_text("utf-8")


def test_every_command_has_its_group() -> None:
    assert [name for commands in GROUPS.values() for name in commands] == list(MODULES)
    assert list(GROUPS) == ["Pipeline", "Look", "Repair", "Set up"]
