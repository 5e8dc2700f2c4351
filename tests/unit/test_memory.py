"""How much memory an engine may take, and when it may take more."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tidemark.memory import DEFAULT, DEFAULT_BYTES, limit_memory, memory_limit, more_memory


@pytest.fixture(autouse=True)
def _keeps_limit() -> Iterator[None]:
    before = memory_limit()
    yield
    limit_memory(before)


def test_the_default_gives_way_step_by_step_until_the_machine_has_no_more() -> None:
    limit_memory(DEFAULT)
    steps = [0]
    while more_bytes := more_memory(steps[-1]):
        steps.append(more_bytes)
    assert steps[1] == 2 * DEFAULT_BYTES
    assert all(DEFAULT_BYTES < after <= 2 * max(before, DEFAULT_BYTES) for before, after in pairwise(steps))
    assert more_memory(steps[-1]) is None


def test_a_limit_that_somebody_set_gives_no_way() -> None:
    limit_memory("300MB")
    assert more_memory(0) is None
