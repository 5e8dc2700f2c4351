"""Whatever step a run is killed at, running it again ends as if it had never been killed: row for row, key for key."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from tests.support.kills import Addresses, contents, killed_at, unlike
from tests.support.postgres import Postgres
from tests.support.s3 import ANY_KEY, REGION, S3
from tidemark.faults import POINTS, watched
from tidemark.model import load_model
from tidemark.warehouse import init

MODELS = Path(__file__).parent.parent / "models"
# On S3 a small model, because there each step takes long.
CLINIC, LIBRARY = MODELS / "clinic", MODELS / "library"
# Two effects that the clinic's own activity does not have: a column that appears, rows that the star cannot take.
MORE_ACTIVITY = """
    alter table ward add column floor integer;
    update registry.patient set born = 'infinity' where patient_no = 9000000012;
    update referral set closed_on = '-infinity' where referral_id = md5('referral 12')::uuid;
"""
BASELINE, INCREMENT = RUNS = ("baseline", "increment")
# Where a run commits on S3; what lies between is the same code as on a directory.
COMMITS = {
    BASELINE: ("manifest", "processed-manifest", "warehouse-commit"),
    INCREMENT: (
        "manifest",
        "latest-commit",
        "pointer",
        "dimension-commit",
        "fact-commit",
        "processed-manifest",
        "warehouse-commit",
    ),
}


@dataclass(frozen=True)
class Start:
    """What lies there before a run: the lake's folder, with the pointer in it, and the name of the warehouse."""

    folder: Path
    warehouse: str


@dataclass(frozen=True)
class Run:
    """A run that nobody killed: what it began with, how often it passed each fault point, what it left behind."""

    start: Start
    passes: Mapping[str, int]
    expected: Mapping[str, Any]


class Copies:
    """Pipelines to kill: each on copies of a lake and a warehouse, all on the one source, which no run changes."""

    def __init__(self, postgres: Postgres, model: Path, source_url: str, folder: Path) -> None:
        self._postgres, self._model, self._source_url, self._folder = postgres, model, source_url, folder
        self._databases: list[str] = []

    def of(self, start: Start) -> Addresses:
        """Copy what lies there before a run."""
        self._databases.append(self._postgres.create(start.warehouse))
        folder = self._folder / self._databases[-1]
        if start.folder.exists():
            shutil.copytree(start.folder, folder)
        warehouse_url = self._postgres.url(self._databases[-1])
        return Addresses(str(self._model), self._source_url, warehouse_url, str(folder), f"{folder}/pointer.json")

    def kept(self, site: Addresses) -> Start:
        """Take what a pipeline has made for what the next run begins with."""
        folder = Path(site.place)
        return Start(folder, self._postgres.create(folder.name))

    def drop(self) -> None:
        """Drop the warehouses."""
        for database in self._databases:
            self._postgres.drop(database)


def new_source(postgres: Postgres, model: Path) -> str:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for name in ("schema.sql", "rows.sql"):
                connection.execute((model / name).read_bytes())

    return postgres.url(postgres.create(postgres.template(model.name, build)))


def new_warehouse(postgres: Postgres, model: Path) -> str:
    return postgres.template(f"{model.name}_warehouse", lambda url: init(url, load_model(str(model))))


def apply_activity(url: str, model: Path) -> None:
    with psycopg.connect(url) as connection:
        connection.execute((model / "activity.sql").read_bytes())
        if model == CLINIC:
            connection.execute(MORE_ACTIVITY.encode())


def both_runs(postgres: Postgres, model: Path, source_url: str, folder: Path) -> dict[str, Run]:
    """Do both runs on directories; the baseline is of the source after its activity, the increment finds it."""
    copies = Copies(postgres, model, source_url, folder)
    empty = Start(folder / "empty", new_warehouse(postgres, model))
    filled = copies.of(empty)
    filled.rig().run()
    apply_activity(source_url, model)
    return {run: uninterrupted(copies, start) for run, start in zip(RUNS, (empty, copies.kept(filled)), strict=True)}


def uninterrupted(copies: Copies, start: Start) -> Run:
    passed: list[str] = []
    rig = copies.of(start).rig()
    with watched(passed.append):
        rig.run()
    return Run(start, Counter(passed), contents(rig))


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


def times_to_kill(passes: int) -> list[int]:
    """Return which of so many passes of a point to kill at: the first, the second, the last."""
    return [nth for nth in range(1, passes + 1) if nth in {1, 2, passes}]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_killed_at_any_point_is_made_good_by_the_next(
    run: str, point: str, runs: dict[str, Run], copies: Copies
) -> None:
    for nth in times_to_kill(runs[run].passes.get(point, 0)):
        site = copies.of(runs[run].start)
        assert killed_at(site, f"{point}:{nth}")

        rig = site.rig()
        rig.run()

        assert unlike(runs[run].expected, contents(rig)) == {}, nth


@pytest.mark.parametrize(
    ("run", "point"),
    [
        (run, f"{moment}-{commit}")
        for run, names in COMMITS.items()
        for commit in names
        for moment in ("before", "after")
    ],
)
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
            origin = {"Bucket": source, "Key": each["Key"]}
            self._objects.copy_object(Bucket=target, Key=each["Key"], CopySource=origin)
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
