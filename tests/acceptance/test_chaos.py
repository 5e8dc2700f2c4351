"""Runs killed at random moments, and runs in pairs, on a source at work: nothing is lost, nothing is doubled.

`make chaos` does the same ten times as long.
"""

import random
from pathlib import Path

import pytest

from tests.support.chaos import kill_at_random, new_pipeline, run_in_pairs
from tests.support.kills import Addresses
from tests.support.postgres import Postgres


@pytest.fixture
def totesys(postgres: Postgres, tmp_path: Path) -> Addresses:
    return new_pipeline(postgres, tmp_path)


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20241115)  # noqa: S311 -- no secret


def test_runs_killed_at_random_moments_lose_and_double_nothing(totesys: Addresses, chance: random.Random) -> None:
    outcome = kill_at_random(totesys, 10, chance)

    assert outcome.differences == [], outcome
    assert outcome.kills == 10


def test_two_runs_at_once_lose_and_double_nothing(totesys: Addresses, chance: random.Random) -> None:
    outcome = run_in_pairs(totesys, 10, chance, stages_apart=False)

    assert outcome.differences == [], outcome


def test_two_of_each_stage_at_once_lose_and_double_nothing(totesys: Addresses, chance: random.Random) -> None:
    outcome = run_in_pairs(totesys, 5, chance, stages_apart=True)

    assert outcome.differences == [], outcome
