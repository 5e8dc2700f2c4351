"""What compose.yml and Dockerfile say runs: their settings, SQL, commands and installing steps, without a container."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from tests.support.deployed import REPOSITORY, instructions, services
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tidemark import __version__

WAREHOUSE = "warehouse"
HEALTH = ("status", "--max-age", "30m")


@pytest.fixture
def databases(new_database: Callable[..., str], postgres: Postgres) -> Iterator[tuple[str, str]]:
    """The addresses of both databases, filled as the image of PostgreSQL would: by psql, with all of databases.sql."""
    source = new_database()
    script = REPOSITORY / "deploy" / "compose" / "databases.sql"
    try:
        call([postgres.programs / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}", source], {})
        yield source, postgres.url(WAREHOUSE)
    finally:
        postgres.drop(WAREHOUSE)


@pytest.fixture
def settings(databases: tuple[str, str], s3: S3, tmp_path: Path) -> Mapping[str, str]:
    """What compose.yml gives to Tidemark, but for where this machine has databases, S3 and a directory."""
    given = {name: str(value) for name, value in services()["tidemark"]["environment"].items()}
    source, warehouse = databases
    assert "@postgres/shop?" in given["TIDEMARK_SOURCE_URL"]
    assert f"@postgres/{WAREHOUSE}?" in given["TIDEMARK_WAREHOUSE_URL"]
    ours = {
        "TIDEMARK_SOURCE_URL": source,
        "TIDEMARK_WAREHOUSE_URL": warehouse,
        "TIDEMARK_POINTER": str(tmp_path / "pointer.json"),
    }
    return {**given, **ours, **s3.variables}


def call(command: list[Path | str], settings: Mapping[str, str], *, expect: int = 0, folder: Path | None = None) -> str:
    done = subprocess.run(  # noqa: S603 -- what the files of the repository say
        command,
        env={**os.environ, **settings},  # noqa: TID251 -- for the child, as a shell would
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def tidemark(settings: Mapping[str, str], *arguments: str, expect: int = 0) -> str:
    return call([sys.executable, "-m", "tidemark", *arguments], settings, expect=expect)


def test_a_round_with_the_settings_of_compose_brings_the_shop_into_the_warehouse(settings: Mapping[str, str]) -> None:
    buckets = services()["buckets"]
    assert buckets["entrypoint"] == ["python", "-c"]
    for _ in range(2):  # each `up` runs it again
        call([sys.executable, "-c", *buckets["command"]], settings)
    name, *rest = services()["tidemark"]["command"]
    assert (name, rest) == ("run", ["--every", "10m"])

    assert "there was no poll yet" in tidemark(settings, *HEALTH, expect=3)
    tidemark(settings, name)

    with psycopg.connect(settings["TIDEMARK_WAREHOUSE_URL"]) as warehouse:
        rows = warehouse.execute("select customer_id, sum(amount)::text from purchase group by 1 order by 1")
        assert rows.fetchall() == [(1, "34.90"), (2, "3.50"), (3, "120.00")]
    tidemark(settings, *HEALTH)
    assert "the last poll was at" in tidemark(settings, "status", "--max-age", "1us", "--json", expect=3)
    away = {**settings, "TIDEMARK_WAREHOUSE_URL": "postgresql://postgres@127.0.0.1:1/warehouse"}
    assert "standstill: the warehouse cannot be asked" in tidemark(away, *HEALTH, expect=3)


@pytest.mark.exhaustive
def test_the_installing_steps_of_the_image_give_a_tidemark_that_runs(tmp_path: Path) -> None:
    """Run each step of the first stage as a shell would, with a directory in place of /opt, and a Python of its own."""
    build, target = tmp_path / "build", tmp_path / "opt" / "tidemark"
    build.mkdir()
    venv.create(tmp_path / "python", with_pip=True)
    path = {"PATH": f"{tmp_path / 'python' / 'bin'}:/usr/bin:/bin", "PYTHONPATH": ""}
    stages = 0
    for name, rest in instructions():
        stages += name == "FROM"
        if stages > 1:
            break
        if name == "ARG":
            variable, _, value = shlex.split(rest)[0].partition("=")
            path[variable] = value
        if name == "COPY":
            copy(rest, build)
        if name == "RUN":
            command = rest.replace("/opt/tidemark", str(target))
            call(["/bin/sh", "-euc", command], path, folder=build)

    assert stages == 2
    program = target / "bin" / "tidemark"
    assert call([program, "--version"], path) == f"tidemark {__version__}\n"
    assert call([target / "bin" / "python", "-m", "pip", "check"], path) == "No broken requirements found.\n"
    told = call([program, "run", "--every", "10m"], path, expect=2, folder=tmp_path)
    assert "TIDEMARK_SOURCE_URL" in told
    found = call([target / "bin" / "python", "-c", "import tidemark; print(tidemark.__file__)"], path, folder=tmp_path)
    assert re.match(str(target), found)


def copy(arguments: str, folder: Path) -> None:
    """Copy as COPY does: files into the folder that is named last, a directory's content into it."""
    *sources, last = arguments.split()
    for source in (path for name in sources for path in REPOSITORY.glob(name)):
        place = folder / last
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place / source.name)
