"""How much memory an engine may take, and when it may take more."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tidemark.memory import DEFAULT, DEFAULT_BYTES, limit_memory, memory_limit, more_memory
from tidemark.pipeline import wire
from tidemark.settings import load


@pytest.fixture(autouse=True)
def _keeps_limit() -> Iterator[None]:
    yield
    limit_memory(None)


def test_the_default_gives_way_step_by_step_until_the_machine_has_no_more() -> None:
    limit_memory(None)
    assert memory_limit() == DEFAULT
    steps = [0]
    while more_bytes := more_memory(steps[-1]):
        steps.append(more_bytes)
    assert steps[1] == 2 * DEFAULT_BYTES
    assert all(DEFAULT_BYTES < after <= 2 * max(before, DEFAULT_BYTES) for before, after in pairwise(steps))
    assert more_memory(steps[-1]) is None


@pytest.mark.parametrize("limit", ["300MB", DEFAULT])
def test_a_limit_that_somebody_set_gives_no_way(limit: str) -> None:
    wire(load({"memory_limit": limit}, environ={}, directory=Path("nowhere")))
    assert memory_limit() == limit
    assert more_memory(0) is None
