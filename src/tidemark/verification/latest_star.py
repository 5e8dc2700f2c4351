"""Latest = star: the model's SELECTs over latest yield what the star holds as its present state.

The present state of a fact, or of a dimension with history, is the last version of each key, unless that is a
tombstone; of a dimension that marks deleted rows it is the others. Any other dimension keeps what the source deleted,
so of it every row counts whose key its SELECT yields. Rows in quarantine are no difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tidemark.lake.engine import Engine, WorkingTables, open_engine
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Fields,
    Rows,
    Select,
    Table,
    all_of,
    converted,
    empty,
    exists,
    from_json,
    listed,
    named_as,
    names,
    number,
    numbers,
    quoted,
    select,
    text,
    tried,
    union_all,
)
from tidemark.lake.table import LakeTable, open_as_of
from tidemark.log.changelog import ChangeLog, Manifest, with_later_shape
from tidemark.log.columns import Column
from tidemark.log.keys import canonical
from tidemark.log.latest import state_as_of
from tidemark.log.reach import Reach, require_together
from tidemark.mirror import history_columns
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.report import Progress, foresee, quiet
from tidemark.star.limits import limits_of
from tidemark.star.passing import seen_by
from tidemark.star.quarantine import open_rows
from tidemark.star.selects import yielded_by
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed
from tidemark.star.star_sql import BATCH, MARK, gone, mirrored, typed, years
from tidemark.verification.causes import STAR, explained
from tidemark.verification.matching import KEY, compare, differences, judge, stage, verdicts
from tidemark.verification.proving import proofs
from tidemark.verification.records import first_to_read, read_records
from tidemark.verification.result import NO_BATCH, NOT_TRANSFORMED, Edge, TableProof


def verify_star(model: Model, ingestion: Objects, processed: Objects, progress: Progress = quiet) -> Edge:
    """Compare latest with the star as of the last batch that was transformed, for a caller that sees only these two.

    Raises:
        StateError: log and star do not belong together.
        TransientError: one of them is away.
    """
    log = ChangeLog(ingestion)
    head = log.newest()
    stars = StarLog(processed)
    done = stars.newest()
    if head is None or done is None:
        return Edge(STAR, skipped=NOT_TRANSFORMED if head else NO_BATCH)
    found = read_records(log.manifest, first_to_read(done.batch, head.batch), head.batch)
    manifests = {batch: with_later_shape(each, head) for batch, each in found.items()}
    with open_engine([ingestion, processed]) as engine:
        edge = StarEdge(engine, model, ingestion, stars, manifests, done).compared(progress)
    return explained([edge], model, is_other_model=done.model != model.hash)[0]


@dataclass(frozen=True)
class StarEdge:
    """Latest and the star, both as of the last batch that was transformed.

    `manifests` has the log's manifests that were read, by batch: all of them or the newest, each as the model reads it.
    """

    engine: Engine
    model: Model
    ingestion: Objects
    stars: StarLog
    manifests: Mapping[int, Manifest]
    done: Processed

    def compared(self, progress: Progress) -> Edge:
        """Compare every table of the star.

        Raises:
            StateError: log and star do not belong together.
        """
        head = self.manifests[max(self.manifests)]
        require_together(Reach("log", head.batch, head.pipeline_id), reach_of_star(self.done))
        foresee(progress, f"verify {STAR}", partial(self._rows_to_go_through, head))
        tables = ((star.name, partial(self.prove, star)) for star in self.model.stars.values())
        return Edge(STAR, self.done.batch, proofs(self.engine, STAR, tables, progress))

    def _rows_to_go_through(self, head: Manifest) -> Mapping[str, int | None]:
        """Give the rows of the tables that each star table reads: about as much as there is to compute."""
        rows = {name: entry.rows for name, entry in head.tables.items()}
        return {star.name: sum(rows.get(name, 0) for name in star.reads) for star in self.model.stars.values()}

    def prove(self, star: StarTable) -> TableProof:
        """Compare one table of the star."""
        if star.name not in self.done.tables:
            return TableProof(star.name, note="not in the star yet: the next batch brings it")
        lake = open_as_of(self.stars.objects, star.path, self.done.batch)
        if lake is None:
            return TableProof(star.name, problem=f"{star.path} is gone", cause="the star was removed")
        if star.kind == "calendar":
            return self._calendar(star, lake)
        known = self.manifests[self.done.batch].tables
        if not known.keys() >= set(star.reads):
            return TableProof(star.name, note="it reads a table that is not in the log yet")
        self._present(star)
        yielded = yielded_by(self.engine, self.model, star)
        columns = [name for name in lake.columns if name in yielded and name not in self._lost(star)]
        # A fact that joins other tables shows these as they were when its row changed: only folding the log can tell.
        is_frozen = star.kind == "fact" and len(star.reads) > 1
        compared = list(star.source_key) if is_frozen else columns
        wanted = self._wanted(star, {name: lake.columns[name] for name in compared})
        found = stage(self.engine, self._current(star, lake, compared))
        key = star.row_key
        held = found
        if star.kind == "dimension" and not star.knows_deletions:
            held = select("files", "with_keys_of", rows=found, others=wanted, keys=names(key)).rows
        note = "its other columns are compared only with --deep, because it reads several tables" if is_frozen else ""
        return self._proof(star, lake, wanted, held, (compared, key), found=found, note=note)

    def _proof(  # noqa: PLR0913 -- a table, its two sides, and what to compare
        self,
        star: StarTable,
        lake: LakeTable,
        wanted: Rows,
        held: Rows,
        by: tuple[list[str], tuple[str, ...]],
        *,
        found: Rows,
        note: str = "",
    ) -> TableProof:
        with self.engine.working_tables() as tables:
            match = compare(self.engine, tables, wanted, held, *by)
            if match.found:
                self._judge_set_aside(star, lake, match.found, tables)
            counts = verdicts(self.engine, match)
            real = counts.get("real", 0)
            return TableProof(
                star.name,
                match.left,
                match.right,
                count=real,
                differences=differences(self.engine, match) if real else (),
                set_aside=counts.get("set aside", 0),
                kept=self.engine.count(found) - match.right.rows,
                note=note,
            )

    def _calendar(self, star: StarTable, lake: LakeTable) -> TableProof:
        """Compare the calendar with every day of the years that the facts name, and of the years that it holds."""
        named = [(star.key[0], lake.rows()), *self._naming(star)]
        years = {year for column, rows in named for year in self._years(column, rows)}
        self.engine.view("calendar", select("star", "days_of_years", years=numbers(sorted(years))))
        yielded_by(self.engine, self.model, star)
        columns = [name for name in lake.columns if name not in BATCH]
        wanted = self._wanted(star, {name: lake.columns[name] for name in columns})
        found = self._up_to_batch(lake, columns).rows
        return self._proof(star, lake, wanted, found, (columns, star.key), found=found)

    def _naming(self, calendar: StarTable) -> Iterator[tuple[str, Rows]]:
        """Give the columns that refer to the calendar, each with the rows of its fact."""
        for fact in (each for each in self.model.facts if each.name in self.done.tables):
            lake = open_as_of(self.stars.objects, fact.path, self.done.batch)
            for column, dimension in (fact.references or {}).items():
                if lake and dimension == calendar.name and column in lake.columns:
                    yield column, self._up_to_batch(lake, [column]).rows

    def _years(self, column: str, rows: Rows) -> Iterator[int]:
        found = self.engine.execute(select("star", "years", years=years([column]), rows=rows)).fetchall()
        # An infinite day has no year. Only somebody outside Tidemark can have put it there.
        return (year for (year,) in found if year is not None)

    def _wanted(self, star: StarTable, types: Mapping[str, str]) -> Rows:
        fields = listed(named_as(tried(quoted(name), kind), name) for name, kind in types.items())
        return stage(self.engine, select("files", "fields", fields=fields, rows=Select(star.sql).rows))

    def _up_to_batch(self, lake: LakeTable, columns: Sequence[str]) -> Select:
        parts = {"fields": names(columns), "rows": lake.rows(), "batch": number(self.done.batch)}
        return select("verification", "up_to_batch", **parts)

    def _current(self, star: StarTable, lake: LakeTable, columns: Sequence[str]) -> Select:
        if star.soft_delete:
            return select("verification", "not_marked", rows=self._up_to_batch(lake, [*columns, *MARK]).rows)
        if not star.is_versioned:
            return self._up_to_batch(lake, columns)
        return select(
            "verification",
            "present_state",
            fields=names(columns),
            rows=lake.rows(),
            batch=number(self.done.batch),
            source_key=self._source_key(star),
            surrogate=quoted(star.key[0]),
        )

    def _lost(self, star: StarTable) -> set[str]:
        """Name the columns that a mirror has and the source has no longer: of a row that did not change they stay."""
        if not star.mirror:
            return set()
        names, known = history_columns(star.mirror), self._columns(star)
        return {own for column, own in names.items() if column not in known}

    def _source_key(self, star: StarTable) -> Fields:
        """List a fact's source key so that two texts that are one key for the source are one here, too."""
        if not star.mirror:
            return names(star.source_key)
        columns, key = self._columns(star), zip(star.mirror.key, star.source_key, strict=True)
        return listed(canonical(columns[name], quoted(own)) for name, own in key)

    def _present(self, star: StarTable) -> None:
        """Make the views that a SELECT reads: latest and, where none leaves, the rows that the last change deleted."""
        self.engine.seeds(self.model.seeds)
        last = self._last_change(star) if star.kind == "dimension" and not star.knows_deletions else None
        tables = self.manifests[self.done.batch].tables
        seen = seen_by(self.engine, star, self.model.sources, {name: tables[name].columns for name in star.reads})
        for name in star.reads:
            entry = tables[name]
            columns = entry.columns
            latest = state_as_of(self.ingestion, self.model.sources[name], self.done.batch, entry)
            states = [latest.rows if latest else empty({column.name: column.log_type for column in columns})]
            if last:
                states += self._deleted(last, name, states[0])
            if star.mirror:
                self.engine.view(name, mirrored(states[0], star.mirror, columns))
            else:
                self.engine.view(name, union_all(typed(rows, seen[name]) for rows in states))

    def _last_change(self, star: StarTable) -> Manifest | None:
        for batch in sorted(self.manifests, reverse=True):
            tables = self.manifests[batch].tables
            if batch <= self.done.batch and any(name in tables and tables[name].changes for name in star.reads):
                return self.manifests[batch]
        return None

    def _deleted(self, manifest: Manifest, name: str, there: Rows) -> Iterator[Rows]:
        """Give the rows that the batch deleted: a dimension read them one last time in this batch."""
        entry = manifest.tables[name]
        if entry.deleted:
            types = {column.name: column.log_type for column in entry.columns} | {"_op": "VARCHAR"}
            log = ChangeLog(self.ingestion)
            files = [log.verified(each, self.engine.new_file(".jsonl")) for each in entry.objects]
            lines = from_json(list(map(str, files)), types, longest_line_bytes(files))
            yield gone(lines, self.model.sources[name], entry.columns, there).rows

    def _judge_set_aside(self, star: StarTable, lake: LakeTable, found: Table, tables: WorkingTables) -> None:
        """Excuse differences of keys that lie in quarantine, but not a deleted row that is still live in the star."""
        if not self.done.tables[star.name].open:
            return
        mine = star.row_key
        source = self.model.sources[star.driving].key if star.kind == "fact" else mine
        keys = listed(named_as(Expression(f"key->>{text(name)}"), name) for name in source)
        rows = open_rows(self.stars, star, self.done)
        aside = tables.of(select("verification", "keys_set_aside", keys=keys, open_rows=rows))
        columns = self._columns(star)
        is_same = all_of(
            Condition(f"{_as_key(columns[name], own, f'{KEY}.')} = {_as_key(columns[name], name, 'a.')}")
            if columns
            # Quarantine has a dimension's key as its SELECT yields it, and a number has other digits there.
            else Condition(f"{quoted(own, f'{KEY}.')} = {tried(quoted(name, 'a.'), lake.columns[own])}")
            for own, name in zip(mine, source, strict=True)
        )
        # `kind` stands outside: a key of that name would come first within.
        judge(self.engine, found, "set aside", Condition(f"kind <> 'surplus' and {exists(aside, 'a', is_same)}"))
        is_live = all_of([is_same, Condition("a._tidemark_last_op is distinct from 'delete'")])
        judge(self.engine, found, "set aside", exists(aside, "a", is_live))

    def _columns(self, star: StarTable) -> dict[str, Column]:
        """Give the columns of a fact's driving table by name; of a dimension those that the star has as decimals."""
        if star.kind == "fact":
            tables = self.manifests[self.done.batch].tables
            return {column.name: column for column in tables[star.driving].columns}
        limits = limits_of(self.model)[star.name]
        return {name: Column(name, "numeric") for name, each in limits.items() if each.type.startswith("DECIMAL")}


def _as_key(column: Column, name: str, prefix: str) -> Expression:
    """Write a key in the form in which keys of quarantine and of the star can be compared."""
    return canonical(column, converted(quoted(name, prefix), "varchar"))
