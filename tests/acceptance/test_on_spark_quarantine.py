"""What the star cannot take, on other engines: it is set aside with the same words, and comes back in the same way."""

from pathlib import Path

import pytest

from tests.support.engines import assert_same_star, by_engines, quarantine
from tests.support.quarantine import Story
from tests.support.spark import VERSIONS, spark_of
from tidemark.lake.spark import Spark, started_sail
from tidemark.lake.spark_rows import DUCKDB


def assert_same_quarantine(story: Story, engine: str | Spark, folder: Path) -> None:
    # Its own star was made by another model, which was mended in between.
    by_duckdb = by_engines(story.rig, folder / "duckdb", DUCKDB)

    assert quarantine(by_duckdb.processed)
    assert_same_star(by_duckdb, by_engines(story.rig, folder / "other", engine))


def test_what_the_star_cannot_take_is_set_aside_and_comes_back_in_the_same_way(story: Story, tmp_path: Path) -> None:
    with started_sail() as (sail, _):
        assert_same_quarantine(story, sail, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_spark_itself_sets_aside_and_brings_back_the_same(story: Story, tmp_path: Path, version: str) -> None:
    with spark_of(version, tmp_path) as spark:
        assert_same_quarantine(story, spark, tmp_path)
