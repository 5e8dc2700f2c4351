"""Succession: how the log comes by its next batch, in an order that leaves it whole wherever a run is killed.

The manifest goes first, for by it the batch exists; then latest takes the changes; then the pointer moves. What is
missing behind the manifest is made good by the next poll.
"""

from collections.abc import Callable
from dataclasses import replace

from tidemark.log.changelog import ChangeLog, Manifest, carried_over
from tidemark.log.pointer import Pointer, PointerStore


def next_manifest(head: Manifest, run_id: str) -> Manifest:
    """Give the manifest of the batch behind `head` if nothing changes: the caller replaces what does."""
    tables = {name: carried_over(entry) for name, entry in head.tables.items()}
    return replace(head, batch=head.batch + 1, run_id=run_id, tables=tables, replay={})


def succeed(
    log: ChangeLog,
    pointers: PointerStore,
    manifest: Manifest,
    apply: Callable[[], None] | None = None,
    pointed: Callable[[], Pointer] | None = None,
) -> None:
    """Make a batch exist, bring latest up to it, and move the pointer.

    Args:
        log: the change log.
        pointers: where the pointer is kept.
        manifest: the batch's.
        apply: brings latest up to the batch; None where it has nothing to take from it.
        pointed: gives the pointer, once latest is up to date. Where it is None, a pointer that stood at the batch
            before goes on by one; any other stays, for the next poll to bring latest up from there.

    Raises:
        OvertakenError: another run made a batch of that number first; nothing was changed.
    """
    log.commit(manifest)
    if apply:
        apply()
    if pointed:
        pointers.write(pointed())
        return
    before = pointers.read()
    if before and before.batch == manifest.batch - 1:
        pointers.write(replace(before, batch=manifest.batch, watermark=manifest.watermark))
