"""The model's SELECTs run on Spark, and the star is the same: row for row, key for key, manifest for manifest."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.support.engines import assert_same_star, by_engines
from tests.support.library import after_three_batches
from tests.support.pipeline import Rig, clock
from tests.support.s3 import S3
from tests.support.site import stop, wait_for
from tests.support.spark import HERE, VERSIONS, run_program, sail_elsewhere
from tidemark.errors import ConfigError, DataError, TransientError
from tidemark.faults import watched
from tidemark.lake.engine import open_engine
from tidemark.lake.spark import OF_PROGRAM, SAIL, open_spark, started_sail
from tidemark.lake.spark_program import is_cluster
from tidemark.lake.spark_rows import spark_beside
from tidemark.lake.spark_scratch import FOLDER, SCHEMES, Bucket, Disk
from tidemark.lake.sqltext import Select
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


@contextmanager
def while_sail_computes(library: Rig, folder: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Give a transform whose SELECT never ends, and the process of the Sail that runs it."""
    model, scratch = with_select_of_loan(library, folder, ENDLESS), folder / "scratch"
    scratch.mkdir()
    places = ["--ingestion", library.ingestion.url("x").removesuffix("/x"), "--processed", str(folder / "star")]
    command = [sys.executable, "-m", "tidemark", "transform", "--engine", SAIL, "--model", str(model.directory)]
    with subprocess.Popen(  # noqa: S603 -- our own
        [*command, *places], env={"TMPDIR": str(scratch)}, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            # What a SELECT reads.
            wait_for(lambda: any(scratch.glob("*/*/0.parquet")))
            (sail,) = map(int, Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split())
            wait_until_it_computes(sail)
            yield run, sail
        finally:
            run.kill()


def test_a_run_that_is_killed_while_sail_runs_its_select_leaves_no_sail_behind(
    library: Rig, server: str, tmp_path: Path
) -> None:
    with while_sail_computes(library, tmp_path) as (run, sail):
        run.kill()

    wait_for(lambda: is_gone(sail))
    processed = open_objects(str(tmp_path / "star"))
    Transform(library.model, library.ingestion, processed, clock, runs_on=server).run()
    assert_same_star(library, replace(library, processed=processed), is_done_again=True)


def test_a_signal_ends_a_run_at_once_while_sail_runs_its_select(library: Rig, tmp_path: Path) -> None:
    """Sail answers whoever says goodbye when it is through with its query, which is never."""
    with while_sail_computes(library, tmp_path) as (run, sail):
        _, err = stop(run)

    assert run.returncode == 128 + signal.SIGTERM
    assert is_gone(sail)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert "RETRIES_EXCEEDED" not in err


def test_sail_ends_with_its_standard_input_also_in_the_middle_of_a_join(tmp_path: Path) -> None:
    """Sail's own way to stop waits until the join is through."""
    tables = ", ".join(f"number as {name}" for name in "abcdef")
    join = f"select sum(a.n % 3) as total from {tables} where a.n + b.n + c.n > d.n - e.n + f.n"
    with (
        ThreadPoolExecutor(1) as pool,
        started_sail() as (address, sail),
        open_spark(address) as spark,
        open_engine([]) as engine,
    ):
        numbers = engine.new_file(".parquet")
        engine.write_parquet(Select("select range as n from range(300)"), numbers)
        joined = pool.submit(spark.made, join, {"number": numbers}, tmp_path)
        try:
            wait_until_it_computes(sail.pid)
            assert sail.stdin

            sail.stdin.close()

            wait_for(lambda: is_gone(sail.pid))
        finally:
            sail.kill()
        with pytest.raises(TransientError, match="the Spark Connect server is gone"):
            joined.result()


def test_the_server_that_the_program_names_gives_the_same_star(
    library: Rig, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", server)

    assert_same_star(library, by_engines(library, tmp_path, OF_PROGRAM))


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

    assert_same_star(library, other)


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
        assert_same_star(library, replace(library, processed=open_objects(str(star))))
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
    rounded = (
        "select\n    loan_id,\n    shelf_id,\n    cast(cast(fee as integer) as decimal(10, 2)) as fee\nfrom loan\n"
    )
    model, processed = with_select_of_loan(library, tmp_path, rounded), open_objects(str(tmp_path / "star"))
    transform = Transform(model, library.ingestion, processed, clock, runs_on=server)

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
        other = by_engines(library, bucket, address)

        with open_engine([]) as engine, spark_beside(engine, address, other.processed) as spark_for:
            spark, file = spark_for(1), engine.new_file(".parquet")
            engine.write_parquet(Select("select 'abc' as words"), file)
            assert spark
            with pytest.raises(DataError, match="fails on a row"):
                spark.made("select cast(words as date) as v from loan", {"loan": file}, engine.scratch)

    assert_same_star(library, other)
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
