"""The agreement of source and model: the columns of this snapshot, once the contract is found to hold."""

import logging

from tidemark.capture.source import Snapshot
from tidemark.errors import ContractError
from tidemark.lake.engine import Engine
from tidemark.log.changelog import Manifest
from tidemark.log.columns import Column, broken_terms, describe_drift
from tidemark.model import Model, SourceTable
from tidemark.star.binding import unreadable

logger = logging.getLogger(__name__)


def agreed_columns(
    engine: Engine, model: Model, snapshot: Snapshot, head: Manifest | None
) -> dict[str, tuple[Column, ...]]:
    """Give the columns of each table of the model; what they differ in from the last batch is logged.

    Raises:
        ContractError: the model cannot read the source as it is; every reason is named.
        ConfigError: a SELECT of the model is wrong, whatever the source is.
    """
    known = {name: entry.columns for name, entry in head.tables.items()} if head else {}
    columns = {name: snapshot.columns(table) for name, table in model.sources.items()}
    broken = [term for table in model.sources.values() for term in _broken(table, snapshot, known.get(table.name, ()))]
    for name, found in columns.items():
        for sentence in describe_drift(name, known[name], found) if name in known else ():
            logger.warning(sentence)
    if not broken:
        changed = {name for name, found in columns.items() if name in known and known[name] != found}
        broken = unreadable(engine, model, columns, changed)
    if broken:
        advice = "nothing was written: bring it back in the source, or mend the model, and run again"
        raise ContractError("; ".join(broken), advice=advice, problems=broken)
    return columns


def _broken(table: SourceTable, snapshot: Snapshot, before: tuple[Column, ...]) -> list[str]:
    columns = snapshot.columns(table)
    broken = broken_terms(table.name, table.key, table.moments, columns, before)
    if not broken and not snapshot.has_unique_key(table):
        broken.append(
            f"source table {table.name!r} has no unique index over its key {list(table.key)}, all of it not null"
        )
    return broken
