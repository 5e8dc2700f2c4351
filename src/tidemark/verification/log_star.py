"""Log = latest, log = star: the whole log is folded into a scratch copy, which is compared row by row.

Only this comparison sees a change that was made to latest and star alike, and a change in the middle of a history. The
copy is a directory of this machine that holds a latest and a star.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tidemark.lake.engine import Engine, WorkingTables, open_engine
from tidemark.lake.sqltext import Rows, names, number, select
from tidemark.lake.table import open_as_of, open_table
from tidemark.log.changelog import ChangeLog, Manifest, with_later_shape
from tidemark.log.fold import Fold
from tidemark.log.group import Group, cut, read_group, take
from tidemark.log.latest import open_latest_as_of
from tidemark.mirror import history_columns
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star.group import StarGroup
from tidemark.star.limits import limits_of
from tidemark.star.quarantine import Quarantine
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed
from tidemark.star.writer import StarWriter
from tidemark.transform import Transform
from tidemark.verification.matching import compare, differences, verdicts
from tidemark.verification.result import TableProof

Proofs = Iterator[tuple[str, Callable[[], TableProof]]]


@dataclass(frozen=True)
class LogEdges:
    """The log, folded into the latest and the star of a scratch copy."""

    engine: Engine
    model: Model
    ingestion: Objects
    processed: Objects
    copy: Objects
    clock: Callable[[], datetime]

    def fold(self, manifests: Sequence[Manifest], done: Processed | None) -> None:
        """Make the star again up to the last batch that was transformed, and latest up to the newest batch.

        Args:
            manifests: those of all batches of the log, in their order.
            done: the processed manifest of the last batch that was transformed.
        """
        last = done.batch if done else 0
        with open_engine([self.ingestion, self.copy]) as engine:
            work = _Folding(self, engine, manifests)
            for run in cut(manifests[:last]):
                work.add(run)
            work.fold.add_all(manifests[last:])

    def latest(self, head: Manifest) -> Proofs:
        """Compare each table of latest with what folding the log yields."""
        for name, table in self.model.sources.items():
            if name in head.tables:
                yield name, partial(self._latest, table, head)

    def star(self, done: Processed) -> Proofs:
        """Compare each table of the star with what transforming the log yields."""
        for star in self.model.stars.values():
            if star.name in done.tables:
                yield star.name, partial(self._star, star, done)

    def _latest(self, table: SourceTable, head: Manifest) -> TableProof:
        now = head.tables[table.name].columns
        wanted, found = (open_latest_as_of(place, table, head.batch, now) for place in (self.copy, self.ingestion))
        if wanted is None or found is None:
            return TableProof(
                table.name, problem="latest is gone", cause="it was removed", advice="tidemark rebuild latest"
            )
        columns = [column.name for column in now]
        held = select("verification", "without_hash", rows=found.rows)
        return self._proof(
            table.name, (wanted.rows, held.rows), columns, table.key, ("latest", "tidemark rebuild latest")
        )

    def _star(self, star: StarTable, done: Processed) -> TableProof:
        wanted, found = open_table(self.copy, star.path), open_as_of(self.processed, star.path, done.batch)
        if wanted is None or found is None:
            return TableProof(star.name, problem="it is gone", cause="it was removed", advice="tidemark rebuild star")
        columns = list(wanted.columns)
        if star.mirror:
            # Columns that came after the batch are null in it.
            then = history_columns(done.mirrored.get(star.name, star.mirror)).values()
            columns = [name for name in columns if name in then or name not in history_columns(star.mirror).values()]
        absent = [name for name in columns if name not in found.columns]
        if absent:
            return TableProof(star.name, problem=f"has no column {absent}", advice="tidemark rebuild star")
        done_batch = number(done.batch)
        held = select("verification", "up_to_batch", fields=names(columns), rows=found.rows(), batch=done_batch)
        return self._proof(
            star.name, (wanted.rows(), held.rows), columns, star.key, ("the star", "tidemark rebuild star")
        )

    def _proof(
        self, table: str, sides: tuple[Rows, Rows], columns: list[str], key: tuple[str, ...], remedy: tuple[str, str]
    ) -> TableProof:
        with self.engine.working_tables() as tables:
            match = compare(self.engine, tables, *sides, columns, key)
            count = verdicts(self.engine, match).get("real", 0)
            found = differences(self.engine, match)
        if not count:
            return TableProof(table, match.left, match.right)
        cause = f"{remedy[0]} is not what the log yields: it was altered, or made by another model or an older version"
        return TableProof(table, match.left, match.right, count=count, differences=found, cause=cause, advice=remedy[1])


class _Folding:
    """The folding of the log into the scratch copy; `before` is the manifest of the last batch that was taken alone."""

    def __init__(self, edges: LogEdges, engine: Engine, manifests: Sequence[Manifest]) -> None:
        self.edges, self.engine, self.newest = edges, engine, manifests[-1]
        self.log = ChangeLog(edges.ingestion)
        self.fold = Fold(engine, self.log, edges.model, edges.copy, edges.clock)
        self.transform = Transform(edges.model, edges.ingestion, edges.copy, edges.clock, latest_of=self.fold.add)
        self.limits = limits_of(edges.model)
        self.before: Processed | None = None
        engine.seeds(edges.model.seeds)

    def add(self, run: Sequence[Manifest]) -> None:
        """Put batches into latest and star: at once, or one by one where one of them has to be taken alone."""
        take(run, self._together, self._alone)

    def _together(self, run: Sequence[Manifest]) -> None:
        shaped = [with_later_shape(each, self.newest) for each in run]
        with self.engine.working_tables() as tables:
            group = read_group(self.engine, self.log, shaped, self.edges.model.sources, tables)
            self._star(group, tables).put()
            self.fold.add_group(replace(group, manifests=run))

    def _alone(self, batch: Manifest) -> None:
        shaped = with_later_shape(batch, self.newest)
        self.before = self.transform.put(self.engine, self.limits, (batch, shaped), self.before, {})

    def _star(self, group: Group, tables: WorkingTables) -> StarGroup:
        model, copy = self.edges.model, self.edges.copy
        return StarGroup(
            engine=self.engine,
            model=model,
            group=group,
            latest=copy,
            limits=self.limits,
            quarantine=Quarantine(self.engine, StarLog(copy), group.first, self.before),
            writer=StarWriter(self.engine, copy, group.last, self.before, model.hash, self.edges.clock),
            tables=tables,
        )
