"""Runs killed at random moments, and runs in pairs, on a source at work: nothing is lost, nothing is doubled.

`make exhaustive` does the same for longer, `make chaos` for ten times as long again.
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


@pytest.mark.parametrize("kills", [5, pytest.param(10, marks=pytest.mark.exhaustive)])
def test_runs_killed_at_random_moments_lose_and_double_nothing(
    totesys: Addresses, chance: random.Random, kills: int
) -> None:
    outcome = kill_at_random(totesys, kills, chance)

    assert outcome.differences == [], outcome
    assert outcome.kills == kills


@pytest.mark.parametrize("pairs", [4, pytest.param(10, marks=pytest.mark.exhaustive)])
def test_two_runs_at_once_lose_and_double_nothing(totesys: Addresses, chance: random.Random, pairs: int) -> None:
    outcome = run_in_pairs(totesys, pairs, chance, stages_apart=False)

    assert outcome.differences == [], outcome


@pytest.mark.parametrize("pairs", [2, pytest.param(5, marks=pytest.mark.exhaustive)])
def test_two_of_each_stage_at_once_lose_and_double_nothing(
    totesys: Addresses, chance: random.Random, pairs: int
) -> None:
    outcome = run_in_pairs(totesys, pairs, chance, stages_apart=True)

    assert outcome.differences == [], outcome
