"""Where the lake of a module's tests lies, and a pipeline after one run over all real rows."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.drift import Shop, build_shop, shop
from tests.support.library import LIBRARY, library_template
from tests.support.pipeline import Rig, generated_totesys, open_rig, real_totesys, rigs
from tests.support.postgres import Postgres
from tests.support.quarantine import Story, tell
from tests.support.replay import Replay, replayed
from tests.support.small_source import SmallSource
from tidemark.mirror import Scope, mirror_of

NewShop = Callable[..., Rig]
NewSource = Callable[[str, str], SmallSource]


@dataclass(frozen=True)
class Place:
    """Where a lake lies, and the environment variables by which it is reached."""

    url: str
    variables: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["directory", pytest.param("s3", marks=pytest.mark.exhaustive)])
def shared_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place that the tests of a module share, and that fixtures of theirs can reach; they run on each of the two.

    That S3 makes no difference to what a pipeline brings is proved by test_aws.py, with the same rows.
    """
    if request.param == "directory":
        yield Place(str(tmp_path_factory.mktemp("lake")))
        return
    server = request.getfixturevalue("s3_server")
    server.reset()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.variables.items():
            environment.setenv(name, value)
        yield Place(f"s3://{server.create_bucket()}", server.variables)


@pytest.fixture(scope="module")
def loaded_once(shared_place: Place, postgres: Postgres, totesys_rows: Path) -> Iterator[Rig]:
    """The pipeline of `loaded`, without the environment."""
    template = postgres.template("real_totesys", real_totesys(totesys_rows, whole=True))
    with rigs(postgres, shared_place.url) as create:
        rig = create(template)
        rig.run()
        yield rig


@pytest.fixture
def loaded(loaded_once: Rig, shared_place: Place, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A pipeline after one run over all real rows, on a directory and on S3; tests share it and only look."""
    for name, value in shared_place.variables.items():
        monkeypatch.setenv(name, value)
    return loaded_once


@pytest.fixture
def path_of_programs(postgres: Postgres) -> str:
    """The PATH with which a shell finds psql and the tidemark of these tests."""
    return ":".join(map(str, (postgres.programs, Path(sys.executable).parent, "/usr/bin", "/bin")))


@pytest.fixture(scope="session")
def replay(postgres: Postgres, totesys_rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """The real rows in slices, with a run after each; tests share it and only look."""
    with replayed(postgres, totesys_rows, tmp_path_factory.mktemp("replay")) as found:
        yield found


@pytest.fixture
def library(postgres: Postgres, new_rig: Callable[..., Rig]) -> Callable[..., Rig]:
    """Make a library's pipeline: `library(place=None)`, with rows in the source and nothing else."""
    return lambda place=None: new_rig(library_template(postgres), model=str(LIBRARY), place=place)


@pytest.fixture
def new_shop(new_rig: Callable[..., Rig], kept_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> NewShop:
    """Make a pipeline from a shop: `new_shop(model=shop())` for an empty one, or as it is `after` "ingest" or "run"."""
    folder = tmp_path / "shop"

    def create(model: Shop | None = None, *, after: str = "") -> Rig:
        loaded = (model or shop()).write(folder)
        template = postgres.template("shop", build_shop)
        if not after:
            return new_rig(template, model=str(folder))

        def make(_: Postgres, create: Callable[..., Rig]) -> Rig:
            rig = create(template, model=str(folder))
            getattr(rig, after)()
            return rig

        assert model is None, "a pipeline is kept for the usual model alone"
        return replace(kept_rig(f"shop after {after}", make), model=loaded)

    return create


@pytest.fixture(scope="session")
def story(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A pipeline whose source holds what the star cannot take; tests share it and only look."""
    folder = tmp_path_factory.mktemp("quarantine")
    with rigs(postgres, str(folder / "lake")) as create:
        yield tell(create(postgres.template("handful_of_totesys", generated_totesys(scale=0.002))), folder)


@pytest.fixture(scope="module")
def source_database(postgres: Postgres) -> Iterator[str]:
    """One database for all tests of this file, each of which starts with an empty schema."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def new_source(source_database: str, tmp_path: Path) -> NewSource:
    """Make a source out of statements and a model, poll its baseline, and return it."""

    def create(statements: str, model: str) -> SmallSource:
        source = SmallSource(tmp_path, source_database, model)
        source.execute("drop schema public cascade; create schema public", statements)
        source.ingest()
        return source

    return create


@pytest.fixture
def new_mirror(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Make a mirror's pipeline out of statements for the source; its warehouse is an empty database."""
    names: list[str] = []

    def create(statements: str, scope: Scope = Scope()) -> Rig:  # noqa: B008 -- it cannot be changed
        names.extend([postgres.create(), postgres.create()])
        source, warehouse = (postgres.url(name) for name in names[-2:])
        rig = open_rig(mirror_of({}, scope), source, warehouse, str(tmp_path / f"lake{len(names)}"))
        rig.change(statements)
        return rig

    yield create
    for name in names:
        postgres.drop(name)
