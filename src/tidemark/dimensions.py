"""A dimension's rows in one batch: the latest values of what changed; none is deleted, since facts point at them."""

from datetime import UTC

from tidemark import star as sql
from tidemark.batch import Batch
from tidemark.lake import Change, LakeTable
from tidemark.merge import stage_merge
from tidemark.model import StarTable
from tidemark.quarantine import ASIDE
from tidemark.sqltext import names, quoted, text

SETTLED = "settled_keys"
UPSERT = "upsert"


def put_dimension(batch: Batch, star: StarTable) -> None:
    """Merge a batch's changes into a dimension.

    One with a single source is computed from the changes alone; one that joins several is computed anew when any of
    them changed, and so is one whose rows are to be taken out of quarantine.
    """
    for name in star.reads:
        batch.entry(star, name)
    batch.present(star)
    lake = batch.open(star, {}, sql.BATCH)
    _begin(batch)
    if batch.manifest.replay.get(star.name) or (len(star.reads) > 1 and any(map(batch.has_changes, star.reads))):
        lake = _upsert(batch, star, lake)
    elif batch.has_changes(star.reads[0]):
        lake = _upsert_changes(batch, star, lake)
    batch.quarantine.put(star)
    if batch.quarantine.open_count(star):
        batch.quarantine.release(
            star,
            f"select ordinal, key from {batch.quarantine.open_rows(star)}"
            f" where key::varchar in (select key::varchar from {SETTLED} union all select key::varchar from {ASIDE})",
        )
    batch.conclude(star, lake)


def put_calendar(batch: Batch, star: StarTable) -> None:
    """Add the years that the batch's facts name and the calendar lacks, each whole."""
    batch.view("calendar", "select cast(null as date) as date_id where false")
    lake = batch.open(star, {}, sql.BATCH)
    _begin(batch)
    key = quoted(star.key[0])
    known = {row[0] for row in batch.engine.execute(f"select distinct year({key}) from {lake.rows()}").fetchall()}
    missing = sorted(batch.years - known)
    if missing:
        first, last = "make_date(y, 1, 1)::timestamp", "make_date(y, 12, 31)::timestamp"
        days = f"cast(unnest(generate_series({first}, {last}, interval 1 day)) as date)"
        batch.view("calendar", f"select {days} as date_id from (select unnest({missing}::integer[]) as y)")
        lake = _upsert(batch, star, lake)
    batch.conclude(star, lake)


def _upsert_changes(batch: Batch, star: StarTable, lake: LakeTable) -> LakeTable:
    source = star.reads[0]
    columns = batch.entry(star, source).columns
    misread = sql.misread(columns)
    for each in batch.entry(star, source).objects:
        part = f"(select * from {batch.part(source, each)} where _op <> 'delete')"
        readable = f"(select * from {part} where {misread} is null)" if misread else part
        batch.view(source, sql.typed(readable, columns))
        lake = _upsert(batch, star, lake)
        if misread:
            key, row = sql.packed(batch.model.sources[source].key), sql.packed([column.name for column in columns])
            batch.engine.execute(
                f"insert into {ASIDE} select null, {key}, _op, {misread}, false, {_moment(batch)}, {row}"
                f" from {part} where {misread} is not null",
            )
    return lake


def _upsert(batch: Batch, star: StarTable, lake: LakeTable) -> LakeTable:
    """Merge what the SELECT yields now into a dimension; rows that are there already stay untouched."""
    found, limits = batch.engine.describe(star.sql), batch.limits[star.name]
    rows = sql.judged(star.sql, found, limits, {})
    fitting = sql.fitting(rows, found, limits, [])
    _set_aside(batch, star, rows, list(found))
    if batch.quarantine.open_count(star):
        batch.engine.execute(f"insert into {SETTLED} select {sql.packed(star.key)} from ({fitting})")
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


def _set_aside(batch: Batch, star: StarTable, rows: str, columns: list[str]) -> None:
    batch.engine.execute(
        f"insert into {ASIDE} select null, {sql.packed(star.key)}, 'update', _wrong, false, {_moment(batch)},"
        f" {sql.packed(columns)} from ({rows}) where _wrong is not null",
    )


def _moment(batch: Batch) -> str:
    return text(batch.manifest.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" "))


def _begin(batch: Batch) -> None:
    batch.quarantine.begin()
    batch.engine.execute(f"create or replace temp table {SETTLED} (key json)")
