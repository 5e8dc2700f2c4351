"""What several tests of parts share: an engine without any bucket, and a bucket for Delta tables."""

from collections.abc import Iterator

import pytest

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
