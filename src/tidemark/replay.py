"""Replay: a batch that changes nothing in the source's tables and names rows in quarantine to be taken up again.

It is a batch of the log like any other, so that a rebuild takes them up again at the same place.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tidemark.changelog import ChangeLog, Manifest, carried_over
from tidemark.engine import open_engine
from tidemark.errors import ConfigError, StateError
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.pointer import PointerStore
from tidemark.processed import Processed, newest_processed, read_processed
from tidemark.quarantine import COLUMNS, open_rows
from tidemark.sqltext import names


@dataclass(frozen=True)
class SetAside:
    """A row in quarantine: `ordinal` is the surrogate key of a fact's, `key` its key and `row` the row, as JSON."""

    table: str
    batch: int
    ordinal: int | None
    key: str
    op: str
    reason: str
    waits: bool
    captured_at: str
    row: str


def list_set_aside(model: Model, processed: Objects, tables: Mapping[str, StarTable] | None = None) -> list[SetAside]:
    """List the rows that lie in quarantine, by table and batch."""
    newest = newest_processed(processed)
    manifest = read_processed(processed, newest) if newest else None
    with open_engine([processed]) as engine:
        return [
            SetAside(star.name, *row)
            for star in (tables or model.stars).values()
            for row in engine.execute(
                f"select {names(COLUMNS)} from {open_rows(processed, star, manifest)}"
                " order by batch, ordinal, key::varchar",
            ).fetchall()
        ]


def count_set_aside(manifest: Processed | None) -> dict[str, int]:
    """Count the rows in quarantine by star table, as a processed manifest says; tables without any are left out."""
    return {name: entry.open for name, entry in manifest.tables.items() if entry.open} if manifest else {}


@dataclass(frozen=True)
class Replay:
    """The parts that a replay works with; `clock` gives the present time in UTC, `new_id` a fresh uuid as text."""

    model: Model
    ingestion: Objects
    processed: Objects
    pointer: PointerStore
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())

    def run(self, table: str | None = None, ordinals: tuple[int, ...] = ()) -> Manifest | None:
        """Write a batch that names rows in quarantine; transform takes them up when it comes to it.

        Args:
            table: the star table, or None for all of them.
            ordinals: surrogate keys of a fact's rows, or none for all of the table's.

        Returns:
            The batch's manifest; None when nothing is there to be taken up.

        Raises:
            ConfigError: there is no such star table, or no such row in quarantine.
            OvertakenError: a poll made a batch at the same time; nothing is lost.
        """
        if table is not None and table not in self.model.stars:
            message = f"there is no star table {table!r}"
            raise ConfigError(message, advice=f"the model has {sorted(self.model.stars)}")
        chosen = {name: star for name, star in self.model.stars.items() if table in (None, name)}
        found = [row for row in list_set_aside(self.model, self.processed, chosen) if _is_chosen(row, ordinals)]
        unknown = sorted(set(ordinals) - {row.ordinal for row in found if row.ordinal is not None})
        if unknown:
            message = f"{table} has no rows with the surrogate keys {unknown} in quarantine"
            raise ConfigError(message, advice="tidemark quarantine list names those that are there")
        log = ChangeLog(self.ingestion)
        head = log.newest()
        if not found:
            return None
        if head is None:
            message = "there are rows in quarantine, but no batch in the ingestion bucket"
            raise StateError(message, advice="check TIDEMARK_INGESTION and TIDEMARK_PROCESSED")
        named: dict[str, list[int | str]] = {}
        for row in found:
            named.setdefault(row.table, []).append(row.key if row.ordinal is None else row.ordinal)
        manifest = replace(
            head,
            batch=head.batch + 1,
            run_id=self.new_id(),
            captured_at=max(head.captured_at, self.clock()),
            tables={name: carried_over(entry) for name, entry in head.tables.items()},
            replay=named,
        )
        log.commit(manifest)
        before = self.pointer.read()
        # Latest has nothing to take from this batch, so a pointer that stood at the one before may go on.
        if before and before.batch == head.batch:
            self.pointer.write(replace(before, batch=manifest.batch))
        return manifest


def _is_chosen(row: SetAside, ordinals: tuple[int, ...]) -> bool:
    return not ordinals or row.ordinal in ordinals
