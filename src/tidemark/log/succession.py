"""Succession: add the next batch to the log, in an order that leaves the log whole wherever a run is killed.

The manifest comes first, because it makes the batch exist. Then latest takes the changes, then the pointer moves. If a
run ends after the manifest, the next poll does what is missing.
"""

from collections.abc import Callable
from dataclasses import replace

from tidemark.log.changelog import ChangeLog, Manifest, carried_over
from tidemark.log.pointer import Pointer, PointerStore


def next_manifest(head: Manifest, run_id: str) -> Manifest:
    """Give the manifest of the batch after `head` as if nothing changed; the caller replaces what does."""
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
        manifest: the manifest of the batch.
        apply: brings latest up to the batch; None if the batch changes nothing in latest.
        pointed: gives the new pointer, once latest is up to date; it may bring it there itself. If it is None, a
            pointer at the batch before moves on by one. Any other pointer stays, so that the next poll brings latest up
            from there.

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
        # If latest has changed, its sums are no longer known.
        sums = None if apply else before.sums
        pointers.write(replace(before, batch=manifest.batch, watermark=manifest.watermark, sums=sums))
