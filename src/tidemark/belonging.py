"""Whether a warehouse belongs to a star: load insists on it, verify proves it, `status` and `doctor` say it beforehand.

This is apart from `load`, because `status` does without the libraries that read the star's rows.
"""

from datetime import datetime

from tidemark.errors import StateError
from tidemark.log.reach import Reach, require_same_moment, require_together
from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed
from tidemark.warehouse.marks import MEND
from tidemark.warehouse.session import Warehouse, open_warehouse


def require_stars(newest: Processed | None, warehouse: Reach, model: Model) -> None:
    """Raise a StateError if a warehouse is ahead of the star, which ends with `newest`, or of another pipeline."""
    require_together(reach_of_star(newest), warehouse, Warehouse.emptied_by(list(model.stars.values())))


def require_moment(stars: StarLog, newest: Processed | None, batch: int, loaded: datetime | None) -> None:
    """Raise a StateError if a batch of the star is of another moment than `loaded`, when the warehouse says it is."""
    manifest = newest if newest and newest.batch == batch else stars.manifest(batch)
    require_same_moment(batch, manifest.captured_at, loaded, MEND)


def refusal(url: str, processed: Objects, model: Model) -> StateError | None:
    """Say why a warehouse cannot take batches of a star, whatever its tables hold; None if it can."""
    stars = StarLog(processed)
    newest = stars.newest()
    with open_warehouse(url, only_reads=True) as warehouse:
        reach = Reach("warehouse", *warehouse.newest())
        try:
            require_stars(newest, reach, model)
            if reach.batch:
                require_moment(stars, newest, reach.batch, warehouse.captured_at(reach.batch).get(reach.batch))
        except StateError as exc:
            return exc
    return None
