"""Recovery: bringing latest up to the newest manifest from the log, after a poll that ended between the two."""

import logging
from datetime import datetime

from tidemark import diff
from tidemark.changelog import ChangeLog, Manifest, TableEntry
from tidemark.engine import Engine
from tidemark.errors import OvertakenError
from tidemark.lake import Change
from tidemark.latest import LatestTable, latest_batch, open_latest, stage_changes
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects
from tidemark.sqltext import from_json, names

logger = logging.getLogger(__name__)
ATTEMPTS = 5


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
    for manifest in log.manifests(max(1, known), head.batch):
        for name, entry in manifest.tables.items():
            if name in reached and reached[name] < manifest.batch and (entry.changes or manifest.batch == 1):
                logger.warning("latest %s lacks batch %d: taking it from the log", name, manifest.batch)
                apply_from_log(engine, log, model.sources[name], entry, manifest.batch, now)


def apply_from_log(  # noqa: PLR0913 -- the caller's whole world
    engine: Engine,
    log: ChangeLog,
    table: SourceTable,
    entry: TableEntry,
    batch: int,
    now: datetime,
    *,
    into: Objects | None = None,
) -> None:
    """Apply one batch of one table to latest out of the log's objects; its rows have no hash until the next sweep.

    Args:
        engine: reads the log.
        log: the change log.
        table: the source table.
        entry: the batch's changes to it.
        batch: the batch's number.
        now: the present time.
        into: where that latest lies, if not beside the log.

    Raises:
        OvertakenError: others changed that table of latest again and again, none of them with this batch.
    """
    for attempt in range(ATTEMPTS):
        latest = open_latest(into or log.objects, table, entry.columns)
        if latest.batch >= batch:
            return
        change = _staged(engine, log, latest, entry, batch, now)
        try:
            latest.lake.commit(change, batch=batch)
        except OvertakenError:
            # Another recovery of the same batch, or a commit that only moved rows between files.
            logger.info("latest %s was changed by another run at the same time", table.name)
            if attempt + 1 == ATTEMPTS:
                raise


def _staged(
    engine: Engine, log: ChangeLog, latest: LatestTable, entry: TableEntry, batch: int, now: datetime
) -> Change:
    table = latest.source
    types = {column.name: column.log_type for column in entry.columns}
    for statement in diff.create_tables(types, table.key):
        engine.execute(statement)
    copies = [engine.new_file(".jsonl") for _ in entry.objects]
    files = [str(log.verified(each, copy)) for each, copy in zip(entry.objects, copies, strict=True)]
    operation = "'insert'" if batch == 1 else "_op"
    lines = from_json(files, types if batch == 1 else types | {"_op": "VARCHAR"})
    engine.execute(
        f"insert into {diff.CHANGE} select {names(types)}, null, {operation}, null, null from {lines}",
    )
    for copy in copies:
        copy.unlink(missing_ok=True)
    return stage_changes(engine, latest, diff.CHANGE, batch=batch, now_milliseconds=int(now.timestamp() * 1000))
