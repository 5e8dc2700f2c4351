"""The model's SELECTs run on Spark, and the star is the same: row for row, key for key, manifest for manifest."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.engines import assert_same_star
from tests.support.library import after_three_batches
from tests.support.pipeline import Rig, clock
from tests.support.site import wait_for
from tidemark.errors import ConfigError, TransientError
from tidemark.faults import watched
from tidemark.lake.spark import SAIL, open_spark, started_sail
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.objects import open_objects
from tidemark.star.star_log import StarLog
from tidemark.transform import Transform

DURING_A_SELECT = "during a SELECT"
# A SELECT of the library's loans that no engine is ever through with.
ENDLESS = """with everything as (
    select sum(a.loan_id % 3) as total
    from loan as a, loan as b, loan as c, loan as d, loan as e, loan as f
    where a.fee + b.fee + c.fee > d.fee - e.fee + f.fee
)

select
    loan_id,
    shelf_id,
    case when total > 0 then fee end as fee
from loan, everything
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a Sail that runs already, as a server elsewhere does."""
    with started_sail() as (address, _):
        yield address


@pytest.fixture
def library(kept_rig: Callable[..., Rig]) -> Rig:
    return kept_rig("a library after three batches", after_three_batches)


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, also where nobody asks for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_it_computes(pid: int) -> None:
    """Wait until a process has been busy for longer than with anything but an endless SELECT."""
    before = cpu_seconds(pid)
    wait_for(lambda: cpu_seconds(pid) > before + 0.5)


def with_select_of_loan(library: Rig, folder: Path, select: str) -> Model:
    directory = Path(shutil.copytree(library.model.directory, folder / "model"))
    (directory / "fact" / "loan.sql").write_text(select, "utf-8")
    return load_model(str(directory))


@pytest.mark.parametrize("moment", ["between two SELECTs", DURING_A_SELECT])
def test_an_engine_that_goes_in_the_middle_of_a_batch_is_made_good_by_the_next_run(
    library: Rig, server: str, tmp_path: Path, moment: str
) -> None:
    model = with_select_of_loan(library, tmp_path, ENDLESS) if moment == DURING_A_SELECT else library.model
    processed = open_objects(str(tmp_path / "star"))
    passed: list[str] = []
    with started_sail() as (address, process):

        def kill() -> None:
            if moment == DURING_A_SELECT:
                wait_until_it_computes(process.pid)
            process.kill()
            process.wait()

        killing = threading.Thread(target=kill)

        def note(point: str) -> None:
            passed.append(point)
            if point == "before-spark-rows" and passed.count(point) == 2:
                killing.start()
                if moment != DURING_A_SELECT:
                    killing.join()

        transform = Transform(model, library.ingestion, processed, clock, runs_on=address)
        with watched(note), pytest.raises(TransientError, match="the Spark Connect server is gone"):
            transform.run()
        killing.join()
    assert [point for point in passed if point.endswith("spark-rows")] == [
        "before-spark-rows",
        "after-spark-rows",
        "before-spark-rows",
    ]
    assert "after-dimension-commit" in passed
    assert not StarLog(processed).newest_batch()

    replace(transform, model=library.model, runs_on=server).run()

    assert_same_star(library, replace(library, processed=processed), is_done_again=True)


def test_a_run_that_is_killed_while_sail_runs_its_select_leaves_no_sail_behind(
    library: Rig, server: str, tmp_path: Path
) -> None:
    model, processed = with_select_of_loan(library, tmp_path, ENDLESS), open_objects(str(tmp_path / "star"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    places = ["--ingestion", library.ingestion.url("x").removesuffix("/x"), "--processed", str(tmp_path / "star")]
    command = [sys.executable, "-m", "tidemark", "transform", "--engine", SAIL, "--model", str(model.directory)]
    with subprocess.Popen([*command, *places], env={"TMPDIR": str(scratch)}) as killed:  # noqa: S603 -- our own
        try:
            # What a SELECT reads.
            wait_for(lambda: any(scratch.glob("*/*/0.parquet")))
            (sail,) = map(int, Path(f"/proc/{killed.pid}/task/{killed.pid}/children").read_text().split())
            wait_until_it_computes(sail)
        finally:
            killed.kill()

    wait_for(lambda: is_gone(sail))
    Transform(library.model, library.ingestion, processed, clock, runs_on=server).run()
    assert_same_star(library, replace(library, processed=processed), is_done_again=True)


def test_a_select_that_means_something_else_on_spark_is_refused(library: Rig, server: str, tmp_path: Path) -> None:
    rounded = (
        "select\n    loan_id,\n    shelf_id,\n    cast(cast(fee as integer) as decimal(10, 2)) as fee\nfrom loan\n"
    )
    model, processed = with_select_of_loan(library, tmp_path, rounded), open_objects(str(tmp_path / "star"))
    transform = Transform(model, library.ingestion, processed, clock, runs_on=server)

    with pytest.raises(ConfigError, match="the SELECT of fact_loan, line 4: casts a number with decimals"):
        transform.run()

    assert not StarLog(processed).newest_batch()


def test_a_server_that_cannot_write_the_scratch_files_is_refused(server: str, tmp_path: Path) -> None:
    (tmp_path / "scratch").touch()

    with open_spark(server) as spark, pytest.raises(ConfigError, match="cannot write into the scratch directory"):
        spark.require_same_disk(tmp_path / "scratch" / "probe")


def test_a_server_that_cannot_be_reached_is_transient(library: Rig, tmp_path: Path) -> None:
    with started_sail() as (address, process):
        process.kill()
        process.wait()
    processed = open_objects(str(tmp_path / "star"))

    with pytest.raises(TransientError, match="is gone"):
        Transform(library.model, library.ingestion, processed, clock, runs_on=address).run()
