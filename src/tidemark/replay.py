"""Replay: a batch without changes of source tables, which names rows in quarantine for transform to take up again.

It is a batch of the log like any other, so a rebuild takes the rows up again at the same place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tidemark.errors import ConfigError, StateError
from tidemark.log.changelog import ChangeLog, Manifest, new_id
from tidemark.log.pointer import PointerStore
from tidemark.log.succession import next_manifest, succeed
from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.star.quarantine_report import SetAside, list_set_aside, star_tables
from tidemark.star.star_log import StarLog


@dataclass(frozen=True)
class Replayed:
    """What a replay did: its batch, or None if there was no row to name, and the rows that it names, by star table.

    `waiting` are the earlier replays that are not transformed yet.
    """

    batch: int | None
    rows: Mapping[str, int]
    waiting: tuple[int, ...] = ()


@dataclass(frozen=True)
class Replay:
    """The parts that a replay works with; `new_id` gives a fresh uuid as text."""

    model: Model
    ingestion: Objects
    processed: Objects
    pointer: PointerStore
    new_id: Callable[[], str] = new_id

    def run(self, table: str | None = None, ordinals: Sequence[int] = ()) -> Replayed:
        """Write a batch that names rows in quarantine; transform takes them up when it comes to it.

        Args:
            table: the star table, or None for all of them.
            ordinals: surrogate keys of rows of that fact; if empty, all open rows of the table.

        Raises:
            ConfigError: there is no such star table, or no such row in quarantine.
            OvertakenError: a poll made a batch at the same time; nothing is lost.
        """
        if ordinals and table is None:
            message = "surrogate keys are given, but not the fact that they belong to"
            raise ConfigError(message, advice="name the fact before them")
        found = list_set_aside(star_tables(self.model, table), self.processed, ordinals=ordinals)
        unknown = sorted(set(ordinals) - {row.ordinal for row in found})
        if unknown:
            message = f"{table} has no rows with the surrogate keys {unknown} in quarantine"
            raise ConfigError(message, advice="tidemark quarantine show names those that are there")
        log = ChangeLog(self.ingestion)
        head = log.newest()
        if not found:
            return Replayed(None, {})
        if head is None:
            message = "there are rows in quarantine, but no batch in the ingestion bucket"
            raise StateError(message, advice="check TIDEMARK_INGESTION and TIDEMARK_PROCESSED")
        waiting = [
            each for each in log.manifests(StarLog(self.processed).newest_batch() + 1, head.batch) if each.replay
        ]
        named = _named(found, waiting)
        batches = tuple(each.batch for each in waiting)
        if not named:
            return Replayed(None, {}, batches)
        # Nothing was read from the source, so snapshot, time and watermark are those of the last poll.
        succeed(log, self.pointer, replace(next_manifest(head, self.new_id()), replay=named))
        return Replayed(head.batch + 1, {name: len(rows) for name, rows in named.items()}, batches)


def _named(found: Sequence[SetAside], waiting: Sequence[Manifest]) -> dict[str, list[int | str]]:
    """Give, by star table, the names of the rows, without rows that an earlier, not yet transformed replay names."""
    named: dict[str, list[int | str]] = {}
    for row in found:
        name = row.key if row.ordinal is None else row.ordinal
        if not any(name in each.replay.get(row.table, ()) for each in waiting):
            named.setdefault(row.table, []).append(name)
    return named
