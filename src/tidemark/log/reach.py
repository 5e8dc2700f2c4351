"""Reach: the last batch and the pipeline of a place, and whether two places belong together."""

from dataclasses import dataclass
from typing import Literal

from tidemark.errors import StateError
from tidemark.log.changelog import ChangeLog, newest_batch
from tidemark.objects import ObjectMissingError

Place = Literal["log", "star", "warehouse"]
SETTINGS = {"log": "TIDEMARK_INGESTION", "star": "TIDEMARK_PROCESSED", "warehouse": "TIDEMARK_WAREHOUSE_URL"}


@dataclass(frozen=True)
class Reach:
    """The last batch that a place has, 0 for none, and the pipeline that it belongs to."""

    place: Place
    batch: int = 0
    pipeline_id: str | None = None


def reach_of_log(log: ChangeLog, batch: int) -> Reach:
    """Give the log's reach as of a batch, or as of its newest batch if the log ends before that one."""
    try:
        return Reach("log", batch, log.manifest(batch).pipeline_id)
    except ObjectMissingError:
        newest = newest_batch(log.objects)
        return Reach("log", newest, log.manifest(newest).pipeline_id if newest else None)


def require_together(earlier: Reach, later: Reach) -> None:
    """Check that everything in the later place can have come from the earlier one.

    Raises:
        StateError: the later place has batches that the earlier one lacks, or belongs to another pipeline.
    """
    if later.batch > earlier.batch:
        message = (
            f"the {later.place} ends with batch {later.batch}, but the {earlier.place} ends with batch {earlier.batch}"
        )
    elif later.batch and later.pipeline_id != earlier.pipeline_id:
        message = (
            f"the {later.place} is of pipeline {later.pipeline_id}, the {earlier.place} is of {earlier.pipeline_id}"
        )
    else:
        return
    advice = f"check {SETTINGS[earlier.place]} and {SETTINGS[later.place]}: do they belong together?"
    if later.place == "warehouse" and later.pipeline_id == earlier.pipeline_id:
        advice += " If they do, and one of the two was restored, tidemark rebuild warehouse takes it back to the star"
    raise StateError(message, advice=advice)
