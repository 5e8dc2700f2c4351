"""What several tests of parts share: an engine without any bucket, and a bucket for Delta tables."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.library import library_template
from tests.support.office import Office
from tests.support.postgres import Postgres
from tidemark.lake.engine import Engine, open_engine
from tidemark.objects import Objects, open_objects


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for all tests of a file."""
    with open_engine([]) as opened:
        yield opened


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """A bucket for all tests of a file."""
    return open_objects(str(tmp_path_factory.mktemp("lakes")))


@pytest.fixture
def office(
    new_database: Callable[..., str], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Office:
    """A directory in which commands run in this process, on a small library and an empty warehouse."""
    return Office(tmp_path, new_database(library_template(postgres)), new_database(), monkeypatch)
