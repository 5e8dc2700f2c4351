"""Compaction: merge small data files of the lake into large ones, and remove what nothing needs any more.

The rows stay the same. Every version that a reader may still ask for stays too: the one that the transform of the next
batch reads, those of the batches that are not loaded yet, and all that were current within the retention.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemark.errors import ConfigError, OvertakenError
from tidemark.faults import effect
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.files import data_files, model_of, rewrite_files, unneeded_files
from tidemark.lake.pieces import MERGED_BYTES, DataFile, Rewrite, files_to_rewrite, wanted_bytes
from tidemark.lake.renewal import renew
from tidemark.lake.spark_scratch import remove_old_scratch
from tidemark.lake.table import LakeTable, configured, first_batch, open_as_of, open_table
from tidemark.log.changelog import ChangeLog, newest_batch
from tidemark.log.latest import path_of, statistics_of
from tidemark.log.sums import drop_old_sums
from tidemark.model import Model
from tidemark.objects import ObjectMeta, Objects
from tidemark.report import Progress, foresee, observe, quiet
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import star_statistics

logger = logging.getLogger(__name__)
# Versions are only added, never merged, so its files may be larger than those of other tables.
VERSIONS_BYTES = 64 << 20
RETENTION = timedelta(days=7)
SHORTEST_RETENTION = timedelta(hours=1)
READERS = 16


@dataclass(frozen=True)
class TableCompaction:
    """What a compaction did to one table, or would do in a dry run.

    `rewritten` files became `written` new ones, and `removed` old files were deleted. `skipped` says why no file was
    rewritten, `kept` why no old file was removed. `renewed` files came from an older Tidemark and were written anew
    before that, so that readers need no table feature for the table any more.
    """

    rewritten: int = 0
    written: int = 0
    removed: int = 0
    removed_bytes: int = 0
    skipped: str = ""
    kept: str = ""
    renewed: int = 0


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did: its tables by folder, orphans of the log, leftovers of killed runs, old sums of latest."""

    tables: Mapping[str, TableCompaction]
    orphans: int
    orphan_bytes: int
    leftovers: int
    sums: int = 0


@dataclass(frozen=True)
class _Place:
    """A table of the lake: where it lies, how its rows are ordered, and what may be rewritten or removed.

    Changes are merged into it, or its rows are only added. The rows of batches after `last_batch` may not move; None if
    all may. `oldest_needed` gives the oldest version that must stay, or None if it is unknown.
    """

    objects: Objects
    path: str
    key: Sequence[str]
    is_merged: bool
    statistics: Callable[[LakeTable], list[str]]
    last_batch: int | None
    oldest_needed: Callable[[], int | None]

    def rewrites(self, files: Sequence[DataFile]) -> list[Rewrite]:
        """Choose which of the table's files to rewrite."""
        if self.is_merged:
            return files_to_rewrite(files, wanted_bytes(files), self.last_batch, largest_bytes=MERGED_BYTES)
        return files_to_rewrite(files, VERSIONS_BYTES, self.last_batch)

    def rows_to_write(self) -> int:
        """Count the rows that a compaction writes anew."""
        lake = open_table(self.objects, self.path)
        if lake is None:
            return 0
        files = data_files(lake)
        moved = files if lake.is_older else [file for each in self.rewrites(files) for file in each.files]
        return sum(file.rows for file in moved)


@dataclass(frozen=True)
class Compact:
    """The parts that a compaction works with.

    `loaded` gives the last batch that the warehouse holds. It is None if nobody can tell; then no old file of the star
    is removed.
    """

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    loaded: Callable[[], int] | None
    retention: timedelta = RETENTION

    def run(self, *, dry_run: bool = False, keep_orphans: bool = False, progress: Progress = quiet) -> CompactReport:
        """Compact every table of latest and of the star, then remove unneeded files that are older than the retention.

        Orphans of the log, leftovers of killed runs and old sums of latest are removed too, if they are older than the
        retention. `keep_orphans` only counts the orphans: a function on AWS may not delete from the log.
        """
        if self.retention < SHORTEST_RETENTION:
            message = f"expected a retention of an hour or more, got {self.retention}"
            raise ConfigError(message, advice="a run in progress may still need younger files")
        cutoff = self.clock() - self.retention
        loaded = self.loaded() if self.loaded else None
        tables = {}
        with open_engine([self.ingestion, self.processed], threads=1) as engine:
            places = list(self._places(loaded))
            foresee(progress, "compact", lambda: {place.path: place.rows_to_write() for place in places})
            observe(progress, engine.percent)
            for place in places:
                started = time.perf_counter()
                progress("compact", place.path, 0, 0, 0.0)
                with engine.working_on(place.path):
                    tables[place.path] = self._compact(engine, place, cutoff, dry_run=dry_run)
                progress("compact", place.path, 0, 0, time.perf_counter() - started)
        orphans = self._orphans(cutoff)
        if orphans and not dry_run and not keep_orphans:
            with effect("orphans"):
                self.ingestion.delete(each.key for each in orphans)
        stores = (self.ingestion, self.processed)
        leftovers = sum(store.remove_leftovers(cutoff, dry_run=dry_run) for store in stores)
        leftovers += remove_old_scratch(self.processed, cutoff, dry_run=dry_run)
        old_sums = drop_old_sums(self.ingestion, cutoff, dry_run=dry_run)
        return CompactReport(tables, len(orphans), sum(each.size for each in orphans), leftovers, old_sums)

    def _places(self, loaded: int | None) -> Iterator[_Place]:
        stars = StarLog(self.processed)
        transformed = stars.newest_batch()
        for source in self.model.sources.values():
            path = path_of(source)
            yield _Place(
                self.ingestion,
                path,
                source.key,
                is_merged=True,
                statistics=lambda lake, source=source: statistics_of(source, lake.columns),  # type: ignore[misc]
                last_batch=None,
                oldest_needed=lambda path=path: _as_of(self.ingestion, path, transformed),  # type: ignore[misc]
            )
        oldest = None if loaded is None else _oldest_needed(stars, loaded, transformed)
        for star in self.model.stars.values():
            is_versioned = star.is_versioned
            yield _Place(
                self.processed,
                star.path,
                star.key,
                is_merged=not is_versioned,
                statistics=lambda _, star=star: star_statistics(star),  # type: ignore[misc]
                # A batch that is transformed again replaces its own files, which it finds by their names. So only
                # files of batches that are done may be merged.
                last_batch=transformed if is_versioned else None,
                oldest_needed=lambda star=star: None if oldest is None else oldest.get(star.name, 0),  # type: ignore[misc]
            )

    def _compact(self, engine: Engine, place: _Place, cutoff: datetime, *, dry_run: bool) -> TableCompaction:
        lake = open_table(place.objects, place.path)
        if lake is None:
            return TableCompaction(skipped="there is no such table yet")
        rewritten, written, renewed, skipped = 0, 0, len(lake.files) if lake.is_older else 0, ""
        now_milliseconds = int(self.clock().timestamp() * 1000)
        try:
            if not dry_run:
                lake = configured(lake, model_of(lake))
            if lake.is_older and not dry_run:
                renew(engine, lake, statistics=place.statistics(lake), now_milliseconds=now_milliseconds)
                lake = open_table(place.objects, place.path) or lake
            rewrites = place.rewrites(data_files(lake))
            rewritten = sum(len(each.files) for each in rewrites)
            if rewrites and not dry_run:
                written = rewrite_files(
                    engine,
                    lake,
                    rewrites,
                    key=place.key,
                    statistics=place.statistics(lake),
                    now_milliseconds=now_milliseconds,
                )
        except OvertakenError:
            logger.warning("%s was left as it is: another run changed it at the same time", place.path)
            rewritten, renewed, skipped = 0, 0, "another run changed it at the same time"
        lake = open_table(place.objects, place.path) or lake
        oldest = place.oldest_needed()
        if oldest is None:
            kept = "which batches are loaded is not known"
            return TableCompaction(rewritten, written, 0, 0, skipped, kept, renewed)
        old = unneeded_files(lake, oldest, cutoff)
        if old and not dry_run:
            with effect("old-files"):
                place.objects.delete(each.key for each in old)
        return TableCompaction(rewritten, written, len(old), sum(each.size for each in old), skipped, renewed=renewed)

    def _orphans(self, cutoff: datetime) -> list[ObjectMeta]:
        """List the old objects of the log that no manifest names."""
        old = [
            each
            for folder in ("baseline/", "changes/")
            for each in self.ingestion.list(folder)
            if each.last_modified < cutoff
        ]
        if not old:
            return []
        log = ChangeLog(self.ingestion)
        # A year has tens of thousands of manifests, and each is a request on S3.
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            manifests = executor.map(log.manifest, range(1, newest_batch(self.ingestion) + 1))
            named = {each.key for manifest in manifests for table in manifest.tables.values() for each in table.objects}
        return [each for each in old if each.key not in named]


def _oldest_needed(stars: StarLog, loaded: int, transformed: int) -> dict[str, int]:
    """Give the oldest version of each star table that a load may still ask for.

    The last loaded batch counts, because a rebuild of the warehouse reads it again. A table that no batch names is left
    out.
    """
    oldest: dict[str, int] = {}
    for batch in range(max(loaded, 1), transformed + 1):
        for name, entry in stars.manifest(batch).tables.items():
            oldest[name] = min(entry.version, oldest.get(name, entry.version))
    return oldest


def _as_of(objects: Objects, path: str, batch: int) -> int:
    newest = open_table(objects, path)
    if newest and 0 < newest.batch <= batch:
        # This is the rule. Otherwise each commit of the table's log is read.
        return newest.version
    # A table that is new in the model begins with a later batch, so all of its versions may be needed.
    lake = open_as_of(objects, path, batch) if batch and first_batch(objects, path) <= batch else None
    return lake.version if lake else 0
