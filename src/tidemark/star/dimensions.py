"""A dimension's rows in one batch: the latest values of what changed; none is deleted, since facts point at them."""

from collections.abc import Mapping
from datetime import UTC

from tidemark.lake.merge import stage_merge
from tidemark.lake.sqltext import names, quoted, text
from tidemark.lake.table import Change, LakeTable
from tidemark.model import StarTable
from tidemark.star import star_sql as sql
from tidemark.star.batch import Batch
from tidemark.star.quarantine import ASIDE
from tidemark.star.unreadable_values import with_doubts

STAYING = "staying_rows"
UPSERT = "upsert"


def put_dimension(batch: Batch, star: StarTable) -> None:
    """Merge a batch's changes into a dimension.

    One with a single source is computed from the changes alone; one that joins several is computed anew when any of
    them changed, and so is one of which rows lie in quarantine.
    """
    for name in star.reads:
        batch.entry(star, name)
    batch.present(star)
    lake = batch.open(star, {}, sql.BATCH)
    batch.quarantine.begin()
    is_changed, lies_aside = any(map(batch.has_changes, star.reads)), bool(batch.quarantine.open_count(star))
    if batch.manifest.replay.get(star.name) or (is_changed and (lies_aside or len(star.reads) > 1)):
        lake = _upsert(batch, star, lake, {})
        if lies_aside:
            _settle(batch, star)
    elif is_changed:
        source = star.reads[0]
        for each in batch.entry(star, source).objects:
            part = f"(select * from {batch.part(source, each)} where _op <> 'delete')"
            lake = _upsert(batch, star, lake, {source: part})
    batch.quarantine.put(star)
    batch.conclude(star, lake)


def put_calendar(batch: Batch, star: StarTable) -> None:
    """Add the years that the batch's facts name and the calendar lacks, each whole."""
    batch.view("calendar", "select cast(null as date) as date_id where false")
    lake = batch.open(star, {}, sql.BATCH)
    batch.quarantine.begin()
    key = quoted(star.key[0])
    known = {row[0] for row in batch.engine.execute(f"select distinct year({key}) from {lake.rows()}").fetchall()}
    missing = sorted(batch.years - known)
    if missing:
        first, last = "make_date(y, 1, 1)::timestamp", "make_date(y, 12, 31)::timestamp"
        days = f"cast(unnest(generate_series({first}, {last}, interval 1 day)) as date)"
        batch.view("calendar", f"select {days} as date_id from (select unnest({missing}::integer[]) as y)")
        lake = _upsert(batch, star, lake, {})
    batch.conclude(star, lake)


def _upsert(batch: Batch, star: StarTable, lake: LakeTable, changed: Mapping[str, str]) -> LakeTable:
    """Merge what the SELECT yields into a dimension; rows that are there already stay untouched.

    `changed` are FROM items that stand for whole source tables.
    """
    found, limits = batch.engine.describe(star.sql), batch.limits[star.name]
    rows = with_doubts(batch, star, sql.judged(star.sql, found, limits, {}), star.key, changed, star.reads)
    fitting = sql.fitting(rows, found, limits, [])
    moment = text(batch.manifest.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" "))
    batch.engine.execute(
        f"insert into {ASIDE} select null, {sql.packed(star.key)}, 'update', _wrong, false, {moment},"
        f" {sql.packed(list(found))} from ({rows}) where _wrong is not null",
    )
    number = f"{batch.number}::bigint as batch_id"
    if not lake.files:
        action = batch.write(lake, f"select *, {number} from ({fitting})", ["batch_id"])
        return batch.apply(lake, Change((action,) if action else ()))
    mine, theirs, keys = names(found, "s."), names(found, "d."), names(star.key)
    on = " and ".join(f"s.{quoted(name)} = d.{quoted(name)}" for name in star.key)
    is_new = f"d.{quoted(star.key[0])} is null"
    batch.engine.execute(
        f"create or replace temp table {UPSERT} as with _new as ({fitting}),"
        f" _known as (select * from {lake.rows()} semi join _new using ({keys}))"
        f" select {mine}, {number}, case when {is_new} then 'insert' else 'update' end as _op"
        f" from _new as s left join _known as d on {on} where {is_new} or row({mine}) is distinct from row({theirs})",
    )
    now = batch.now_milliseconds()
    change = stage_merge(
        batch.engine, lake, star.key, UPSERT, batch=batch.number, now_milliseconds=now, statistics=["batch_id"]
    )
    return batch.apply(lake, change)


def _settle(batch: Batch, star: StarTable) -> None:
    """Take rows out of quarantine: all but those that were refused again as they are and for the same reason.

    One that is no longer in the source has nothing left to be mended.
    """
    same, lying = "concat_ws(' ', key, reason, row)", batch.quarantine.open_rows(star)
    again = f"select {same} as same from {lying} intersect select {same} from {ASIDE}"
    batch.engine.execute(f"create or replace temp table {STAYING} as {again}")
    staying = f"{same} in (select same from {STAYING})"
    batch.engine.execute(f"delete from {ASIDE} where {staying}")
    batch.quarantine.release(star, f"select ordinal, key from {lying} where not {staying}")
