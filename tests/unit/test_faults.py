"""The fault points: the list holds what the code can reach, and only tests use the switch."""

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemark import faults
from tidemark.errors import ConfigError
from tidemark.settings import FAULT, NAMES, load

PACKAGE = Path(faults.__file__).parent


def named_in_the_code() -> Iterator[str]:
    """Yield each effect that the code names outright; those on a key or a folder are named by the two together."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or path.name == "faults.py":
                continue
            if node.func.id == "effect" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)
            if node.func.id == "reach" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value).partition("-")[2]


def test_every_point_that_the_code_names_is_listed() -> None:
    on_folders = {name for name in faults.EFFECTS if name.partition("-")[0] in faults.FOLDERS.values()}

    assert set(named_in_the_code()) == {*faults.EFFECTS, *faults.UPKEEP, *faults.BY_SPARK} - on_folders


def test_a_watcher_hears_each_point_within_its_block_and_none_beyond_it() -> None:
    heard: list[str] = []

    faults.reach(faults.POINTS[0])
    with faults.watched(heard.append):
        for point in faults.POINTS:
            faults.reach(point)
    faults.reach(faults.POINTS[-1])

    assert heard == list(faults.POINTS)


def test_a_fault_that_does_not_exist_is_refused() -> None:
    for fault in ("before-lunch", "before-manifest:soon", "manifest"):
        with pytest.raises(ConfigError, match="there is no fault point"):
            faults.arm(fault)


def test_an_armed_process_ends_at_the_point_for_the_time_that_was_asked() -> None:
    program = (
        "from tidemark.faults import arm, reach; arm('after-copy:2'); print(1, flush=True);"
        "reach('after-copy'); print(2, flush=True); reach('after-copy'); print(3)"
    )
    ended = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "1\n2\n")


def test_the_switch_is_no_setting(tmp_path: Path) -> None:
    assert FAULT.removeprefix("TIDEMARK_").lower() not in NAMES
    assert load({}, environ={FAULT: "before-manifest"}, directory=tmp_path) == load({}, environ={}, directory=tmp_path)
