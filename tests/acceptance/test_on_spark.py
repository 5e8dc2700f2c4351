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
from tests.support.spark import VERSIONS, run_program, spark_server
from tidemark.errors import ConfigError, TransientError
from tidemark.faults import EFFECTS
from tidemark.lake.spark import OF_PROGRAM, SAIL, open_spark, started_sail
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


def manifests(objects: Objects) -> list[Processed]:
    log = StarLog(objects)
    return [replace(log.manifest(batch), run_id="") for batch in range(1, log.newest_batch() + 1)]


def without_versions(manifest: Processed) -> Processed:
    return replace(manifest, tables={name: replace(entry, version=0) for name, entry in manifest.tables.items()})


def quarantine(objects: Objects) -> dict[str, bytes]:
    return {each.key: objects.get(each.key) for each in objects.list("quarantine/")}


def on(rig: Rig, place: Path, *engines: str) -> Rig:
    """Transform a rig's log anew into a star at `place`, by one engine after the other, batch by batch."""
    other = replace(rig, processed=open_objects(str(place)))
    newest = StarLog(rig.processed).newest_batch()
    for batch in range(1, newest + 1):
        runs_on = engines[(batch - 1) % len(engines)]
        Transform(rig.model, rig.ingestion, other.processed, clock, until=batch, runs_on=runs_on).run()
    return other


def assert_same(rig: Rig, other: Rig, *, is_done_again: bool = False) -> None:
    """Compare two stars; in one that was done again in part, a Delta table may have more versions."""
    for star in rig.model.stars:
        assert other.star(star) == rig.star(star), star
    shown = without_versions if is_done_again else replace
    assert list(map(shown, manifests(other.processed))) == list(map(shown, manifests(rig.processed)))
    assert quarantine(other.processed) == quarantine(rig.processed)


def test_the_real_rows_in_slices_give_the_same_star_also_when_the_engine_changes(
    replay: Replay, server: str, tmp_path: Path
) -> None:
    assert_same(replay.rig, on(replay.rig, tmp_path, server, DUCKDB))


def test_what_the_star_cannot_take_is_set_aside_and_comes_back_in_the_same_way(
    story: Story, server: str, tmp_path: Path
) -> None:
    # Its own star was made by another model, which was mended in between.
    by_duckdb = on(story.rig, tmp_path / "duckdb", DUCKDB)

    assert quarantine(by_duckdb.processed)
    assert_same(by_duckdb, on(story.rig, tmp_path / "sail", server))


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


@pytest.mark.exhaustive
def test_a_server_of_spark_itself_gives_the_same_star(
    replay: Replay, story: Story, library: Rig, tmp_path: Path
) -> None:
    with spark_server(tmp_path) as address:
        assert_same(library, on(library, tmp_path / "library", address))
        assert_same(replay.rig, on(replay.rig, tmp_path / "replay", address, DUCKDB))
        by_duckdb = on(story.rig, tmp_path / "duckdb", DUCKDB)
        assert_same(by_duckdb, on(story.rig, tmp_path / "spark", address))


def test_the_server_that_the_program_names_gives_the_same_star(
    library: Rig, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", server)

    assert_same(library, on(library, tmp_path, OF_PROGRAM))


@pytest.mark.parametrize(("remote", "said"), [("", "has no Spark of its own"), ("local", "expected sc://host:port in")])
def test_a_program_without_a_spark_is_told_how_to_come_to_one(
    monkeypatch: pytest.MonkeyPatch, remote: str, said: str
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", remote)

    with pytest.raises(ConfigError, match=said) as raised, open_spark(OF_PROGRAM):
        pass

    assert "SPARK_REMOTE to sc://host:port" in raised.value.advice


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_the_spark_of_the_program_gives_the_same_star_and_stays_as_it_is(
    library: Rig, tmp_path: Path, version: str
) -> None:
    log, stars = library.ingestion.url("x").removesuffix("/x"), [tmp_path / "none", tmp_path / "own"]

    answer = run_program(version, str(library.model.directory), log, *map(str, stars))

    for star in stars:
        assert_same(library, replace(library, processed=open_objects(str(star))))
    assert (answer["left"], answer["own"], answer["zone"]) == (False, 17, "Asia/Tokyo")
    assert str(answer["unknown"]).startswith("ConfigError: the program's Spark does not understand the SELECT")
    assert str(answer["row"]).startswith("DataError: the program's Spark fails on a row of the SELECT of fact_loan")
    assert "CAST_INVALID_INPUT" in str(answer["row"])
    assert "secret words" not in str(answer)
    assert str(answer["stopped"]).startswith("TransientError: the program's Spark is gone")
    assert str(answer["killed"]).startswith("TransientError: the program's Spark is gone")


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
