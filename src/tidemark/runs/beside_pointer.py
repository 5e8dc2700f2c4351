"""Runs as objects beside the pointer: where there is no warehouse, or where it cannot take them.

Each is an object of its own. So runs at the same time harm nothing, and a run that is killed leaves no half of one.
"""

import logging
from datetime import datetime

from tidemark.objects import Objects
from tidemark.runs.run import Run

logger = logging.getLogger(__name__)
ENDS_WITH = ".json"
# Each takes a while; in a bucket there are only the runs that the warehouse did not take.
MOST_REQUESTS = 50
MOMENT = "%Y-%m-%dT%H-%M-%S.%f"


def keep(objects: Objects, folder: str, run: Run, *, oldest: datetime, most: int) -> None:
    """Put a run, and delete those that are older than a moment or more than so many."""
    objects.put_new(f"{folder}{run.started_at:{MOMENT}}-{run.id}{ENDS_WITH}", f"{run.encode()}\n".encode())
    keys = _keys(objects, folder)
    outdated = [key for key in keys[:-most] if key] + [
        key for key in keys[-most:] if key < f"{folder}{oldest:{MOMENT}}"
    ]
    if outdated:
        objects.delete(outdated)


def newest(objects: Objects, folder: str, limit: int) -> list[Run]:
    """Give the runs, newest first; an object that is no run is passed over, and a bucket is not asked for many."""
    found = []
    keys = _keys(objects, folder)
    if not objects.are_local:
        limit = min(limit, MOST_REQUESTS)
    for key in reversed(keys[-limit:]):
        try:
            found.append(Run.decode(objects.get(key)))
        except ValueError as exc:
            logger.info("%s is no record of a run: %s", objects.url(key), exc)
    return found


def _keys(objects: Objects, folder: str) -> list[str]:
    """Name the objects, the oldest first: a key begins with the moment of its run."""
    keys = (each.key for each in objects.list(folder))
    return [key for key in keys if key.endswith(ENDS_WITH) and "/" not in key.removeprefix(folder)]
