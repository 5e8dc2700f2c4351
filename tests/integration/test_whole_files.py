"""Files whose tests share something that takes long to make: each file runs on one worker, before all others."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.support.whole_files import WHOLE_FILES, WholeFiles, pytest_collection_modifyitems

REPOSITORY = Path(__file__).parents[2]
FILE = """
import os, pathlib, pytest
@pytest.mark.parametrize("number", range(12))
def test_whose_worker_is_noted(number):
    with pathlib.Path(__file__).with_suffix(".workers").open("a") as workers:
        print(os.environ["PYTEST_XDIST_WORKER"], file=workers)
"""


def test_each_of_these_files_is_there() -> None:
    assert [file for file in WHOLE_FILES if not (REPOSITORY / file).is_file()] == []


def test_any_other_test_is_handed_out_alone() -> None:
    scheduler: Any = None
    other = "tests/unit/test_sweep.py::test_one"

    assert WholeFiles._split_scope(scheduler, other) == other


def test_the_tests_of_such_a_file_run_on_one_worker(tmp_path: Path) -> None:
    whole = tmp_path / min(WHOLE_FILES)
    for file in (whole, tmp_path / "tests" / "test_other.py"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FILE)
    command = [sys.executable, "-m", "pytest", "--numprocesses=2"]
    plugins = ["--disable-plugin-autoload", "-p", "xdist", "-p", "tests.support.whole_files"]
    configuration = [f"--rootdir={tmp_path}", "-c", "/dev/null", "--import-mode=importlib"]

    ran = subprocess.run(  # noqa: S603 -- our own
        [*command, *plugins, *configuration, str(tmp_path)], cwd=REPOSITORY, capture_output=True, check=False
    )

    assert ran.returncode == 0, ran.stdout.decode()
    assert len(set(whole.with_suffix(".workers").read_text().split())) == 1


def test_they_come_first_on_a_worker_in_the_order_of_their_names() -> None:
    files = ["tests/unit/test_sweep.py", *reversed(WHOLE_FILES)]
    items: list[Any] = [SimpleNamespace(nodeid=f"{file}::test_{number}") for file in files for number in range(2)]
    worker: Any = SimpleNamespace(workerinput={})

    pytest_collection_modifyitems(worker, items)

    names = [WHOLE_FILES.get(item.nodeid.partition("::")[0]) for item in items]
    assert list(dict.fromkeys(names)) == [*dict.fromkeys(WHOLE_FILES.values()), None]
    assert len(names) == 2 * len(files)
