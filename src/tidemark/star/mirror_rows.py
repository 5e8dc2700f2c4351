"""A mirrored table's rows in one batch: every change of the source table is a version, with the source's own texts.

No value is read, so none can be refused: the lake keeps PostgreSQL's text of each, and the warehouse reads it back.
"""

from collections.abc import Sequence
from dataclasses import replace

from deltalake.transaction import AddAction

from tidemark.errors import StateError
from tidemark.lake.files import batch_of, rows_of
from tidemark.lake.sqltext import (
    Expression,
    Fields,
    Rows,
    Select,
    converted,
    listed,
    named_as,
    number,
    quoted,
    select,
)
from tidemark.lake.table import Change, LakeTable
from tidemark.mirror import CHANGE, history_columns
from tidemark.model import MirroredTable, StarTable
from tidemark.star import star_sql
from tidemark.star.batch import Batch, Outcome
from tidemark.star.facts import in_turns, may_repeat, spans


def put_mirrored(batch: Batch, star: StarTable, table: MirroredTable) -> Outcome:
    """Add a batch's versions to a mirrored table, and replace the files of an earlier attempt at this batch.

    Raises:
        StateError: an object of the log does not hold as many changes as its manifest says.
    """
    types = dict.fromkeys(history_columns(table).values(), "VARCHAR")
    lake = batch.writer.open(star, {CHANGE: "BIGINT", **types, **star_sql.HISTORY})
    own = [file for file in lake.files if batch_of(file) == batch.number]
    kept = [file for file in lake.files if file not in own]
    state = batch.sources.states[star.driving]
    source = batch.model.sources[star.driving]
    moment = Expression(f"timestamp {batch.captured_at}")
    added = list[AddAction]()
    ordinal, repeated = state.entry.first_ordinal, False
    for part in state.parts:
        numbered = select("star", "numbered", first=number(ordinal), captured_at=moment, rows=part.rows).rows
        before = len(added)
        with batch.engine.working_tables() as tables:
            turns = in_turns(batch.engine, tables, source, state, numbered)
            repeated = repeated or len(turns) > 1
            for rows in (span for turn in turns for span in spans(turn, part.source.rows)):
                written = [*kept, *(action.path for action in added)] if may_repeat(source, state) else kept
                made = _versions(batch, star, table, lake, written, rows)
                action = batch.writer.write(lake, made, [CHANGE, "batch_id"])
                added += [action] if action else []
        found = sum(map(rows_of, added[before:]))
        if found != part.source.rows:
            message = f"{part.source.key} has {found} changes, its manifest says {part.source.rows}"
            raise StateError(message, advice="restore it from the bucket's older versions", table=star.name)
        ordinal += part.source.rows
    change = Change(tuple(added), tuple(own))
    outcome = batch.outcome(star, batch.writer.commit(lake, change), [change], 0, 0)
    return replace(outcome, entry=replace(outcome.entry, repeated=repeated))


def _versions(
    batch: Batch, star: StarTable, table: MirroredTable, lake: LakeTable, written: Sequence[str], part: Rows
) -> Select:
    fields = _fields(batch, star, table)
    parts = {"surrogate": quoted(CHANGE), "fields": fields, "batch": number(batch.number), "part": part}
    if not written:
        # No version comes before these, so each begins with the snapshot.
        return select("star", "first_mirrored", **parts)
    source = batch.model.sources[star.driving]
    columns = {column.name: column for column in batch.sources.states[star.driving].entry.columns}
    beside = star_sql.neighbours(lake.rows(written), star, part, source, columns, None)
    history = star_sql.versions(part, star, source, columns, batch.model, beside.rows)
    return select("star", "mirrored", **parts, history=history.rows)


def _fields(batch: Batch, star: StarTable, table: MirroredTable) -> Fields:
    known = {column.name for column in batch.sources.states[star.driving].entry.columns}
    return listed(
        named_as(converted(quoted(column, "p.") if column in known else Expression("null"), "varchar"), name)
        for column, name in history_columns(table).items()
    )
