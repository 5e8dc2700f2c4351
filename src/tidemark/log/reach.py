"""Reach: the last batch and the pipeline of a place, and whether two places belong together."""

from dataclasses import dataclass
from datetime import UTC, datetime
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


def require_together(earlier: Reach, later: Reach, emptied_by: str = "") -> None:
    """Check that everything in the later place can have come from the earlier one.

    Args:
        earlier: the place that the other one is made from.
        later: the other place.
        emptied_by: the statement that empties the later place, if it can be filled again.

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
    elif emptied_by:
        advice += f" If they do, empty the {later.place} and fill it anew: run {emptied_by}; in it, then tidemark load"
    raise StateError(message, advice=advice)


def require_same_moment(batch: int, star: datetime, warehouse: datetime | None, advice: str) -> None:
    """Check that star and warehouse mean the same batch by a number; one that was restored may have made another."""
    if warehouse is not None and warehouse != star:
        message = (
            f"batch {batch} of the star is of {_shown(star)}, that of the warehouse is of {_shown(warehouse)}: one of"
            " the two was restored"
        )
        raise StateError(message, advice=advice)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
