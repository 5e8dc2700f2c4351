"""The model's SELECTs run on Spark, and the star is the same: row for row, key for key, manifest for manifest."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.support.library import after_three_batches
from tests.support.pipeline import Rig, clock
from tests.support.quarantine import Story
from tests.support.replay import Replay
from tests.support.s3 import S3
from tests.support.spark import HERE, VERSIONS, run_program, sail_elsewhere, spark_server
from tidemark.errors import ConfigError, DataError, TransientError
from tidemark.faults import EFFECTS
from tidemark.lake.engine import open_engine
from tidemark.lake.spark import OF_PROGRAM, SAIL, open_spark, started_sail
from tidemark.lake.spark_program import is_cluster
from tidemark.lake.spark_rows import DUCKDB, spark_beside
from tidemark.lake.spark_scratch import FOLDER, SCHEMES, Bucket, Disk
from tidemark.lake.sqltext import Select
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


def on(rig: Rig, place: Path | str, *engines: str) -> Rig:
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


def test_only_a_batch_of_many_changes_opens_spark(library: Rig, server: str, tmp_path: Path) -> None:
    most, *others = [manifest.changes for manifest in library.manifests()]
    assert most > max(others)
    with started_sail() as (nobody, process):
        process.kill()
        process.wait()
    other = replace(library, processed=open_objects(str(tmp_path)))

    def transform(engine: str, until: int) -> None:
        Transform(library.model, library.ingestion, other.processed, clock, until=until, runs_on=engine).run()

    with pytest.raises(TransientError, match="the Spark Connect server is gone"):
        transform(f"auto:{most}:{nobody}", 1)
    transform(f"auto:{most}:{server}", 1)
    transform(f"auto:{most}:{nobody}", len(others) + 1)

    assert_same(library, other)


def test_the_token_for_another_server_is_not_for_sail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_CONNECT_AUTHENTICATE_TOKEN", "s3cr3t-t0ken")

    with open_spark(SAIL) as spark:
        assert spark.made("select 1 as one", {}, tmp_path)


@pytest.mark.parametrize(("remote", "said"), [("", "has no Spark of its own"), ("local", "expected sc://host:port in")])
def test_a_program_without_a_spark_is_told_how_to_come_to_one(
    monkeypatch: pytest.MonkeyPatch, remote: str, said: str
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", remote)

    with pytest.raises(ConfigError, match=said) as raised, open_spark(OF_PROGRAM):
        pass

    assert "SPARK_REMOTE to sc://host:port" in raised.value.advice


def test_only_a_spark_of_one_process_sees_the_disk_of_its_program() -> None:
    masters = ["local", "local[2]", "local[*, 3]", "local-cluster[2,1,1024]", "yarn", "spark://local:7077"]

    assert list(map(is_cluster, masters)) == [False, False, False, True, True, True]


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_the_spark_of_the_program_gives_the_same_star_and_stays_as_it_is(
    library: Rig, s3: S3, tmp_path: Path, version: str
) -> None:
    log, stars = library.ingestion.url("x").removesuffix("/x"), [tmp_path / "none", tmp_path / "own"]
    bucket = f"s3://{s3.create_bucket()}"

    answer = run_program(version, s3.variables, str(library.model.directory), log, bucket, *map(str, stars))

    for star in stars:
        assert_same(library, replace(library, processed=open_objects(str(star))))
    assert (answer["left"], answer["own"], answer["zone"]) == (False, 17, "Asia/Tokyo")
    assert str(answer["unknown"]).startswith("ConfigError: the program's Spark does not understand the SELECT")
    assert str(answer["row"]).startswith("DataError: the program's Spark fails on a row of the SELECT of fact_loan")
    assert "CAST_INVALID_INPUT" in str(answer["row"])
    assert "secret words" not in str(answer)
    # It has no library for S3.
    assert isinstance(answer["bucket"], list)
    for scheme, problem in zip(SCHEMES, answer["bucket"], strict=True):
        assert problem.startswith(f"the program's Spark cannot read and write {bucket.replace('s3', scheme)}/{FOLDER}/")
    assert str(answer["stopped"]).startswith("TransientError: the program's Spark is gone")
    assert str(answer["killed"]).startswith("TransientError: the program's Spark is gone")


def test_a_select_that_means_something_else_on_spark_is_refused(library: Rig, server: str, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(library.model.directory, tmp_path / "model"))
    (directory / "fact" / "loan.sql").write_text(
        "select\n    loan_id,\n    shelf_id,\n    cast(cast(fee as integer) as decimal(10, 2)) as fee\nfrom loan\n"
    )
    processed = open_objects(str(tmp_path / "star"))
    transform = Transform(load_model(str(directory)), library.ingestion, processed, clock, runs_on=server)

    for asked in (transform.run, transform.require_spark_understands):
        with pytest.raises(ConfigError, match="the SELECT of fact_loan, line 4: casts a number with decimals"):
            asked()

    assert not StarLog(processed).newest_batch()


@contextmanager
def on_another_disk(tmp_path: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Start a Sail that does not see where this process keeps its scratch files, and give its address."""
    with pytest.MonkeyPatch.context() as patch, sail_elsewhere(tmp_path / "elsewhere", variables) as address:
        (tmp_path / "here").mkdir()
        patch.chdir(tmp_path / "here")
        patch.setattr(tempfile, "tempdir", HERE)
        yield address


def test_an_engine_on_another_disk_gets_its_files_by_the_processed_bucket(library: Rig, s3: S3, tmp_path: Path) -> None:
    bucket = f"s3://{s3.create_bucket()}/lake"
    with on_another_disk(tmp_path, s3.variables) as address:
        other = on(library, bucket, address)

        with open_engine([]) as engine, spark_beside(engine, address, other.processed) as spark_for:
            spark, file = spark_for(1), engine.new_file(".parquet")
            engine.write_parquet(Select("select 'abc' as words"), file)
            assert spark
            with pytest.raises(DataError, match="fails on a row"):
                spark.made("select cast(words as date) as v from loan", {"loan": file}, engine.scratch)

    assert_same(library, other)
    assert any(f"/lake/{FOLDER}/" in each for each in s3.requests())
    assert list(other.processed.list(FOLDER)) == []


def test_only_an_engine_on_this_machine_is_asked_for_its_disk_first(s3: S3, tmp_path: Path) -> None:
    processed = open_objects(f"s3://{s3.create_bucket()}")
    with sail_elsewhere(tmp_path / "elsewhere", s3.variables) as address, open_engine([]) as engine:
        # To this machine 0.0.0.0 is itself, and its address does not say so.
        for host, kind in (("127.0.0.1", Disk), ("0.0.0.0", Bucket)):  # noqa: S104 -- nobody listens there
            with spark_beside(engine, address.replace("127.0.0.1", host), processed) as spark_for:
                spark = spark_for(1)
                assert spark
                assert isinstance(spark.place, kind)


def test_an_engine_that_sees_neither_disk_nor_bucket_is_refused(library: Rig, s3: S3, tmp_path: Path) -> None:
    refused = s3.variables | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    transform = partial(Transform, library.model, library.ingestion, clock=clock)
    with on_another_disk(tmp_path, refused) as address:
        on_disk = transform(processed=open_objects(str(tmp_path / "star")), runs_on=address)
        with pytest.raises(ConfigError, match=f"does not see the scratch directory {HERE}") as raised:
            on_disk.run()
        assert "TMPDIR" in raised.value.advice

        bucket = f"s3://{s3.create_bucket()}"
        on_s3 = transform(processed=open_objects(bucket), runs_on=address)
        with pytest.raises(ConfigError) as raised:
            on_s3.run()

    for scheme, said in zip(SCHEMES, raised.value.problems[1:], strict=True):
        assert f"cannot read and write {bucket.replace('s3', scheme)}/{FOLDER}/" in said


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
