"""Contract check: give the columns of the source tables in a snapshot, if the contract with the model holds."""

import logging
from collections.abc import Mapping

from tidemark.capture.snapshot import Snapshot
from tidemark.errors import contract_error
from tidemark.log.changelog import Manifest
from tidemark.log.columns import Column, broken_terms, describe_drift
from tidemark.model import SourceTable

logger = logging.getLogger(__name__)


def agreed_columns(
    sources: Mapping[str, SourceTable], snapshot: Snapshot, head: Manifest | None
) -> dict[str, tuple[Column, ...]]:
    """Give the columns of each source table, and log how they differ from those of the last batch.

    Raises:
        ContractError: a table cannot be read as the model says; every reason is named.
    """
    known = {name: entry.columns for name, entry in head.tables.items()} if head else {}
    columns = {name: snapshot.columns(table) for name, table in sources.items()}
    broken = [term for table in sources.values() for term in _broken(table, snapshot, known.get(table.name, ()))]
    for name, found in columns.items():
        drift = describe_drift(name, known[name], found) if name in known else []
        if sources[name].evolve == "stop":
            broken += [f'{sentence}, and the model says evolve = "stop"' for sentence in drift]
        else:
            level = logging.INFO if sources[name].evolve == "follow" else logging.WARNING
            for sentence in drift:
                logger.log(level, sentence)
    if broken:
        raise contract_error(broken)
    return columns


def _broken(table: SourceTable, snapshot: Snapshot, before: tuple[Column, ...]) -> list[str]:
    obstacle = snapshot.obstacle(table)
    if obstacle:
        return [obstacle]
    columns = snapshot.columns(table)
    broken = broken_terms(table.name, table.key, table.moments, columns, before)
    broken += snapshot.faults_of_choice(table) if columns else []
    if not broken and not snapshot.has_unique_key(table):
        broken.append(
            f"source table {table.name!r} has no unique index over its key {list(table.key)}, with all columns not null"
        )
    return broken
