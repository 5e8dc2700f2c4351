"""Pipelines on the real and on generated rows of totesys, with the lake in a directory and on S3."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.pipeline import Rig, generated_totesys, real_totesys, rigs
from tests.support.postgres import Postgres

SCALE = 0.02


@pytest.fixture
def generated_rig(new_rig: Callable[..., Rig], place: str, postgres: Postgres) -> Rig:
    """A pipeline whose source holds 1,050 generated rows, with the lake in a directory and on S3."""
    return new_rig(postgres.template("small_totesys", generated_totesys(SCALE)), place=place)


@pytest.fixture(scope="module", params=["directory", "s3"])
def loaded_once(
    request: pytest.FixtureRequest, postgres: Postgres, totesys_rows: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Rig, Mapping[str, str]]]:
    """The pipeline of `loaded`, and the environment variables that it needs."""
    template = postgres.template("real_totesys", real_totesys(totesys_rows, whole=True))
    place = str(tmp_path_factory.mktemp("real") / "lake")
    variables: Mapping[str, str] = {}
    with pytest.MonkeyPatch.context() as environment, rigs(postgres, place) as create:
        if request.param == "s3":
            server = request.getfixturevalue("s3_server")
            variables = server.variables
            for name, value in variables.items():
                environment.setenv(name, value)
            server.reset()
            place = f"s3://{server.create_bucket()}"
        rig = create(template, place=place)
        rig.run()
        yield rig, variables


@pytest.fixture
def loaded(loaded_once: tuple[Rig, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A pipeline after one run over all real rows, on a directory and on S3; tests share it and only look."""
    rig, variables = loaded_once
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return rig
