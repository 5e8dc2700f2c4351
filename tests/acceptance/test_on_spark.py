"""The model's SELECTs run on Spark, and the star is the same: row for row, key for key, manifest for manifest."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.library import after_three_batches
from tests.support.pipeline import Rig, clock
from tests.support.quarantine import Story
from tests.support.replay import Replay
from tests.support.spark import spark_server
from tidemark.errors import ConfigError, TransientError
from tidemark.faults import EFFECTS
from tidemark.lake.spark import SAIL, open_spark, started_sail
from tidemark.lake.spark_rows import DUCKDB
from tidemark.model_reader import load_model
from tidemark.objects import Objects, open_objects
from tidemark.settings import FAULT
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed
from tidemark.transform import Transform

# Where a run is killed; `make exhaustive` does so everywhere.
POINTS = ("before-fact-commit", "before-processed-manifest")
ALL_POINTS = [
    f"{moment}-{name}"
    for name in EFFECTS
    if name.startswith(("dimension-", "fact-", "processed-"))
    for moment in ("before", "after")
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a Sail that runs already, as a server elsewhere does."""
    with started_sail() as (address, _):
        yield address


@pytest.fixture
def library(kept_rig: Callable[..., Rig]) -> Rig:
    return kept_rig("a library after three batches", after_three_batches)


def test_an_engine_that_goes_in_the_middle_of_a_batch_is_made_good_by_the_next_run(
    library: Rig, tmp_path: Path
) -> None:
    other = replace(library, processed=open_objects(str(tmp_path / "star")))
    with started_sail() as (address, process):

        def kill(_: str, table: str, *__: object) -> None:
            if table == "fact_loan":
                process.kill()
                process.wait()

        transform = Transform(library.model, library.ingestion, other.processed, clock, runs_on=address)
        with pytest.raises(TransientError, match="the Spark Connect server is gone"):
            transform.run(kill)
    assert not StarLog(other.processed).newest_batch()

    replace(transform, runs_on=SAIL).run()

    assert_same(library, other, is_done_again=True)


def test_a_select_that_means_something_else_on_spark_is_refused(library: Rig, server: str, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(library.model.directory, tmp_path / "model"))
    (directory / "fact" / "loan.sql").write_text(
        "select\n    loan_id,\n    shelf_id,\n    cast(cast(fee as integer) as decimal(10, 2)) as fee\nfrom loan\n"
    )
    processed = open_objects(str(tmp_path / "star"))
    transform = Transform(load_model(str(directory)), library.ingestion, processed, clock, runs_on=server)

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


@pytest.mark.parametrize(
    "point", [point if point in POINTS else pytest.param(point, marks=pytest.mark.exhaustive) for point in ALL_POINTS]
)
def test_a_run_on_sail_that_is_killed_is_made_good_by_the_next(
    library: Rig, server: str, tmp_path: Path, point: str
) -> None:
    other = replace(library, processed=open_objects(str(tmp_path / "star")))
    arguments = ["--ingestion", library.ingestion.url("x").removesuffix("/x"), "--processed", str(tmp_path / "star")]
    command = ["transform", "--engine", SAIL, "--model", str(library.model.directory), *arguments]

    killed = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "tidemark", *command], env={FAULT: point}, check=False, capture_output=True
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    Transform(library.model, library.ingestion, other.processed, clock, runs_on=server).run()
    assert_same(library, other, is_done_again=True)
