"""The health of a pipeline, as far as its places can be asked: how far each is, and what came with the last batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tidemark.dashboard.problem import Problem, attempted
from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.pipeline import Pipeline
from tidemark.runs.run import Run
from tidemark.status import RUNS, Place, Status, read_status
from tidemark.warehouse.session import LedgerRow, ledger

LAST_BATCHES, LAST_RUNS = 12, 12


@dataclass(frozen=True)
class BatchSeen:
    """One batch as log and ledger know it; what is not known there is None."""

    batch: int
    inserted: int
    updated: int
    deleted: int
    captured_at: datetime
    loaded: LedgerRow | None

    @property
    def changes(self) -> int:
        """Count its changes."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Health:
    """What the first page shows."""

    status: Status
    batches: Sequence[BatchSeen]
    batches_problem: Problem | None
    runs: Sequence[Run] = ()
    verification: Run | None = None

    @property
    def longest(self) -> float:
        """Give the seconds of the longest run that is shown."""
        return max((run.seconds for run in self.runs), default=0.0)

    @property
    def places(self) -> tuple[tuple[str, Place], ...]:
        """Give the places in the order in which rows pass them."""
        found = self.status
        return (
            ("source", found.source),
            ("change log", found.log),
            ("star", found.processed),
            ("warehouse", found.warehouse),
            ("pointer", found.pointer),
        )


def read_health(pipeline: Pipeline) -> Health:
    """Ask every place; one that cannot be asked hides nothing about the others."""
    status = read_status(pipeline)
    batches, problem = attempted(lambda: _last_batches(pipeline, status))
    runs = pipeline.records.newest(RUNS)
    verification = next((run for run in runs if run.verified), None)
    return Health(status, batches or (), problem, runs[:LAST_RUNS], verification)


def lake_size(pipeline: Pipeline) -> dict[str, tuple[int, int]]:
    """Count the objects of the two buckets and their bytes, by the bucket's name."""
    found = {}
    for name, objects in (("ingestion", pipeline.ingestion), ("processed", pipeline.processed)):
        sizes = [each.size for each in objects.list()]
        found[name] = (len(sizes), sum(sizes))
    return found


def _last_batches(pipeline: Pipeline, status: Status) -> list[BatchSeen]:
    newest = status.log.batch or 0
    loaded = {} if status.warehouse.problem else {row.batch: row for row in ledger(pipeline.warehouse_url)}
    manifests = ChangeLog(pipeline.ingestion).manifests(max(1, newest - LAST_BATCHES + 1), newest)
    return [_seen(each, loaded.get(each.batch)) for each in manifests][::-1]


def _seen(manifest: Manifest, loaded: LedgerRow | None) -> BatchSeen:
    tables = manifest.tables.values()
    inserted, updated, deleted = (
        sum(getattr(table, kind) for table in tables) for kind in ("inserted", "updated", "deleted")
    )
    return BatchSeen(manifest.batch, inserted, updated, deleted, manifest.captured_at, loaded)
