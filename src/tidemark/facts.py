"""A fact's rows in one batch: the driving table's changes, dated, judged, and numbered by their place in the log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from deltalake.transaction import AddAction

from tidemark import star as sql
from tidemark.batch import Batch
from tidemark.changelog import TableEntry
from tidemark.errors import DataError
from tidemark.lake import Change, LakeTable, open_table
from tidemark.model import SourceTable, StarTable
from tidemark.quarantine import ASIDE
from tidemark.sqltext import names, quoted, text

RETRIED = "retried_rows"


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
        """Write the rows of a part that the star can take, note the others, and return how many there were."""
        engine, star = self.batch.engine, self.star
        types = {column.name: column.typed for column in self.entry.columns}
        misread = sql.misread(self.entry.columns)
        readable = f"(select * from {part} where {misread} is null)" if misread else part
        self.batch.view(star.driving, sql.typed(readable, self.entry.columns))
        files = [*self.kept, *(action.path for action in self.added)]
        beside = sql.previous_versions(self.lake.rows(files), star, part, self.table, types)
        history = sql.versions(part, star, self.table, types, self.batch.model, beside)
        rows = sql.judged(
            sql.fact_rows(star, history, self.batch.number, list(self.found)),
            self.found,
            self.batch.limits[star.name],
            self.references,
        )
        others = [star.key[0], *sql.HISTORY]
        fitting = f"{sql.fitting(rows, self.found, self.batch.limits[star.name], others)} and valid_from is not null"
        action = self.batch.write(self.lake, fitting, [star.key[0], "batch_id"])
        taken = 0
        if action:
            taken = json.loads(action.stats)["numRecords"]
            self.added.append(action)
            self._note_years(action.path)
        if taken < int(str(engine.value(f"select count(*) from {part}"))):
            self._set_aside(part, rows, misread)
        return taken

    def _set_aside(self, part: str, rows: str, misread: str | None) -> None:
        ordinal = quoted(self.star.key[0])
        crowded = "case when valid_from is null then 'no moment is left between the versions beside it' end"
        refused = (
            f"select {ordinal} as ordinal, coalesce(_wrong, _missing, {crowded}) as reason,"
            f" _wrong is null and _missing is not null as waits from ({rows})"
            f" where _wrong is not null or _missing is not null or valid_from is null"
        )
        if misread:
            refused += f" union all select _ordinal, {misread}, false from {part} where {misread} is not null"
        columns = [column.name for column in self.entry.columns]
        self.batch.engine.execute(
            f"insert into {ASIDE} select p._ordinal, {sql.packed(self.table.key, 'p.')}, p._op, r.reason, r.waits,"
            f" p._captured_at::varchar, {sql.packed(columns, 'p.')}"
            f" from {part} as p inner join ({refused}) as r on p._ordinal = r.ordinal",
        )

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
    ordinal = entry.first_ordinal
    moment = f"timestamp {text(batch.manifest.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' '))}"
    for each in entry.objects:
        numbered = f"select *, _position + {ordinal} as _ordinal, {moment} as _captured_at"
        taken = fact.take(f"({numbered} from {batch.part(star.driving, each)})")
        aside = int(str(batch.engine.value(f"select count(*) from {ASIDE} where ordinal >= {ordinal}")))
        if taken + aside != each.rows:
            message = (
                f"{star.name} has {taken + aside} rows for {each.rows} changes in {each.key}: expected one for each"
            )
            raise DataError(message, advice=f"mend {star.path}.sql: it drops or repeats rows", table=star.name)
        ordinal += each.rows
    batch.quarantine.put(star)
    _retry(fact)
    removed = tuple(file for file in lake.files if file.startswith(own))
    batch.conclude(star, batch.apply(lake, Change(tuple(fact.added), removed)))


def _retry(fact: _Fact) -> None:
    """Take up again the rows in quarantine that this batch names, and those that wait for a row which it may bring."""
    batch, star = fact.batch, fact.star
    if not batch.quarantine.open_count(star):
        return
    brings = any(batch.committed[name].rows for name in fact.star.references.values() if name in batch.committed)
    named = [int(each) for each in batch.manifest.replay.get(star.name, ())]
    wanted = f"ordinal in (select unnest({named}::bigint[])){' or waits' if brings else ''}"
    columns = ", ".join(
        f"cast(row->>{text(column.name)} as {column.log_type}) as {quoted(column.name)}"
        for column in fact.entry.columns
    )
    key = names(fact.table.key)
    batch.engine.execute(
        f"create or replace temp table {RETRIED} as select *, row_number() over (partition by {key} order by _ordinal)"
        f" as _turn from (select {columns}, op as _op, ordinal as _ordinal, key as _key,"
        f" captured_at::timestamp as _captured_at from {batch.quarantine.open_rows(star)} where {wanted})",
    )
    turns = int(str(batch.engine.value(f"select coalesce(max(_turn), 0) from {RETRIED}")))
    batch.quarantine.begin()
    for turn in range(1, turns + 1):
        # One version of a key at a time, so that each finds its place beside those before it.
        fact.take(f"(select * exclude (_turn, _key) from {RETRIED} where _turn = {turn})")
    batch.quarantine.release(
        star,
        f"select _ordinal as ordinal, _key as key from {RETRIED} where _ordinal not in (select ordinal from {ASIDE})",
    )


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
