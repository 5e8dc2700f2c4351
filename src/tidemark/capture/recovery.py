"""Recovery: bring latest up to the newest manifest from the log, after a poll that ended between the two."""

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine
from tidemark.log.changelog import READERS, ChangeLog, Manifest, TableEntry, manifest_key, newest_batch
from tidemark.log.columns import Column
from tidemark.log.fold import apply_from_log
from tidemark.log.latest import LatestTable, columns_of, is_there, latest_batch, open_latest
from tidemark.log.pointer import Pointer, PointerStore, misfit
from tidemark.mirror import Mirror
from tidemark.model import Model, SourceTable
from tidemark.objects import ObjectMissingError

logger = logging.getLogger(__name__)


def recover(
    engine: Engine, log: ChangeLog, model: Model, pointers: PointerStore, now: datetime
) -> tuple[Manifest | None, Pointer | None]:
    """Bring latest and the pointer up to the newest manifest, and return that manifest and the pointer.

    Raises:
        ConfigError: the log is of a mirror and the model is none, or the reverse.
        StateError: the pointer and the log do not belong together.
    """
    pointer = pointers.read()
    known = pointer.batch if pointer else 0
    head, has_batch = _newest(log, known)
    last_batch, pipeline_id = (head.batch, head.pipeline_id) if head else (0, None)
    wrong = misfit(pointer, last_batch, pipeline_id, has_batch=has_batch)
    if wrong:
        raise wrong
    if head is None:
        return None, None
    check_kind(head, model)
    bring_latest_up_to(engine, log, model.following(head.mirrored), head, known, now)
    if known != head.batch:
        polls = pointer.polls if pointer else 0
        pointer = Pointer(head.pipeline_id, head.batch, head.watermark, now, polls)
        pointers.write(pointer)
    return head, pointer


def check_kind(head: Manifest, model: Model) -> None:
    """Check that a mirror goes on with the log of a mirror, and another model with that of another model.

    Raises:
        ConfigError: the two would mix in one log, and later in one star and one warehouse.
    """
    if head.tables and bool(head.mirrored) != isinstance(model, Mirror):
        kinds = ("a mirror", "a model with facts and dimensions")
        of_log, of_model = kinds if head.mirrored else kinds[::-1]
        raise ConfigError(
            f"expected the model of the change log, which is of {of_log}, and got {of_model}",
            advice="check TIDEMARK_MODEL and --model; each of the two needs buckets and a pointer of its own"
            " (TIDEMARK_INGESTION, TIDEMARK_PROCESSED, TIDEMARK_POINTER)",
        )


def _newest(log: ChangeLog, known: int) -> tuple[Manifest | None, bool]:
    """Give the newest manifest, and whether the log has the batch that the pointer knows."""
    newest = newest_batch(log.objects, known)
    try:
        head = log.manifest(newest) if newest else None
        if not known or newest == known or log.objects.exists(manifest_key(known)):
            return head, known > 0
    except ObjectMissingError:
        pass
    return log.newest(), False


def entries_before(
    engine: Engine, log: ChangeLog, model: Model, head: Manifest | None, now: datetime
) -> dict[str, TableEntry]:
    """Give the log's last entry of each table of the model; a table that the log has never had is left out.

    If a table had left the model and is back, its latest is brought up to that entry. Its hashes cannot be trusted, so
    it is compared whole. Its ordinals go on.
    """
    if head is None:
        return {}
    found = {name: head.tables[name] for name in model.sources if name in head.tables}
    for name, table in model.sources.items():
        manifest = None if name in found else log.last_with(name, head.batch)
        if manifest:
            alone = replace(model, sources={name: table})
            bring_latest_up_to(engine, log, alone, manifest, latest_batch(log.objects, table), now)
            found[name] = replace(manifest.tables[name], hashed_by="")
    return found


def open_known(  # noqa: PLR0913, PLR0917 -- all that its caller works with
    engine: Engine,
    log: ChangeLog,
    model: Model,
    table: SourceTable,
    head: Manifest | None,
    columns: Sequence[Column],
    entry: TableEntry,
    now: datetime,
) -> LatestTable:
    """Open a table of latest that the log knows; if it is gone, or is an older one, take the rest from the log."""
    opened = open_latest(log.objects, table, columns)
    if head is None or (opened.batch and opened.batch >= entry.changed_in):
        return opened
    alone = replace(model, sources={table.name: table})
    bring_latest_up_to(engine, log, alone, head, opened.batch, now)
    return open_latest(log.objects, table, columns)


def restore_lost(
    engine: Engine, log: ChangeLog, model: Model, names: Collection[str], head: Manifest, now: datetime
) -> set[str]:
    """Restore from the log those of some tables of latest that somebody removed, and name them."""
    with ThreadPoolExecutor(max_workers=READERS) as executor:
        found = executor.map(lambda name: is_there(log.objects, model.sources[name]), names)
        lost = {name for name, is_found in zip(names, found, strict=True) if not is_found}
    for name in sorted(lost):
        open_latest(log.objects, model.sources[name], head.tables[name].columns)
        bring_latest_up_to(engine, log, replace(model, sources={name: model.sources[name]}), head, 0, now)
    return lost


def bring_latest_up_to(
    engine: Engine,
    log: ChangeLog,
    model: Model,
    head: Manifest,
    known: int,
    now: datetime,
) -> None:
    """Apply the batches that latest lacks.

    Args:
        engine: reads the log.
        log: the change log.
        model: names the tables.
        head: the newest manifest.
        known: the batch up to which the pointer says that latest is complete; 0 when it says nothing.
        now: the present time.
    """
    if known == head.batch:
        return
    reached = {name: latest_batch(log.objects, table) for name, table in model.sources.items()}
    shapes: dict[str, dict[str, str]] = {}
    for manifest in log.manifests(max(1, known), head.batch):
        for name, entry in manifest.tables.items():
            shape = columns_of(entry.columns)
            brings = entry.changes or manifest.batch == 1 or shapes.get(name, shape) != shape
            shapes[name] = shape
            if name in reached and reached[name] < manifest.batch and brings:
                logger.warning("latest %s lacks batch %d: taking it from the log", name, manifest.batch)
                apply_from_log(engine, log, model.sources[name], entry, manifest.batch, now)
