"""The fixtures of all tests: a PostgreSQL server, an S3, the real rows of totesys, a pipeline."""

import atexit
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.support.postgres import Postgres, running_postgres
from tests.support.s3 import S3, read_descriptions_once, running_s3
from tests.support.scratch import GIBIBYTE, folder_in_memory

if TYPE_CHECKING:
    from tests.support.deployment import Begun
    from tests.support.kept import KeptPipelines, Make
    from tests.support.pipeline import Rig

pytest_plugins = ["tests.support.no_skips", "tests.support.whole_files", "tests.support.written_docs"]

REPOSITORY = Path(__file__).parent.parent
ENVIRONMENT = os.environ  # noqa: TID251 -- the tests' own switches, read here and nowhere else
TOTESYS_ROWS = Path(ENVIRONMENT.get("TIDEMARK_TOTESYS_ROWS") or REPOSITORY.parent / "shared" / "totesys")

# A deadline for one example would fail on a busy machine.
hypothesis.settings.register_profile("tidemark", deadline=None)
hypothesis.settings.load_profile("tidemark")

read_descriptions_once()

# delta-rs has a thread for each core. To wake several for tables of a few rows costs a twentieth of a run, so here it
# has one, as on a machine with one core.
ENVIRONMENT.setdefault("TOKIO_WORKER_THREADS", "1")

# A command that a test starts would otherwise ignore what whoever started the tests has them ignore, such as `nohup`.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

if in_memory := folder_in_memory(12 * GIBIBYTE, executes=True):
    tempfile.tempdir = ENVIRONMENT["TMPDIR"] = in_memory


def pytest_unconfigure() -> None:
    """Close stderr at the interpreter's very end.

    DuckDB's bindings then list, as leaks, the objects that hypothesis still holds in its caches; no test is concerned.
    """
    atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno() if sys.__stderr__ else 2))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in list(ENVIRONMENT):
        if name.startswith(("TIDEMARK_", "AWS_", "PG")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for the session; with xdist one for each worker."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def new_database(postgres: Postgres) -> Iterator[Callable[..., str]]:
    """Make databases for one test: `new_database(template=None)` copies the template and returns the address."""
    names = []

    def create(template: str | None = None) -> str:
        names.append(postgres.create(template))
        return postgres.url(names[-1])

    yield create
    for name in names:
        postgres.drop(name)


@pytest.fixture(scope="session")
def totesys_rows() -> Path:
    """The directory with the real rows of totesys: a CSV file for each table, and schema.sql."""
    if not TOTESYS_ROWS.is_dir():
        pytest.skip(f"the real rows are not at {TOTESYS_ROWS}; TIDEMARK_TOTESYS_ROWS may name another directory")
    return TOTESYS_ROWS


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One S3 server for the session; a test takes `s3`."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An empty S3 that boto3 and delta-rs reach through the environment in this test."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    return s3_server


@pytest.fixture(scope="session")
def begun_deployment(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Begun]":
    """The apply of infra/ to the tests' AWS, in the background from when a test first asks for it."""
    from tests.support.deployment import begun  # noqa: PLC0415 -- as below

    tasks = {"image": "tidemark", "subnet_ids": ["subnet-0"], "security_group_ids": ["sg-0"], "from_rows": 1_000_000}
    wanted = {
        "notification_emails": ["a@example.com"],
        "dashboard_page": True,
        "fargate": tasks,
        "emr": {"from_rows": 1_000_000},
    }
    with begun(tmp_path_factory.mktemp("cloud"), **wanted) as found:
        yield found


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.exhaustive)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the lake of a test lies; a test that takes it runs on a directory and on S3."""
    if request.param == "directory":
        return str(tmp_path / "lake")
    s3: S3 = request.getfixturevalue("s3")
    return f"s3://{s3.create_bucket()}"


@pytest.fixture
def new_rig(postgres: Postgres, tmp_path: Path) -> "Iterator[Callable[..., Rig]]":
    """Make pipelines for one test: `new_rig(template, model="totesys", place=None)`, see `rigs`."""
    # Not at the top: the libraries of the stages would cost the unit tests half a second.
    from tests.support.pipeline import rigs  # noqa: PLC0415

    with rigs(postgres, str(tmp_path / "lake")) as create:
        yield create


@pytest.fixture(scope="session")
def kept_pipelines(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> "KeptPipelines":
    """The pipelines that `kept_rig` copies."""
    from tests.support.kept import KeptPipelines  # noqa: PLC0415 -- as above

    return KeptPipelines(postgres, tmp_path_factory.mktemp("kept"))


@pytest.fixture
def kept_rig(kept_pipelines: "KeptPipelines", postgres: Postgres, tmp_path: Path) -> "Iterator[Callable[..., Rig]]":
    """Give a test its copy of a pipeline: `kept_rig(name, make, place=None)`, see `KeptPipelines.copy`."""
    from tests.support.kept import database_of  # noqa: PLC0415 -- as above

    copies = []

    def copy(name: str, make: "Make", place: str | None = None) -> "Rig":
        copies.append(kept_pipelines.copy(name, make, place or str(tmp_path / "lake")))
        return copies[-1]

    yield copy
    for rig in copies:
        postgres.drop(database_of(rig.warehouse_url))


@pytest.fixture
def small_totesys(kept_rig: "Callable[..., Rig]") -> "Callable[..., Rig]":
    """Give a test its copy of a small pipeline of totesys: `small_totesys(batches, place=None)`."""
    from tests.support.kept import small_totesys  # noqa: PLC0415 -- as above

    return lambda batches, place=None: kept_rig(f"totesys after {batches} batches", small_totesys(batches), place)
