"""A fact's rows in one batch: the driving table's changes, dated, judged, and numbered by their place in the log."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from deltalake.transaction import AddAction

from tidemark.errors import DataError
from tidemark.lake.sqltext import names, quoted, text
from tidemark.lake.table import Change, LakeTable, open_table
from tidemark.log.changelog import TableEntry
from tidemark.model import SourceTable, StarTable
from tidemark.star import star_sql as sql
from tidemark.star.batch import Batch
from tidemark.star.quarantine import ASIDE
from tidemark.star.unreadable_values import with_doubts

logger = logging.getLogger(__name__)
OPEN = "open_rows"
RETRIED = "retried_rows"
STAYING = "staying_rows"


@dataclass
class _Fact:
    """One fact on its way into one batch."""

    batch: Batch
    star: StarTable
    table: SourceTable
    entry: TableEntry
    lake: LakeTable
    found: Mapping[str, str]
    references: Mapping[str, str]
    kept: list[str]
    added: list[AddAction]

    def take(self, part: str) -> int:
        """Write the rows of a part that the star can take, note the others, and return how many were written."""
        batch, star, limits = self.batch, self.star, self.batch.limits[self.star.name]
        types = {column.name: column.typed for column in self.entry.columns}
        misread = sql.misread(self.entry.columns)
        readable = f"(select * from {part} where {misread} is null)" if misread else part
        files = [*self.kept, *(action.path for action in self.added)]
        aside = OPEN if batch.quarantine.open_count(star) else None
        beside = sql.neighbours(self.lake.rows(files), star, part, self.table, types, aside)
        history = sql.versions(part, star, self.table, types, batch.model, beside)
        made = sql.fact_rows(star, history, batch.number, list(self.found))
        rows = sql.judged(made, self.found, limits, self.references)
        joined = [name for name in star.reads if name != star.driving]
        rows = with_doubts(batch, star, rows, star.source_key, {star.driving: readable}, joined)
        fitting = sql.fitting(rows, self.found, limits, [star.key[0], *sql.HISTORY])
        action = batch.write(self.lake, fitting, [star.key[0], "batch_id"])
        taken = 0
        if action:
            taken = json.loads(action.stats)["numRecords"]
            self.added.append(action)
            self._note_years(action.path)
        if taken < _count(batch, part):
            self._refuse(part, rows, misread)
        return taken

    def note(self, part: str, refused: str) -> None:
        """Note for quarantine those changes of a part whose `ordinal`, `reason` and `waits` a SELECT yields."""
        columns = [column.name for column in self.entry.columns]
        self.batch.engine.execute(
            f"insert into {ASIDE} select p._ordinal, {sql.packed(self.table.key, 'p.')}, p._op, r.reason, r.waits,"
            f" p._captured_at::varchar, {sql.packed(columns, 'p.')}"
            f" from {part} as p inner join ({refused}) as r on p._ordinal = r.ordinal",
        )

    def _refuse(self, part: str, rows: str, misread: str | None) -> None:
        refused = (
            f"select {quoted(self.star.key[0])} as ordinal, coalesce(_wrong, _missing) as reason,"
            f" _wrong is null as waits from ({rows}) where _wrong is not null or _missing is not null"
        )
        if misread:
            refused += f" union all select _ordinal, {misread}, false from {part} where {misread} is not null"
        self.note(part, refused)

    def _note_years(self, file: str) -> None:
        calendars = {each.name for each in self.batch.model.dimensions if each.kind == "calendar"}
        for column, dimension in self.star.references.items():
            if dimension in calendars:
                years = f"select distinct year({quoted(column)}) as y from {self.lake.rows([file])}"
                found = self.batch.engine.execute(f"select y from ({years}) where y is not null").fetchall()
                self.batch.years.update(row[0] for row in found)


def put_fact(batch: Batch, star: StarTable) -> None:
    """Add a batch's versions to a fact; files of an earlier attempt at this batch are replaced.

    Raises:
        DataError: the model's SELECT does not yield one row for each change.
    """
    entry = batch.entry(star, star.driving)
    batch.present(star)
    lake = batch.open(star, {star.key[0]: "BIGINT"}, sql.HISTORY)
    own = f"{batch.number:010d}-"
    fact = _Fact(
        batch,
        star,
        batch.model.sources[star.driving],
        entry,
        lake,
        batch.engine.describe(star.sql),
        _references(batch, star),
        [file for file in lake.files if not file.startswith(own)],
        [],
    )
    batch.quarantine.begin()
    _stage_open(fact)
    ordinal = entry.first_ordinal
    moment = f"timestamp {text(batch.manifest.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' '))}"
    for each in entry.objects:
        numbered = f"select *, _position + {ordinal} as _ordinal, {moment} as _captured_at"
        taken = fact.take(f"({numbered} from {batch.part(star.driving, each)})")
        _require_all(fact, taken + _count(batch, ASIDE, f"ordinal >= {ordinal}"), each.rows, each.key)
        ordinal += each.rows
    _retry(fact)
    batch.quarantine.put(star)
    removed = tuple(file for file in lake.files if file.startswith(own))
    batch.conclude(star, batch.apply(lake, Change(tuple(fact.added), removed)))


def _stage_open(fact: _Fact) -> None:
    """Make the table of the rows in quarantine: their ordinals and source keys."""
    batch, star = fact.batch, fact.star
    if batch.quarantine.open_count(star):
        types = {column.name: column.typed for column in fact.entry.columns}
        keys = ", ".join(
            f"try_cast(key->>{text(name)} as {types[name]}) as {quoted(alias)}"
            for name, alias in zip(fact.table.key, star.source_key, strict=True)
        )
        rows = batch.quarantine.open_rows(star)
        batch.engine.execute(f"create or replace temp table {OPEN} as select ordinal as _ordinal, {keys} from {rows}")


def _retry(fact: _Fact) -> None:
    """Take up again the rows in quarantine that this batch names, and those that wait for a row which it may bring."""
    batch, star = fact.batch, fact.star
    total = _stage_retried(fact) if batch.quarantine.open_count(star) else 0
    if not total:
        return
    retried = f"select * exclude (_turn, _key, _reason, _waits) from {RETRIED}"
    turns, before = int(str(batch.engine.value(f"select max(_turn) from {RETRIED}"))), len(fact.added)
    # One version of a key at a time, so that each finds its place beside those before it.
    taken = sum(fact.take(f"({retried} where _turn = {turn})") for turn in range(1, turns + 1))
    refused = f"ordinal < {fact.entry.first_ordinal}"
    if taken + _count(batch, ASIDE, refused) < total:
        # What it joins may have been deleted since.
        written = fact.lake.rows([action.path for action in fact.added[before:]])
        known = f"select {quoted(star.key[0])} from {written} union all select ordinal from {ASIDE}"
        reason = "'the SELECT yields no row for it any more' as reason, false as waits"
        fact.note(
            f"({retried})", f"select _ordinal as ordinal, {reason} from {RETRIED} where _ordinal not in ({known})"
        )
    _require_all(fact, taken + _count(batch, ASIDE, refused), total, "quarantine")
    # A row that is refused for the same reason stays where it lies.
    same = "r._ordinal = a.ordinal and r._reason = a.reason and r._waits = a.waits"
    staying = f"(select _ordinal from {STAYING})"
    batch.engine.execute(
        f"create or replace temp table {STAYING} as"
        f" select r._ordinal from {RETRIED} as r inner join {ASIDE} as a on {same}"
    )
    batch.engine.execute(f"delete from {ASIDE} where ordinal in {staying}")
    leaving = f"select _ordinal as ordinal, _key as key from {RETRIED} where _ordinal not in {staying}"
    batch.quarantine.release(star, leaving)
    logger.info("%s: %d of %d rows came back from quarantine in batch %d", star.name, taken, total, batch.number)


def _stage_retried(fact: _Fact) -> int:
    """Make the table of the rows in quarantine to take up again, and count them; `_turn` counts a key's versions."""
    batch, star = fact.batch, fact.star
    brings = any(batch.committed[name].rows for name in star.references.values() if name in batch.committed)
    named = [int(each) for each in batch.manifest.replay.get(star.name, ())]
    wanted = f"ordinal in (select unnest({named}::bigint[])){' or waits' if brings else ''}"
    lying, columns = batch.quarantine.open_rows(star), fact.entry.columns
    # Parsed once, for a row may hold megabytes; and numbered apart from them.
    types = text(json.dumps({column.name: column.log_type for column in columns}))
    values = ", ".join(f"v.{quoted(column.name)} as {quoted(column.name)}" for column in columns)
    turns = f"select ordinal, row_number() over (partition by key::varchar order by ordinal) as turn from {lying}"
    batch.engine.execute(
        f"create or replace temp table {RETRIED} as select {values}, r.op as _op, r.ordinal as _ordinal, r.key as _key,"
        f" r.captured_at::timestamp as _captured_at, r.reason as _reason, r.waits as _waits, t.turn as _turn"
        f" from (select * exclude (row), from_json(row, {types}) as v from {lying} where {wanted}) as r"
        f" inner join ({turns} where {wanted}) as t on r.ordinal = t.ordinal",
    )
    return _count(batch, RETRIED)


def _require_all(fact: _Fact, found: int, expected: int, what: str) -> None:
    if found != expected:
        message = f"{fact.star.name} has {found} rows for {expected} changes in {what}: expected one for each"
        advice = f"mend {fact.star.path}.sql: it drops or repeats rows"
        raise DataError(message, advice=advice, table=fact.star.name)


def _count(batch: Batch, rows: str, where: str = "true") -> int:
    return int(str(batch.engine.value(f"select count(*) from {rows} where {where}")))


def _references(batch: Batch, star: StarTable) -> dict[str, str]:
    """Give for each column that refers to a dimension a SELECT of the keys that are there; the calendar comes after."""
    dimensions = {each.name: each for each in batch.model.dimensions if each.kind == "dimension"}
    found = {}
    for column, name in star.references.items():
        dimension = dimensions.get(name)
        if dimension:
            lake = open_table(batch.processed, dimension.path)
            found[column] = f"select {names(dimension.key)} from {lake.rows()}" if lake else "select null where false"
    return found
