"""Places that belong together, and the star's manifests as one run reads them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemark.errors import StateError
from tidemark.log.changelog import ChangeLog, Manifest, manifest_key
from tidemark.log.reach import Reach, reach_of_log, require_together
from tidemark.objects import Objects, open_objects
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed, Rebuilt, StarEntry

NOON = datetime(2024, 11, 11, 12, tzinfo=UTC)


def put_star(objects: Objects, *batches: int) -> None:
    """Put manifests of transformed batches, each with version 1 of the one table."""
    for batch in batches:
        done = Processed(batch, "run", "ours", NOON, "model", {"fact_item": StarEntry(rows=1, version=1)})
        objects.put_new(manifest_key(batch), done.encode())


def rebuilt(batch: int, version: int) -> Rebuilt:
    return Rebuilt(batch, "rebuild", "other model", {"fact_item": version}, ["fact_item"], {})


@pytest.mark.parametrize("later", [Reach("star"), Reach("star", 2, "ours"), Reach("star", 3, "ours")])
def test_a_place_may_lack_batches_of_the_one_before(later: Reach) -> None:
    require_together(Reach("log", 3, "ours"), later)


@pytest.mark.parametrize(
    ("earlier", "later", "message", "settings"),
    [
        (
            Reach("log", 3, "ours"),
            Reach("star", 4, "ours"),
            "the star ends with batch 4, but the log ends with batch 3",
            "TIDEMARK_INGESTION and TIDEMARK_PROCESSED",
        ),
        (
            Reach("star", 3, "ours"),
            Reach("warehouse", 3, "theirs"),
            "the warehouse is of pipeline theirs, the star is of ours",
            "TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL",
        ),
        (
            Reach("star"),
            Reach("warehouse", 1, "theirs"),
            "the warehouse ends with batch 1, but the star ends with batch 0",
            "TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL",
        ),
    ],
)
def test_what_cannot_have_come_from_the_place_before_is_refused(
    earlier: Reach, later: Reach, message: str, settings: str
) -> None:
    with pytest.raises(StateError) as caught:
        require_together(earlier, later)

    assert caught.value.message == message
    assert settings in caught.value.advice


def test_a_log_that_ends_before_the_star_says_where(tmp_path: Path) -> None:
    log = ChangeLog(open_objects(str(tmp_path)))
    assert reach_of_log(log, 2) == Reach("log")

    log.commit(Manifest(1, "run", "ours", {}, "1:1:", NOON, None, {}))

    assert reach_of_log(log, 1) == reach_of_log(log, 2) == Reach("log", 1, "ours")


def test_a_star_reaches_as_far_as_its_newest_manifest(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    assert reach_of_star(StarLog(objects).newest()) == Reach("star")

    put_star(objects, 1, 2)

    assert reach_of_star(StarLog(objects).newest()) == Reach("star", 2, "ours")


def test_a_run_reads_all_manifests_as_one_rebuild_left_them(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    put_star(objects, 1, 2)
    stars = StarLog(objects)
    assert stars.manifest(1).tables["fact_item"].version == 1

    StarLog(objects).put_rebuilt(rebuilt(batch=2, version=5))

    # The version of before is there still, and its rows are those of the manifest.
    assert stars.manifest(2).tables["fact_item"].version == 1
    assert StarLog(objects).manifest(2).tables["fact_item"].version == 5
    assert StarLog(objects).written(2).tables["fact_item"].version == 1


def test_the_last_of_several_rebuilds_counts_and_each_is_put_behind_all_that_are_there(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    put_star(objects, 1)
    first, second = StarLog(objects), StarLog(objects)
    assert first.rebuilt is second.rebuilt is None

    first.put_rebuilt(rebuilt(batch=1, version=5))
    second.put_rebuilt(rebuilt(batch=1, version=6))

    assert StarLog(objects).manifest(1).tables["fact_item"].version == 6
    assert [each.key for each in objects.list("rebuilds/")] == ["rebuilds/0000000001.json", "rebuilds/0000000002.json"]
