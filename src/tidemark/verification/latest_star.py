"""Latest = star: the model's SELECTs over latest yield what the star holds as its present state.

A fact's present state is the last version of each source key that is no tombstone, a dimension's is every row whose key
its SELECT yields: a dimension keeps what the source deleted. Rows in quarantine are set aside.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.sqltext import Rows, Select, empty, from_json, names, numbers, quoted, select, text
from tidemark.lake.table import LakeTable, open_as_of
from tidemark.log.changelog import ChangeLog, Manifest, with_later_shape
from tidemark.log.latest import state_as_of
from tidemark.log.reach import Reach, require_together
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.report import Progress, quiet
from tidemark.star.quarantine import open_rows
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed
from tidemark.star.star_sql import BATCH, typed
from tidemark.verification.causes import STAR, explained
from tidemark.verification.matching import compare, differences, judge, stage, verdicts
from tidemark.verification.proving import proofs
from tidemark.verification.records import first_to_read, read_records
from tidemark.verification.result import NO_BATCH, NOT_TRANSFORMED, Edge, TableProof

ASIDE = "keys_set_aside"


def verify_star(model: Model, ingestion: Objects, processed: Objects, progress: Progress = quiet) -> Edge:
    """Compare latest with the star as of the last batch that was transformed, for those who see nothing else.

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

    `manifests` are those of the log, by batch, that were read: all of them, or the newest; each as the model reads it.
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
        tables = ((star.name, partial(self.prove, star)) for star in self.model.stars.values())
        return Edge(STAR, self.done.batch, proofs(self.engine, STAR, tables, progress))

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
        yielded = self.engine.describe(star.sql)
        columns = [name for name in lake.columns if name in yielded]
        # A fact that joins other tables shows them as they were when its row changed: only a replay can tell.
        is_frozen = star.kind == "fact" and len(star.reads) > 1
        compared = list(star.source_key) if is_frozen else columns
        wanted = self._wanted(star.sql, {name: lake.columns[name] for name in compared})
        found = stage(self.engine, f"select {names(compared)} from {self._current(star, lake)}")
        key = star.source_key or star.key
        held = f"(select * from {found} semi join {wanted} using ({names(key)}))" if star.kind == "dimension" else found
        note = "its other columns are compared with --deep alone, for it reads several tables" if is_frozen else ""
        return self._proof(star, wanted, held, (compared, key), found=found, note=note)

    def _proof(
        self,
        star: StarTable,
        wanted: str,
        held: str,
        by: tuple[list[str], tuple[str, ...]],
        *,
        found: str,
        note: str = "",
    ) -> TableProof:
        match = compare(self.engine, wanted, held, *by)
        counts: dict[str, int] = {}
        if match.differs:
            self._judge_set_aside(star)
            counts = verdicts(self.engine)
        real = counts.get("real", 0)
        rows = int(str(self.engine.value(f"select count(*) from {found}")))
        return TableProof(
            star.name,
            match.left,
            match.right,
            count=real,
            differences=differences(self.engine) if real else (),
            set_aside=counts.get("set aside", 0),
            kept=rows - match.right.rows,
            note=note,
        )

    def _calendar(self, star: StarTable, lake: LakeTable) -> TableProof:
        """Compare the calendar with every day of the years that the facts name, and of those that it has."""
        named = [select("star", "years", column=quoted(star.key[0]), rows=lake.rows()), *self._named_years(star)]
        # A day beyond all years, which only another hand can have put there, has none.
        years = {year for each in named for (year,) in self.engine.execute(each).fetchall() if year is not None}
        self._view("calendar", select("star", "days_of_years", years=numbers(sorted(years))))
        columns = [name for name in lake.columns if name not in BATCH]
        wanted = self._wanted(star.sql, {name: lake.columns[name] for name in columns})
        found = f"(select {names(columns)} from {lake.rows()} where batch_id <= {self.done.batch})"
        return self._proof(star, wanted, found, (columns, star.key), found=found)

    def _named_years(self, calendar: StarTable) -> Iterator[Select]:
        for fact in self.model.facts:
            lake = open_as_of(self.stars.objects, fact.path, self.done.batch)
            for column, dimension in (fact.references or {}).items():
                if lake and dimension == calendar.name and column in lake.columns:
                    rows = Rows(f"(select * from {lake.rows()} where batch_id <= {self.done.batch})")
                    yield select("star", "years", column=quoted(column), rows=rows)

    def _wanted(self, select: str, types: Mapping[str, str]) -> str:
        fields = ", ".join(f"try_cast({quoted(name)} as {kind}) as {quoted(name)}" for name, kind in types.items())
        return stage(self.engine, f"select {fields} from ({select})")

    def _current(self, star: StarTable, lake: LakeTable) -> str:
        rows = f"{lake.rows()} where batch_id <= {self.done.batch}"
        if star.kind != "fact":
            return rows
        order = f"valid_from desc, {quoted(star.key[0])} desc"
        newest = f"row_number() over (partition by {names(star.source_key)} order by {order}) = 1"
        return f"(select * from {rows} qualify {newest}) where not is_deleted"

    def _present(self, star: StarTable) -> None:
        """Make the views that a SELECT reads, as the last batch that changed one of them made them."""
        self.engine.seeds(self.model.seeds)
        last = self._last_change(star) if star.kind == "dimension" else None
        for name in star.reads:
            entry = self.manifests[self.done.batch].tables[name]
            columns = entry.columns
            latest = state_as_of(self.ingestion, self.model.sources[name], self.done.batch, entry)
            states = [latest.rows if latest else empty({column.name: column.log_type for column in columns})]
            if last:
                states += self._deleted(last, name)
            self._view(name, " union all ".join(typed(rows, columns) for rows in states))

    def _last_change(self, star: StarTable) -> Manifest | None:
        for batch in sorted(self.manifests, reverse=True):
            tables = self.manifests[batch].tables
            if batch <= self.done.batch and any(name in tables and tables[name].changes for name in star.reads):
                return self.manifests[batch]
        return None

    def _deleted(self, manifest: Manifest, name: str) -> Iterator[Rows]:
        """Give the rows that the batch deleted: a dimension that joins them saw them one last time."""
        entry = manifest.tables[name]
        if entry.deleted:
            types = {column.name: column.log_type for column in entry.columns} | {"_op": "VARCHAR"}
            log = ChangeLog(self.ingestion)
            files = [str(log.verified(each, self.engine.new_file(".jsonl"))) for each in entry.objects]
            lines = from_json(files, types)
            yield select("star", "deleted", rows=lines).rows

    def _judge_set_aside(self, star: StarTable) -> None:
        if not self.done.tables[star.name].open:
            return
        source = self.model.sources[star.driving].key if star.kind == "fact" else star.key
        mine = star.source_key if star.kind == "fact" else star.key
        keys = open_rows(self.stars, star, self.done)
        fields = ", ".join(f"key->>{text(name)} as {quoted(name)}" for name in source)
        self.engine.execute(f"create or replace temp table {ASIDE} as select distinct {fields} from {keys}")
        same = " and ".join(
            f"cast(k.{quoted(own)} as varchar) = a.{quoted(name)}" for own, name in zip(mine, source, strict=True)
        )
        judge(self.engine, "set aside", f"exists (select 1 from {ASIDE} as a where {same})")

    def _view(self, name: str, select: str) -> None:
        self.engine.execute(f"create or replace temp view {quoted(name)} as {select}")
