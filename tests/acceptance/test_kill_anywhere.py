"""A run that is killed at any step and run again ends as if it had never been killed: row for row, key for key."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.interrupted import (
    BASELINE,
    BEGIN,
    CLINIC,
    COMMITS,
    END,
    FIRST_TIME,
    INCREMENT,
    LATER_TIMES,
    LIBRARY,
    PROMISES,
    RUNS,
    Copies,
    Run,
    assert_made_good,
    both_runs,
    matrix,
    new_source,
    new_warehouse,
    uninterrupted,
)
from tests.support.kills import Addresses, contents, killed_at, unlike
from tests.support.postgres import Postgres
from tests.support.s3 import ANY_KEY, REGION, S3
from tidemark.faults import BY_SPARK, EFFECTS
from tidemark.lake.spark import SAIL
from tidemark.settings import FAULT

POINTS = [f"{moment}-{name}" for name in EFFECTS for moment in ("before", "after")]


@pytest.fixture(scope="module")
def source_url(postgres: Postgres) -> str:
    return new_source(postgres, CLINIC)


@pytest.fixture(scope="module")
def runs(postgres: Postgres, source_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    return both_runs(postgres, CLINIC, source_url, tmp_path_factory.mktemp("clinic"))


@pytest.fixture
def copies(postgres: Postgres, source_url: str, tmp_path: Path) -> Iterator[Copies]:
    made = Copies(postgres, CLINIC, source_url, tmp_path)
    yield made
    made.drop()


# Points of an increment where a run leaves behind what it leaves at another one, because it passes one just after the
# other and all that it changes lies between points.
SAME_MOMENT = {
    "before-latest-commit": "after-manifest",
    "before-pointer": "after-sums",
    "before-dimension-file": "after-pointer",
    "before-dimension-commit": "after-dimension-file",
    "before-quarantine-file": "after-dimension-commit",
    "before-fact-commit": "after-fact-file",
    "before-copy": "after-processed-manifest",
    "before-upsert": "after-copy",
    "before-insert-versions": "after-close-versions",
    "before-warehouse-commit": "after-ledger-row",
}
# What a baseline and an increment both pass is the same code: here it is killed in an increment.
PASSED_BY_A_BASELINE_ALONE = ("latest-table", "dimension-table", "fact-table")


def _cases() -> Iterator[Any]:
    """Yield run, point and which times to kill there; where only another form of a proof would come of it, marked so.

    The first time that a run comes by is enough for the proof: after the last time lies what lies before the first of
    the next effect.
    """
    for run in RUNS:
        for point in POINTS:
            is_passed_by_both = point.partition("-")[2] not in PASSED_BY_A_BASELINE_ALONE
            repeats = is_passed_by_both if run == BASELINE else point in SAME_MOMENT
            for times in (FIRST_TIME, LATER_TIMES):
                marks = [pytest.mark.exhaustive] if repeats or times == LATER_TIMES else []
                yield pytest.param(run, point, times, marks=marks)


@pytest.mark.parametrize(("run", "point", "times"), list(_cases()))
def test_a_run_killed_at_any_point_is_made_good_by_the_next(
    run: str, point: str, times: str, runs: dict[str, Run], copies: Copies
) -> None:
    assert_made_good(copies, runs[run], point, times)


@pytest.fixture(scope="module")
def run_on_sail(
    runs: dict[str, Run], postgres: Postgres, source_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Run]]:
    """Give a run by Sail that nobody killed; what it is to leave behind is what DuckDB's left."""
    copies = Copies(postgres, CLINIC, source_url, tmp_path_factory.mktemp("sail"))

    @functools.cache
    def passed(run: str) -> Run:
        return replace(uninterrupted(copies, runs[run].start, SAIL), expected=runs[run].expected)

    yield passed
    copies.drop()


def _cases_on_sail() -> Iterator[Any]:
    """Yield run, point and which times; only what Spark does for a run is not also killed on DuckDB."""
    names = list(EFFECTS)
    of_transform = names[names.index("quarantine-file") : names.index("processed-manifest") + 1]
    for run in RUNS:
        for name in (*BY_SPARK, *of_transform):
            for moment in ("before", "after"):
                for times in (FIRST_TIME, LATER_TIMES) if name in BY_SPARK else (FIRST_TIME,):
                    repeats = run == BASELINE or name not in BY_SPARK or times == LATER_TIMES
                    yield pytest.param(
                        run, f"{moment}-{name}", times, marks=[pytest.mark.exhaustive] if repeats else []
                    )


@pytest.mark.parametrize(("run", "point", "times"), list(_cases_on_sail()))
def test_a_run_on_sail_killed_at_any_point_of_transform_is_made_good_by_the_next(
    run: str, point: str, times: str, run_on_sail: Callable[[str], Run], copies: Copies
) -> None:
    assert_made_good(copies, run_on_sail(run), point, times, SAIL)


@pytest.mark.exhaustive
def test_a_run_on_sail_passes_each_point_that_one_on_duckdb_passes(
    runs: dict[str, Run], run_on_sail: Callable[[str], Run]
) -> None:
    for run, by_duckdb in runs.items():
        passes = dict(run_on_sail(run).passes)
        assert passes.pop("before-spark-rows") == passes.pop("after-spark-rows") > 0
        assert passes == by_duckdb.passes


def test_the_command_itself_is_made_good_by_the_next(runs: dict[str, Run], copies: Copies) -> None:
    site = copies.of(runs[INCREMENT].start)

    assert command(site, "run", fault="after-manifest") == -signal.SIGKILL
    assert command(site, "run") == 0

    assert unlike(runs[INCREMENT].expected, contents(site.rig())) == {}


def command(site: Addresses, *arguments: str, fault: str = "") -> int:
    """Run `tidemark` as a shell would, and return its exit code."""
    settings = {
        "TIDEMARK_SOURCE_URL": site.source_url,
        "TIDEMARK_WAREHOUSE_URL": site.warehouse_url,
        "TIDEMARK_INGESTION": f"{site.place}/ingestion",
        "TIDEMARK_PROCESSED": f"{site.place}/processed",
        "TIDEMARK_POINTER": site.pointer,
        "TIDEMARK_MODEL": site.model,
        FAULT: fault,
    }
    environment = {**os.environ, **settings}  # noqa: TID251 -- for the child, as a shell would
    ran = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-m", "tidemark", *arguments], env=environment, capture_output=True, check=False, timeout=120
    )
    return ran.returncode


# One commit of each kind that S3 does in its own way: a conditional put, Delta's commit, a parameter.
KINDS_ON_S3 = ("manifest", "fact-commit", "pointer")


def _cases_on_s3() -> Iterator[Any]:
    """Yield run and point; before a commit lies what lies after the one before it, if there is one."""
    for run, names in COMMITS.items():
        for commit in names:
            for moment in ("before", "after"):
                is_first = commit == names[0] and moment == "before"
                repeats = run == BASELINE or not (is_first or (moment == "after" and commit in KINDS_ON_S3))
                yield pytest.param(run, f"{moment}-{commit}", marks=[pytest.mark.exhaustive] if repeats else [])


@pytest.mark.parametrize(("run", "point"), list(_cases_on_s3()))
def test_a_run_killed_at_a_commit_on_s3_is_made_good_by_the_next(run: str, point: str, buckets: "Buckets") -> None:
    site = buckets.copy_for(run)
    assert killed_at(site, point)

    rig = site.rig()
    rig.run()

    assert unlike(buckets.runs[run].expected, contents(rig)) == {}
    assert [report.batches for report in rig.run()] == [(), (), ()]


class Buckets:
    """Pipelines on S3 to kill: each on copies of a bucket, a parameter and a warehouse, all on the one source."""

    def __init__(self, s3: S3, postgres: Postgres, folder: Path) -> None:
        self._s3, self._postgres = s3, postgres
        self._source_url = new_source(postgres, LIBRARY)
        self._warehouse = new_warehouse(postgres, LIBRARY)
        session = boto3.Session(aws_access_key_id=ANY_KEY, aws_secret_access_key=ANY_KEY, region_name=REGION)
        self._objects = session.client("s3", endpoint_url=s3.endpoint_url)
        self._parameters = session.client("ssm", endpoint_url=s3.endpoint_url)
        self._filled = self._addresses(postgres.create(self._warehouse))
        self._filled.rig().run()
        self._filled_warehouse = postgres.create(self._filled.pointer.rpartition("/")[2])
        self.runs = both_runs(postgres, LIBRARY, self._source_url, folder)

    def copy_for(self, run: str) -> Addresses:
        """Copy what lies there before a run."""
        if run == BASELINE:
            return self._addresses(self._postgres.create(self._warehouse))
        copy = self._addresses(self._postgres.create(self._filled_warehouse))
        source, target = (each.place.removeprefix("s3://") for each in (self._filled, copy))
        for each in self._objects.list_objects_v2(Bucket=source)["Contents"]:
            self._objects.copy_object(Bucket=target, Key=each["Key"], CopySource=f"{source}/{each['Key']}")
        pointer = self._parameters.get_parameter(Name=self._filled.pointer.removeprefix("ssm:"))["Parameter"]["Value"]
        self._parameters.put_parameter(Name=copy.pointer.removeprefix("ssm:"), Value=pointer, Type="String")
        return copy

    def _addresses(self, database: str) -> Addresses:
        return Addresses(
            str(LIBRARY),
            self._source_url,
            self._postgres.url(database),
            f"s3://{self._s3.create_bucket()}",
            f"ssm:/kills/{database}",
            self._s3.variables,
        )


@pytest.fixture(scope="module")
def buckets_once(s3_server: S3, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    s3_server.reset()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in s3_server.variables.items():
            environment.setenv(name, value)
        yield Buckets(s3_server, postgres, tmp_path_factory.mktemp("library"))


@pytest.fixture
def buckets(buckets_once: Buckets, s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    return buckets_once


def test_each_point_is_passed_by_a_run(runs: dict[str, Run]) -> None:
    assert set(runs[BASELINE].passes) | set(runs[INCREMENT].passes) == set(POINTS)
    alone = {f"{moment}-{name}" for name in PASSED_BY_A_BASELINE_ALONE for moment in ("before", "after")}
    assert set(POINTS) - set(runs[INCREMENT].passes) == alone


def test_the_points_that_are_left_to_others_are_passed_just_after_these(runs: dict[str, Run]) -> None:
    found = {point: runs[INCREMENT].before(point) for point in SAME_MOMENT}

    assert found == {point: f"{other}:1" for point, other in SAME_MOMENT.items()}


def test_the_promises_show_the_matrix_of_these_kills(runs: dict[str, Run]) -> None:
    shown = PROMISES.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]

    assert shown == matrix({run: found.passes for run, found in runs.items()}), "python -m tests.support.interrupted"
