"""What a poll does for a mirror alone: tables that come and go, and the words for it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from tidemark.capture.comparison import capture_changes
from tidemark.capture.dropped import DroppedTable
from tidemark.capture.poll import Captured, Poll, TableOfLatest
from tidemark.lake.table import Change
from tidemark.log.changelog import Manifest, TableEntry, carried_over
from tidemark.log.columns import Column, describe_drift
from tidemark.log.latest import open_latest
from tidemark.mirror import Mirror
from tidemark.model import Model
from tidemark.postgres.widening import holding

logger = logging.getLogger(__name__)


def with_mirrored(
    model: Model, found: Mapping[str, Captured], columns: Mapping[str, Sequence[Column]]
) -> dict[str, Captured]:
    """Say in the entries of a mirror which columns each table has and had, with types that hold all they had."""
    if not isinstance(model, Mirror):
        return dict(found)
    known = model.tables
    types = {
        name: {each.name: holding(known[name].columns.get(each.name, ""), each.type) for each in columns[name]}
        for name in found
    }
    mirrors = {name: replace(known[name], columns={**known[name].columns, **types[name]}) for name in found}
    return {name: replace(each, entry=replace(each.entry, mirror=mirrors[name])) for name, each in found.items()}


def unfollowed(model: Model, poll: Poll, entries: Mapping[str, TableEntry]) -> dict[str, Captured]:
    """Carry on the tables of a mirror that are not polled; of one that the source dropped every row is deleted."""
    if not isinstance(model, Mirror):
        return {}
    found = {}
    for name, table in model.tables.items():
        if table.is_followed:
            continue
        entry, source = entries[name], model.sources[name]
        captured = Captured(carried_over(entry), None, Change())
        if table.is_dropped and entry.rows:
            latest = partial(open_latest, poll.log.objects, source, entry.columns)
            gone = replace(poll, snapshot=DroppedTable(poll.snapshot, entry.columns))
            captured = capture_changes(
                gone, TableOfLatest(source, latest), entry.columns, entry, since=None, sweeps=True
            )()
        found[name] = replace(captured, entry=replace(captured.entry, mirror=table))
    return found


def drift_of(head: Manifest | None, captured: Mapping[str, Captured]) -> list[str]:
    """Say, in one sentence each, how tables changed their shape; of a mirror also which came and which went."""
    before = head.tables if head else {}
    drift = []
    for name, each in captured.items():
        mirror, known = each.entry.mirror, before.get(name)
        if known is None:
            drift += [f"{name} is new: taken along"] if mirror and head else []
            continue
        drift += describe_drift(name, known.columns, each.entry.columns)
        if mirror and known.mirror and mirror.is_followed != known.mirror.is_followed:
            went = "is gone: its rows end here" if mirror.is_dropped else "is left out: it stays as it is"
            drift.append(f"{name} {'is back' if mirror.is_followed else went}")
    return drift


def warn_of_left_out(left_out: Mapping[str, str], head: Manifest | None) -> None:
    """Name the tables that a mirror cannot have, each once."""
    known = head.left_out if head else {}
    for name, reason in left_out.items():
        if known.get(name) != reason:
            logger.warning("%s is not mirrored: %s", name, reason)
