"""The record of runs: kept in the warehouse, or beside the pointer where that does not take it; read from both.

It never makes a run fail: what cannot be kept is a warning in the log.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tidemark.disclosure import told_with_kind
from tidemark.errors import TidemarkError
from tidemark.objects import Objects
from tidemark.runs import beside_pointer
from tidemark.runs.run import Run

if TYPE_CHECKING:
    from tidemark.runs.webhook import Webhook

logger = logging.getLogger(__name__)
KEPT_FOR = timedelta(days=90)
MOST_IN_WAREHOUSE = 10_000
MOST_BESIDE_POINTER = 1_000


@dataclass(frozen=True)
class Beside:
    """Where runs lie beside the pointer: objects, and the beginning of their keys."""

    objects: Objects
    folder: str = ""


@dataclass(frozen=True)
class Records:
    """The record of a pipeline's runs, and the webhook that is told of them.

    `warehouse` gives the warehouse's address, and `beside` the place beside the pointer; either may raise a
    TidemarkError. None says that there is no such place.
    """

    clock: Callable[[], datetime]
    warehouse: Callable[[], str] | None = None
    beside: Callable[[], Beside] | None = None
    webhook: "Webhook | None" = None

    def keep(self, run: Run, *, is_warehouse_away: bool = False) -> None:
        """Keep a run, and tell the webhook of it if it is a failure or the recovery from one.

        `is_warehouse_away` says that the run found the warehouse away, so that nobody asks it again.
        """
        if self.webhook:
            run = replace(run, announced=self.webhook.told(run))
        try:
            if is_warehouse_away or not self._kept_in_warehouse(run):
                self._keep_beside(run)
        except Exception as exc:  # noqa: BLE001 -- whatever goes wrong here must not end a run that went well
            logger.warning("what this run did could not be recorded: %s", _said(exc))

    def newest(self, limit: int = 100) -> list[Run]:
        """Give the newest runs, the newest first, out of both places; a place that cannot be read is left out."""
        found: dict[str, Run] = {}
        for read in (self._in_warehouse, self._beside):
            try:
                found |= {run.id: run for run in read(limit)}
            except Exception as exc:  # noqa: BLE001 -- a record that somebody altered hides nothing of the places
                logger.info("the record of runs: %s", _said(exc))
        return sorted(found.values(), key=lambda run: run.started_at, reverse=True)[:limit]

    def _kept_in_warehouse(self, run: Run) -> bool:
        if self.warehouse is None:
            return False
        from tidemark.runs import in_warehouse  # noqa: PLC0415 -- without a warehouse nobody needs psycopg

        try:
            oldest, url = self.clock() - KEPT_FOR, self.warehouse()
            in_warehouse.keep(url, run, oldest=oldest, most=MOST_IN_WAREHOUSE)
        except TidemarkError as exc:
            if self.beside is None:
                raise
            logger.info("the record of this run goes beside the pointer: %s", exc.message)
            return False
        return True

    def _keep_beside(self, run: Run) -> None:
        if self.beside is not None:
            place = self.beside()
            oldest = self.clock() - KEPT_FOR
            beside_pointer.keep(place.objects, place.folder, run, oldest=oldest, most=MOST_BESIDE_POINTER)

    def _in_warehouse(self, limit: int) -> list[Run]:
        if self.warehouse is None:
            return []
        from tidemark.runs import in_warehouse  # noqa: PLC0415 -- as above

        return in_warehouse.newest(self.warehouse(), limit)

    def _beside(self, limit: int) -> list[Run]:
        if self.beside is None:
            return []
        place = self.beside()
        return beside_pointer.newest(place.objects, place.folder, limit)


def _said(exc: Exception) -> str:
    return exc.message if isinstance(exc, TidemarkError) else told_with_kind(exc)
