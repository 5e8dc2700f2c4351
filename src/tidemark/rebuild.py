"""Rebuild: make latest or the star again in a scratch copy, compare it with what is there, then put it in place.

Nothing is changed before the comparison is done. A rebuild that is killed has changed nothing, or has put some tables
in place and not the others; run it again. The scratch copy is a directory on this machine. It holds all of latest and,
for a rebuild of the star, all of the star as well.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.files import drop_old_files
from tidemark.lake.rebuilt import AT_WORK, RebuildReport
from tidemark.lake.replacement import Replacement
from tidemark.lake.table import open_table
from tidemark.log.changelog import ChangeLog, Manifest, new_id, newest_batch
from tidemark.log.fold import Fold, scratch_copy
from tidemark.log.latest import HASH, open_latest, statistics_of
from tidemark.log.reach import reach_of_log, require_together
from tidemark.log.sums import drop_sums
from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.report import Progress, foresee, observe, quiet
from tidemark.star.binding import require_fitting
from tidemark.star.quarantine_replacement import QuarantineReplacement
from tidemark.star.star_log import StarLog, reach_of_star
from tidemark.star.star_manifest import Processed, Rebuilt, StarEntry, star_statistics
from tidemark.transform import Transform

# What this work is called where its progress is shown.
STAGE = "rebuild"


@dataclass(frozen=True)
class Rebuild:
    """The parts that a rebuild works with.

    A rebuild is not put in place if it would undo what somebody may want to keep: rows that another model made, or a
    batch that a run has begun. With `accepts` it is put in place all the same.
    """

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    accepts: bool = False
    dry_run: bool = False
    new_id: Callable[[], str] = new_id

    def latest(self, progress: Progress = quiet) -> RebuildReport:
        """Fold the whole log into latest.

        Rows that were right keep their hashes; the others have none until the next sweep reads them.

        Raises:
            OvertakenError: a poll changed latest at the same time.
        """
        log = ChangeLog(self.ingestion)
        head = log.newest()
        if head is None:
            return RebuildReport("latest", 0, {}, is_in_place=False)
        with scratch_copy("rebuild") as copy, open_engine([self.ingestion, copy]) as engine:
            fold = Fold(engine, log, self.model, copy, self.clock)
            self._fold(fold, head, progress)
            pairs = {}
            for name, source in self.model.sources.items():
                if name in head.tables:
                    made = open_latest(copy, source, head.tables[name].columns).lake
                    compared = [column for column in made.columns if column != HASH]
                    pairs[name] = Replacement(engine, made, self.ingestion, compared)
            tables = {}
            for name, pair in pairs.items():
                progress(STAGE, f"latest: comparing {name}", 0, 0, 0.0, head.batch)
                tables[name] = pair.compared()
            reasons = _reasons([pair.reason(head.batch, "ingest") for pair in pairs.values()], log.objects, head.batch)
            is_in_place = self._may_be_put(reasons)
            if is_in_place:
                drop_sums(self.ingestion)
            for name, pair in pairs.items() if is_in_place else ():
                source = self.model.sources[name]
                statistics = statistics_of(source, pair.made.columns)
                progress(STAGE, f"latest: putting {name} in place", 0, 0, 0.0, head.batch)
                pair.put(head.batch, self._now_milliseconds(), statistics, key=source.key, carries=HASH)
        return RebuildReport("latest", head.batch, tables, is_in_place, reasons)

    @staticmethod
    def _fold(fold: Fold, head: Manifest, progress: Progress) -> None:
        """Fold all batches, and tell how many of all changes are folded, which the ordinals of each batch say."""
        started, all_changes = time.perf_counter(), _changes_before(head) + head.changes
        foresee(progress, STAGE, lambda: {"latest": all_changes})
        observe(progress, fold.engine.percent)
        fold.add_all(
            fold.log.manifests(1, head.batch),
            lambda first: progress(STAGE, "latest", _changes_before(first), 0, 0.0, first.batch),
        )
        progress(STAGE, "latest", all_changes, 0, time.perf_counter() - started, head.batch)

    def star(self, progress: Progress = quiet) -> RebuildReport:
        """Transform again every batch that has been transformed, each with latest as of that batch.

        Raises:
            OvertakenError: another run changed the star at the same time.
            StateError: a batch is missing in the log or in the processed bucket.
        """
        stars = StarLog(self.processed)
        last = stars.newest_batch()
        if not last:
            return RebuildReport("star", 0, {}, is_in_place=False)
        written = [stars.written(batch) for batch in range(1, last + 1)]
        require_together(reach_of_log(ChangeLog(self.ingestion), last), reach_of_star(written[-1]))
        with scratch_copy("rebuild") as copy, open_engine([self.ingestion, self.processed, copy]) as engine:
            self._require_fitting(engine, stars.manifest(last))
            self._transform(engine, copy, written, progress)
            pairs = {}
            for name, star in self.model.stars.items():
                made = open_table(copy, star.path)
                if made is not None:
                    pairs[name] = Replacement(engine, made, self.processed, list(made.columns))
            quarantine = QuarantineReplacement(copy, self.processed, last)
            tables = {name: pair.compared() for name, pair in pairs.items()}
            tables |= {"quarantine": quarantine.compared()} if quarantine.objects else {}
            reasons = [pair.reason(last, "transform") for pair in pairs.values()]
            if any(table.is_different for table in tables.values()):
                reasons.append(self._other_model(stars, written))
            found = _reasons(reasons, self.processed, last)
            is_in_place = self._may_be_put(found)
            if is_in_place:
                metadata = {"model": self.model.hash}
                versions = {}
                for name, pair in pairs.items():
                    statistics = star_statistics(self.model.stars[name])
                    versions[name] = pair.put(last, self._now_milliseconds(), statistics, metadata=metadata)
                quarantine.put()
                remade = StarLog(copy)
                again = [remade.written(batch) for batch in range(1, last + 1)]
                stars.put_rebuilt(self._record(written, again, versions, stars.rebuilt))
        return RebuildReport("star", last, tables, is_in_place, found)

    def _require_fitting(self, engine: Engine, newest: Processed) -> None:
        head = ChangeLog(self.ingestion).manifest(newest.batch)
        columns = {name: entry.columns for name, entry in head.tables.items()}
        require_fitting(engine, self.model, columns, newest.tables)

    def _transform(self, engine: Engine, copy: Objects, written: Sequence[Processed], progress: Progress) -> None:
        last = len(written)
        steps = _Steps(progress, "star", last)
        rows = {each.batch: sum(entry.rows for entry in each.tables.values()) for each in written}
        foresee(progress, STAGE, lambda: {steps.name(batch): count for batch, count in rows.items()})
        observe(progress, engine.percent)
        fold = Fold(engine, ChangeLog(self.ingestion), self.model, copy, self.clock)

        def latest_of(manifest: Manifest) -> Objects:
            steps.begin(manifest.batch, rows[manifest.batch])
            for star in self.model.dimensions:
                drop_old_files(copy, star.path)
            return fold.add(manifest)

        Transform(self.model, self.ingestion, copy, self.clock, latest_of=latest_of, until=last).run()

    def _may_be_put(self, reasons: Sequence[str]) -> bool:
        return not self.dry_run and (self.accepts or not reasons)

    def _other_model(self, stars: StarLog, written: Sequence[Processed]) -> str:
        made_by = [stars.manifest(each.batch).model for each in written]
        others = [batch for batch, model in enumerate(made_by, start=1) if model != self.model.hash]
        return f"another model made the batches {others[0]} to {others[-1]}" if others else ""

    def _record(
        self,
        written: Sequence[Processed],
        again: Sequence[Processed],
        versions: Mapping[str, int],
        before: Rebuilt | None,
    ) -> Rebuilt:
        # An entry that the rebuild before has changed is named again, even if it is now what it was at first: the
        # ledger may have it as that rebuild left it.
        known = before.entries if before else {}
        changed = {
            new.batch: {
                name: entry
                for name, entry in new.tables.items()
                if name in known.get(new.batch, ()) or not _is_same(entry, old.tables.get(name))
            }
            for old, new in zip(written, again, strict=True)
        }
        return Rebuilt(
            batch=again[-1].batch,
            run_id=self.new_id(),
            model=self.model.hash,
            versions=versions,
            facts=[star.name for star in self.model.versioned],
            entries={batch: entries for batch, entries in changed.items() if entries},
        )

    def _now_milliseconds(self) -> int:
        return int(self.clock().timestamp() * 1000)


@dataclass
class _Steps:
    """What is told of the batches, which come one after the other: each is done when the next one begins."""

    progress: Progress
    what: str
    last: int
    rows: int = 0
    started: float = 0.0

    def name(self, batch: int) -> str:
        """Name a batch for those who watch."""
        return f"{self.what}: batch {batch} of {self.last}"

    def begin(self, batch: int, rows: int) -> None:
        """Tell that a batch with so many rows begins."""
        now = time.perf_counter()
        if batch > 1:
            self.progress(STAGE, self.name(batch - 1), self.rows, 0, now - self.started)
        self.progress(STAGE, self.name(batch), 0, 0, 0.0)
        self.rows, self.started = rows, now


def _changes_before(manifest: Manifest) -> int:
    """Count the changes of all batches before one; an ordinal is the number of a change of its table, from 1 on."""
    return sum(entry.first_ordinal - 1 for entry in manifest.tables.values() if entry.is_known)


def _reasons(found: Sequence[str], objects: Objects, last: int) -> tuple[str, ...]:
    """Give the reasons that there are; first, that a run has written batches after `last` meanwhile."""
    reasons = tuple(filter(None, found))
    newest = newest_batch(objects, last) if reasons else last
    return reasons if newest == last else (f"{AT_WORK}: it has brought batch {newest} meanwhile", *reasons)


def _is_same(entry: StarEntry, before: StarEntry | None) -> bool:
    return before is not None and replace(entry, version=0) == replace(before, version=0)
