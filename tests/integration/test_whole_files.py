"""The files whose tests share what takes long to make run on one worker each."""

import subprocess
import sys
from pathlib import Path

from tests.support.whole_files import WHOLE_FILES

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


def test_the_tests_of_such_a_file_run_on_one_worker_and_others_on_all(tmp_path: Path) -> None:
    files = [tmp_path / min(WHOLE_FILES), tmp_path / "tests" / "test_other.py"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(FILE)
    command = [sys.executable, "-m", "pytest", "--numprocesses=2"]
    plugins = ["--disable-plugin-autoload", "-p", "xdist", "-p", "tests.support.whole_files"]
    configuration = [f"--rootdir={tmp_path}", "-c", "/dev/null", "--import-mode=importlib"]

    ran = subprocess.run(  # noqa: S603 -- our own
        [*command, *plugins, *configuration, str(tmp_path)], cwd=REPOSITORY, capture_output=True, check=False
    )

    assert ran.returncode == 0, ran.stdout.decode()
    workers = [set(file.with_suffix(".workers").read_text().split()) for file in files]
    assert (len(workers[0]), len(workers[1])) == (1, 2)
