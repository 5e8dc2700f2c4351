"""Whether a warehouse belongs to a star: load insists on it, and `status` and `doctor` say beforehand what it will say.

This is apart from `load`, because `status` does without the libraries that read the star's rows.
"""

from tidemark.errors import StateError
from tidemark.log.reach import Reach, require_same_moment, require_together
from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.warehouse.marks import MEND
from tidemark.warehouse.session import Warehouse, open_warehouse


def require_stars(warehouse: Warehouse, stars: StarLog, model: Model) -> None:
    """Raise a StateError if the warehouse is ahead of the star, or of another pipeline."""
    reach = Reach("warehouse", *warehouse.newest())
    require_together(reach_of_star(stars.newest()), reach, warehouse.emptied_by(list(model.stars.values())))


def require_moment(warehouse: Warehouse, stars: StarLog) -> None:
    """Raise a StateError if the last batch of the warehouse is of another moment than the star's."""
    done, _ = warehouse.newest()
    if done:
        loaded = warehouse.captured_at(done).get(done)
        require_same_moment(done, stars.manifest(done).captured_at, loaded, MEND)


def refusal(url: str, processed: Objects, model: Model) -> StateError | None:
    """Say why a warehouse cannot take batches of a star, whatever its tables hold; None if it can."""
    stars = StarLog(processed)
    stars.newest()
    with open_warehouse(url, only_reads=True) as warehouse:
        try:
            require_stars(warehouse, stars, model)
            require_moment(warehouse, stars)
        except StateError as exc:
            return exc
    return None
