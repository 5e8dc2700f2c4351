"""The quarantine in a scratch copy: how it differs from the present one, and how it takes that one's place."""

from dataclasses import dataclass

from tidemark.lake.rebuilt import TableRebuild
from tidemark.objects import Objects
from tidemark.star.quarantine import QUARANTINE, batch_of


@dataclass(frozen=True)
class QuarantineReplacement:
    """The quarantine as the scratch copy has it (`made`) and as it is (`present`), up to a batch."""

    made: Objects
    present: Objects
    batch: int

    @property
    def objects(self) -> set[str]:
        """Name the objects of both, up to the batch."""
        found = {each.key for store in (self.made, self.present) for each in store.list(QUARANTINE)}
        return {key for key in found if batch_of(key) <= self.batch}

    def compared(self) -> TableRebuild:
        """Count the lines that differ."""
        rows = missing = surplus = 0
        for key in self.objects:
            made, present = (set(self._lines(store, key)) for store in (self.made, self.present))
            rows, missing, surplus = rows + len(made), missing + len(made - present), surplus + len(present - made)
        return TableRebuild(rows, missing, surplus)

    def put(self) -> None:
        """Put every object that differs in place."""
        for key in self.objects:
            if self._lines(self.made, key) != self._lines(self.present, key):
                self.present.delete([key])
                if self.made.exists(key):
                    self.present.put_new(key, self.made.get(key))

    def _lines(self, store: Objects, key: str) -> list[bytes]:
        return store.get(key).splitlines() if store.exists(key) else []
