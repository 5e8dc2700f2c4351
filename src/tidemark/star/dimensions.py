"""A dimension's rows in one batch: the latest values of what changed. None is deleted, because facts refer to them.

Which rows are gone only a dimension with `history` or `soft_delete` says: see `dimension_steps`.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tidemark.errors import DataError
from tidemark.lake.engine import WorkingTables
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Fields,
    Rows,
    Select,
    Table,
    names,
    number,
    numbers,
    quoted,
    same,
    select,
    statement,
    text,
    tried,
)
from tidemark.lake.table import Change, LakeTable
from tidemark.model import StarTable
from tidemark.star import star_sql
from tidemark.star.batch import Batch, Outcome
from tidemark.star.selects import yielded_by
from tidemark.star.unreadable_values import present_and_doubt, sample_of

# Two rows in quarantine that agree in this are the same row, set aside for the same reason.
IDENTITY = Expression("concat_ws(' ', key, reason, row)")


@dataclass(frozen=True)
class Dimension:
    """A dimension in one batch; `yielded` has its SELECT's columns, `aside` the rows that the star cannot take."""

    batch: Batch
    star: StarTable
    yielded: Mapping[str, str]
    aside: Table


def put_dimension(batch: Batch, star: StarTable) -> Outcome:
    """Merge a batch's changes into a dimension.

    A dimension that reads one source table is computed from the changes alone. When a source table changed, a dimension
    that reads several tables or has open rows in quarantine is computed anew from all rows. So is one whose open rows
    the batch names.
    """
    with batch.engine.working_tables() as tables:
        batch.sources.describe(star)
        dimension, lake = _opened(batch, star, tables)
        is_changed, has_open_rows = batch.sources.has_changes(star), bool(batch.quarantine.open_count(star))
        changes: list[Change] = []
        released = 0
        if batch.manifest.replay.get(star.name) or (is_changed and (has_open_rows or len(star.reads) > 1)):
            change, lake = _upsert(dimension, lake, {})
            changes.append(change)
            released = settle(dimension, tables) if has_open_rows else 0
        elif is_changed:
            source = star.reads[0]
            parts = batch.sources.states[source].parts
            seen = tables.empty({name: lake.columns[name] for name in star.key}) if len(parts) > 1 else None
            for part in parts:
                kept = select("star", "not_deleted", rows=part.rows).rows
                change, lake = _upsert(dimension, lake, {source: kept}, seen)
                changes.append(change)
        set_aside = batch.quarantine.set_aside(star, dimension.aside)
        return batch.outcome(star, lake, changes, set_aside, released)


def put_calendar(batch: Batch, star: StarTable, years: Collection[int]) -> Outcome:
    """Add each year that the batch's facts name and the calendar lacks, as a whole year.

    When a year is added, or when the batch names the calendar's open rows, the years of these rows are computed anew.
    """
    with batch.engine.working_tables() as tables:
        batch.engine.view("calendar", select("files", "nothing", fields=Fields("cast(null as date) as date_id")))
        dimension, lake = _opened(batch, star, tables)
        known = _years(batch, select("star", "years", years=star_sql.years(star.key), rows=lake.rows()))
        missing = set(years) - known
        released, changes = 0, list[Change]()
        has_open_rows = bool(batch.quarantine.open_count(star))
        if missing or batch.manifest.replay.get(star.name):
            if has_open_rows:
                day = tried(Expression(f"(key->>{text(star.key[0])})"), "date")
                open_rows = batch.quarantine.open_table(star, tables)
                missing |= _years(batch, select("star", "years", years=Fields(f"year({day})"), rows=open_rows))
            batch.engine.view("calendar", select("star", "days_of_years", years=numbers(sorted(missing))))
            change, lake = _upsert(dimension, lake, {})
            changes.append(change)
            released = settle(dimension, tables) if has_open_rows else 0
        set_aside = batch.quarantine.set_aside(star, dimension.aside)
        outcome = batch.outcome(star, lake, changes, set_aside, released)
        return replace(outcome, entry=replace(outcome.entry, years=tuple(sorted(known | missing))))


def _opened(batch: Batch, star: StarTable, tables: WorkingTables) -> tuple[Dimension, LakeTable]:
    yielded = yielded_by(batch.engine, batch.model, star)
    lake = batch.open(star, {}, yielded, star_sql.BATCH)
    return Dimension(batch, star, yielded, batch.quarantine.nothing_aside(tables)), lake


def _years(batch: Batch, found: Select) -> set[int]:
    return {row[0] for row in batch.engine.execute(found).fetchall()}


def _upsert(
    dimension: Dimension, lake: LakeTable, instead: Mapping[str, Rows], seen: Table | None = None
) -> tuple[Change, LakeTable]:
    """Merge the rows that the SELECT yields into a dimension; a row that is there with the same values is not written.

    Args:
        dimension: the dimension.
        lake: its Delta table.
        instead: see `SourceTables.present`.
        seen: gets the keys of the batch's parts; None where there is one part.

    Returns:
        What was committed, and the table as it is after that.

    Raises:
        DataError: the SELECT yields several rows for a key.
    """
    batch, star = dimension.batch, dimension.star
    engine = batch.engine
    with engine.working_tables() as tables:
        rows = judged_rows(dimension, tables, instead)
        fitting = star_sql.fitting(rows, dimension.yielded, batch.limits[star.name], [])
        if not lake.files:
            action = batch.writer.write(lake, _numbered(fitting, batch.number), ["batch_id"])
            change = Change((action,) if action else ())
            require_one_for_each(dimension, made := lake.rows([each.path for each in change.added]), seen)
        else:
            made = tables.of(fitting)
            changed = tables.of(_changed(dimension, lake, made))
            own = select("files", "with_keys_of", rows=made, others=changed, keys=names(star.key))
            require_one_for_each(dimension, own.rows, seen)
            change = batch.writer.merge(lake, star, changed)
        if seen:
            engine.execute(statement("star", "note_keys", seen=seen, keys=names(star.key), rows=made))
    return change, batch.writer.commit(lake, change)


def judged_rows(dimension: Dimension, tables: WorkingTables, instead: Mapping[str, Rows]) -> Rows:
    """Give the rows that the SELECT yields, judged, and note for quarantine those that the star cannot take.

    For `instead` see `SourceTables.present`.
    """
    batch, star, found = dimension.batch, dimension.star, dimension.yielded

    def judged(made: Select) -> Select:
        return star_sql.judged(made, found, batch.limits[star.name], {})

    sample = sample_of(batch.sources, star, star.reads, instead)
    rows = present_and_doubt(batch.sources, tables, star, instead, judged, star.row_key, sample).rows
    batch.engine.execute(
        statement(
            "quarantine",
            "refused_rows",
            aside=dimension.aside,
            key=star_sql.packed(star.row_key),
            captured_at=batch.captured_at,
            row=star_sql.packed(list(found)),
            rows=rows,
        )
    )
    return rows


def require_one_for_each(dimension: Dimension, rows: Rows, seen: Table | None) -> None:
    """Raise DataError if a key has several of the rows that are to be written, or had one in an earlier part."""
    star, engine, keys = dimension.star, dimension.batch.engine, names(dimension.star.row_key)
    packed = star_sql.packed(star.row_key)
    twice = engine.value(select("star", "repeated", key=packed, rows=rows, keys=keys))
    if twice is None and seen:
        twice = engine.value(
            select(
                "files",
                "fields",
                fields=packed,
                rows=select("files", "with_keys_of", rows=rows, others=seen, keys=keys).rows,
            )
        )
    if twice is not None:
        shown = ", ".join(f"{name} {value}" for name, value in json.loads(str(twice)).items())
        message = (
            f"{star.name} has several rows for {shown} in batch {dimension.batch.number}: expected one for each key"
        )
        advice = f"mend {star.path}.sql: it gives one key to several rows; `tidemark doctor` names a type that does so"
        raise DataError(message, advice=advice, table=star.name)


def _numbered(rows: Select, batch: int) -> Select:
    return select("star", "with_batch", batch=number(batch), rows=rows.rows)


def _changed(dimension: Dimension, lake: LakeTable, made: Rows) -> Select:
    """Write the SELECT of the rows that are new or have other values than before, with `_op` as a merge needs it."""
    star, found = dimension.star, dimension.yielded
    mine, theirs = names(found, "s."), names(found, "d.")
    is_new = f"{quoted(star.key[0], 'd.')} is null"
    return select(
        "star",
        "changed_rows",
        made=made,
        fields=mine,
        batch=number(dimension.batch.number),
        is_new=Condition(is_new),
        there=lake.rows(),
        keys=names(star.key),
        same=same(star.key, "s.", "d."),
        differs=Condition(f"row({mine}) is distinct from row({theirs})"),
    )


def settle(dimension: Dimension, tables: WorkingTables) -> int:
    """Release all open rows but those that were refused again with the same values and for the same reason.

    A row that is no longer in the source is released as well: nothing is left to mend.
    """
    batch, aside = dimension.batch, dimension.aside
    opened = batch.quarantine.open_table(dimension.star, tables)
    staying = tables.of(select("quarantine", "staying_rows", same=IDENTITY, open_rows=opened, aside=aside))
    batch.engine.execute(statement("quarantine", "drop_staying_rows", aside=aside, same=IDENTITY, staying=staying))
    leaving = select("quarantine", "leaving_rows", open_rows=opened, same=IDENTITY, staying=staying)
    return batch.quarantine.release(dimension.star, leaving)
