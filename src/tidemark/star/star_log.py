"""The star's log: the manifests of transformed batches and the records of rebuilds, in the processed bucket.

A manifest is read as the last rebuild left it. A `StarLog` serves one run of a command. A manifest is never written
twice, so each is read once. The records of rebuilds are listed once, when a manifest is first asked for: the next run
sees a rebuild that ends later.
"""

from functools import cached_property

from tidemark.errors import OvertakenError
from tidemark.faults import effect
from tidemark.log.changelog import DIGITS, manifest_key, newest_batch
from tidemark.log.reach import Reach
from tidemark.objects import ObjectExistsError, Objects
from tidemark.star.star_manifest import Processed, Rebuilt

REBUILDS = "rebuilds/"


def reach_of_star(newest: Processed | None) -> Reach:
    """Say how far the star is by its newest manifest."""
    return Reach("star", newest.batch, newest.pipeline_id) if newest else Reach("star")


class StarLog:
    """The manifests and the records of rebuilds in the processed bucket."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._written: dict[int, Processed] = {}

    def newest_batch(self) -> int:
        """Find the last batch that was transformed, 0 for none."""
        return newest_batch(self.objects)

    def newest(self) -> Processed | None:
        """Read the newest manifest; None when no batch was transformed yet."""
        batch = self.newest_batch()
        return self.manifest(batch) if batch else None

    @cached_property
    def rebuilt(self) -> Rebuilt | None:
        """Read the record of the last rebuild; None when there was no rebuild."""
        last = max((each.key for each in self.objects.list(REBUILDS)), default=None)
        return Rebuilt.decode(self.objects.get(last)) if last else None

    def manifest(self, batch: int) -> Processed:
        """Read the manifest of a batch that must exist, as the last rebuild left it.

        Raises:
            StateError: it cannot be read.
        """
        found = self.written(batch)
        return self.rebuilt.apply(found) if self.rebuilt else found

    def written(self, batch: int) -> Processed:
        """Read the manifest of a batch as it was written, without rebuilds; StateError when it cannot be read."""
        found = self._written.get(batch)
        if found is None:
            found = self._written[batch] = Processed.decode(self.objects.get(manifest_key(batch)), batch)
        return found

    def put_rebuilt(self, record: Rebuilt) -> None:
        """Add the record of a rebuild after all others; OvertakenError when another rebuild just did the same."""
        last = max((each.key for each in self.objects.list(REBUILDS)), default=f"{REBUILDS}0")
        number = int(last.rpartition("/")[2].removesuffix(".json")) + 1
        try:
            with effect("rebuild-record"):
                self.objects.put_new(f"{REBUILDS}{number:0{DIGITS}d}.json", record.encode())
        except ObjectExistsError as exc:
            message = "another rebuild of the star ended at the same time"
            raise OvertakenError(message, advice="run it again") from exc
