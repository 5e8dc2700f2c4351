"""The steps of a dimension that knows which rows are gone: its rows that are new, changed, back or gone in a batch.

A dimension with `history` gets a version for each step, like a fact, and a tombstone where a row is gone. One with
`soft_delete` keeps the latest values and marks the row. Both are computed anew from all rows whenever one of their
source tables changed: only the whole says which row the SELECT no longer yields.
"""

from collections.abc import Mapping

from tidemark.lake.engine import WorkingTables
from tidemark.lake.files import batch_of
from tidemark.lake.sqltext import Condition, Expression, Rows, Table, names, number, quoted, same, select, union_all
from tidemark.lake.table import Change, LakeTable
from tidemark.model import StarTable
from tidemark.star import star_sql
from tidemark.star.batch import Batch, Outcome
from tidemark.star.dimensions import Dimension, judged_rows, require_one_for_each, settle
from tidemark.star.selects import yielded_by
from tidemark.star.star_manifest import star_statistics


def put_steps(batch: Batch, star: StarTable) -> Outcome:
    """Add a batch's versions to a dimension and replace the files of an earlier attempt, or merge its marked rows.

    Raises:
        DataError: the SELECT yields several rows for a key.
    """
    with batch.engine.working_tables() as tables:
        batch.sources.describe(star)
        yielded = yielded_by(batch.engine, batch.model, star)
        lake = _opened(batch, star, yielded)
        dimension = Dimension(batch, star, yielded, batch.quarantine.nothing_aside(tables))
        has_open_rows = bool(batch.quarantine.open_count(star))
        change, released = Change(), 0
        if batch.manifest.replay.get(star.name) or batch.sources.has_changes(star):
            change = _versions(dimension, lake, tables) if star.history else _marked(dimension, lake, tables)
            released = settle(dimension, tables) if has_open_rows else 0
        if star.history:
            change = Change(change.added, tuple(file for file in lake.files if batch_of(file) == batch.number))
        set_aside = batch.quarantine.set_aside(star, dimension.aside)
        return batch.outcome(star, batch.writer.commit(lake, change), [change], set_aside, released)


def _opened(batch: Batch, star: StarTable, yielded: Mapping[str, str]) -> LakeTable:
    if star.history:
        return batch.open(star, {star.key[0]: "BIGINT"}, yielded, star_sql.HISTORY)
    return batch.open(star, {}, yielded, star_sql.MARK | star_sql.BATCH)


def _versions(dimension: Dimension, lake: LakeTable, tables: WorkingTables) -> Change:
    """Write a version for each step; what an earlier attempt at this batch wrote counts for nothing."""
    batch, star = dimension.batch, dimension.star
    kept = lake.rows([file for file in lake.files if batch_of(file) != batch.number])
    surrogate = {"surrogate": quoted(star.key[0])}
    there = tables.of(select("star", "newest_versions", rows=kept, keys=names(star.row_key), **surrogate))
    last = batch.engine.value(select("star", "last_surrogate", rows=there, **surrogate))
    made = select(
        "star",
        "dimension_versions",
        last=number(int(str(last))),
        keys=names(star.row_key),
        fields=names(dimension.yielded),
        captured_at=Expression(f"timestamp {batch.captured_at}"),
        batch=number(batch.number),
        steps=_steps(dimension, lake, there, tables),
        there=there,
        same_there=same(star.row_key, "s.", "d."),
        moments=_moments(dimension, lake, tables),
        same_moment=same(star.row_key, "s.", "m."),
        **surrogate,
    )
    action = batch.writer.write(lake, made, star_statistics(star))
    return Change((action,) if action else ())


def _moments(dimension: Dimension, lake: LakeTable, tables: WorkingTables) -> Table:
    """Make the table of the moments at which the changed rows of the driving table, if there is one, say they changed.

    Every other step has the snapshot's moment: another table says nothing of when a row became what it is.
    """
    batch, star = dimension.batch, dimension.star
    state = batch.sources.states.get(star.driving)
    if state is None or not state.parts:
        return tables.empty({name: lake.columns[name] for name in star.row_key} | {"_tidemark_since": "TIMESTAMP"})
    table = batch.model.sources[star.driving]
    columns = {column.name: column for column in state.entry.columns}
    numbering = {"first": number(0), "captured_at": Expression(f"timestamp {batch.captured_at}")}
    parts = [select("star", "numbered", rows=part.rows, **numbering).rows for part in state.parts]
    dated = union_all(star_sql.dated(part, star, table, columns, batch.model) for part in parts)
    return tables.of(select("star", "moments", keys=names(star.row_key), dated=dated.rows))


def _marked(dimension: Dimension, lake: LakeTable, tables: WorkingTables) -> Change:
    """Write the files that hold the rows of the steps in their new state."""
    batch, star = dimension.batch, dimension.star
    steps = _steps(dimension, lake, lake.rows(), tables)
    parts = {"fields": names(dimension.yielded), "batch": number(batch.number), "steps": steps}
    return batch.writer.merge(lake, star, tables.of(select("star", "marked_rows", **parts)))


def _steps(dimension: Dimension, lake: LakeTable, there: Rows, tables: WorkingTables) -> Table:
    """Make the table of the steps from the rows that are `there`, one for each key, to those that the SELECT yields."""
    batch, star, found = dimension.batch, dimension.star, dimension.yielded
    limits = batch.limits[star.name]
    rows = judged_rows(dimension, tables, {name: batch.sources.states[name].there for name in star.reads})
    made = tables.of(star_sql.fitting(rows, found, limits, []))
    require_one_for_each(dimension, made, None)
    # A row that is refused may still be there.
    refused = tables.empty({name: lake.columns[name] for name in star.row_key})
    if batch.engine.count(dimension.aside):
        refused = tables.of(star_sql.refused_keys(rows, found, limits, star.row_key))
    mine, theirs = names(found, "s."), names(found, "d.")
    return tables.of(
        select(
            "star",
            "steps",
            mine=mine,
            theirs=theirs,
            is_new=Condition(f"{quoted(star.row_key[0], 'd.')} is null"),
            differs=Condition(f"row({mine}) is distinct from row({theirs})"),
            made=made,
            there=there,
            refused=refused,
            same=same(star.row_key, "s.", "d."),
            same_refused=same(star.row_key, "r.", "d."),
        )
    )
