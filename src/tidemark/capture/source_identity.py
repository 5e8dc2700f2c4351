"""The identity of the source: which database the log belongs to, and the record of a deliberate move to another."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from tidemark.capture.source import SourceIdentity, open_source
from tidemark.errors import StateError
from tidemark.log.changelog import ChangeLog, Manifest, new_id
from tidemark.log.pointer import PointerStore
from tidemark.log.succession import next_manifest, succeed
from tidemark.objects import Objects


def check_identity(head: Manifest | None, identity: SourceIdentity) -> None:
    """Check that the source is the database that the log belongs to.

    Raises:
        StateError: it is another server or database.
    """
    if head is None:
        return
    before, now = _place(head), (identity.system_identifier, identity.database)
    if before != now:
        message = (
            f"the source is database {now[1]!r} of system {now[0]}, but the manifests are of database {before[1]!r}"
            f" of system {before[0]}"
        )
        advice = "check TIDEMARK_SOURCE_URL; after a deliberate move of the source: tidemark init --new-source"
        raise StateError(message, advice=advice)


@dataclass(frozen=True)
class Move:
    """A move of the source from one database to another, each given as its system identifier and its name.

    `batch` is the batch that records the move, None if no batch does.
    """

    before: tuple[str, str] | None
    now: tuple[str, str]
    batch: int | None = None

    @property
    def is_one(self) -> bool:
        """Say whether the source is another database than the log's; before the first batch, any database is right."""
        return self.before is not None and self.before != self.now


@dataclass(frozen=True)
class NewSource:
    """The parts that record a move; `clock` gives the present time in UTC, `new_id` a fresh uuid as text."""

    source_url: str
    ingestion: Objects
    pointer: PointerStore
    clock: Callable[[], datetime]
    new_id: Callable[[], str] = new_id

    def run(self, *, dry_run: bool = False) -> Move:
        """Write a batch without changes that records the new source's identity, if the source is another database.

        The batch has no watermark, and its hashes count for nothing, so the next poll compares every row of every table
        as text.

        Raises:
            OvertakenError: a poll made a batch at the same time; nothing is lost.
        """
        with open_source(self.source_url) as source:
            identity = source.identity()
        log = ChangeLog(self.ingestion)
        head = log.newest()
        move = Move(_place(head) if head else None, (identity.system_identifier, identity.database))
        if head is None or not move.is_one or dry_run:
            return move
        following = next_manifest(head, self.new_id())
        manifest = replace(
            following,
            source=asdict(identity),
            captured_at=max(head.captured_at, self.clock()),
            watermark=None,
            tables={name: replace(entry, swept=False, hashed_by="") for name, entry in following.tables.items()},
            is_floor_known=False,
        )
        succeed(log, self.pointer, manifest)
        return replace(move, batch=manifest.batch)


def _place(manifest: Manifest) -> tuple[str, str]:
    return manifest.source["system_identifier"], manifest.source["database"]
