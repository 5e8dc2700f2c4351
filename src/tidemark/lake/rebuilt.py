"""What a rebuild found and did, table by table."""

from collections.abc import Mapping
from dataclasses import dataclass

# How a reason begins that ends by itself.
AT_WORK = "a run is at work"


@dataclass(frozen=True)
class TableRebuild:
    """What a rebuilt table holds, and how it differs from the present one.

    `missing` rows are only in the rebuilt table, `surplus` rows only in the present one; a row with another value
    counts once in each. `note` says why the present one could not be compared.
    """

    rows: int
    missing: int
    surplus: int
    note: str = ""

    @property
    def is_different(self) -> bool:
        """Say whether the present table is not what the log makes of it."""
        return bool(self.missing or self.surplus or self.note)


@dataclass(frozen=True)
class RebuildReport:
    """What a rebuild found and did: its last batch, its tables by name, and the reasons not to put it in place."""

    what: str
    batch: int
    tables: Mapping[str, TableRebuild]
    is_in_place: bool
    reasons: tuple[str, ...] = ()

    @property
    def is_run_at_work(self) -> bool:
        """Say whether another run wrote batches meanwhile, so that there is nothing to accept."""
        return any(reason.startswith(AT_WORK) for reason in self.reasons)

    @property
    def differences(self) -> int:
        """Count the rows that differ."""
        return sum(table.missing + table.surplus for table in self.tables.values())
