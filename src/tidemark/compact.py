"""Compaction: small data files of the lake become large ones, and what nothing needs any more is removed.

The rows stay the same, and so does every version that a reader may still ask for: the one that the next batch to be
transformed reads, those of the batches that are not loaded yet, and all that were current within the retention.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tidemark.errors import ConfigError, OvertakenError, StateError
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.sqltext import names, text
from tidemark.lake.table import Change, LakeTable, open_as_of, open_table, write_file
from tidemark.log.changelog import ChangeLog, newest_batch
from tidemark.log.latest import path_of, statistics_of
from tidemark.model import Model, StarTable
from tidemark.objects import ObjectMeta, Objects
from tidemark.report import Progress, quiet
from tidemark.star.star_manifest import newest_processed, read_processed

if TYPE_CHECKING:
    from deltalake.transaction import AddAction

logger = logging.getLogger(__name__)
# A merge rewrites each file that it touches, so latest and the dimensions keep theirs small; a fact is only added to.
MERGED_BYTES = 16 << 20
FACT_BYTES = 64 << 20
RETENTION = timedelta(days=7)
SHORTEST_RETENTION = timedelta(hours=1)
ROW_GROUP_ROWS = 122_880
READERS = 16


@dataclass(frozen=True)
class DataFile:
    """A data file of a Delta table; `last_batch` is the highest batch of its rows, None where it is not recorded."""

    path: str
    size_bytes: int
    rows: int
    last_batch: int | None


@dataclass(frozen=True)
class TableCompaction:
    """What became of one table, or would: files rewritten into how many, old files removed; why not, if so."""

    rewritten: int = 0
    written: int = 0
    removed: int = 0
    removed_bytes: int = 0
    skipped: str = ""
    kept: str = ""


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did: its tables by folder, and the objects that were part of nothing."""

    tables: Mapping[str, TableCompaction]
    orphans: int
    orphan_bytes: int
    leftovers: int


@dataclass(frozen=True)
class _Place:
    """A table of the lake: where it lies, how its rows are ordered, which files and old versions are free to go."""

    objects: Objects
    path: str
    key: Sequence[str]
    target_bytes: int
    splits: bool
    statistics: Callable[[LakeTable], list[str]]
    last_batch: int | None
    oldest_needed: Callable[[], int | None]


@dataclass(frozen=True)
class Compact:
    """The parts that a compaction works with.

    `loaded` gives the last batch that the warehouse holds; None if there is no telling, and then no old file of the
    star goes.
    """

    model: Model
    ingestion: Objects
    processed: Objects
    clock: Callable[[], datetime]
    loaded: Callable[[], int] | None
    retention: timedelta = RETENTION

    def run(self, *, dry_run: bool = False, progress: Progress = quiet) -> CompactReport:
        """Compact every table of latest and of the star, then remove what is older than the retention and unneeded."""
        if self.retention < SHORTEST_RETENTION:
            message = f"expected a retention of an hour or more, got {self.retention}"
            raise ConfigError(message, advice="a run at work may still need what is younger")
        cutoff = self.clock() - self.retention
        loaded = self.loaded() if self.loaded else None
        tables = {}
        with open_engine([self.ingestion, self.processed], threads=1) as engine:
            for place in self._places(loaded):
                progress("compact", place.path, 0, 0, 0.0)
                tables[place.path] = self._compact(engine, place, cutoff, dry_run=dry_run)
        orphans = self._orphans(cutoff)
        if not dry_run:
            self.ingestion.delete(each.key for each in orphans)
        stores = (self.ingestion, self.processed)
        leftovers = sum(store.remove_leftovers(cutoff, dry_run=dry_run) for store in stores)
        return CompactReport(tables, len(orphans), sum(each.size for each in orphans), leftovers)

    def _places(self, loaded: int | None) -> Iterator[_Place]:
        transformed = newest_processed(self.processed)
        for source in self.model.sources.values():
            path = path_of(source)
            yield _Place(
                self.ingestion,
                path,
                source.key,
                MERGED_BYTES,
                splits=True,
                statistics=lambda lake, source=source: statistics_of(source, lake.columns),  # type: ignore[misc]
                last_batch=None,
                oldest_needed=lambda path=path: _as_of(self.ingestion, path, transformed),  # type: ignore[misc]
            )
        for star in self.model.stars.values():
            is_fact = star.kind == "fact"
            yield _Place(
                self.processed,
                star.path,
                star.key,
                FACT_BYTES if is_fact else MERGED_BYTES,
                splits=not is_fact,
                statistics=lambda _, star=star: star_statistics(star),  # type: ignore[misc]
                # A batch that is being transformed takes its own files back by their name when it is done again.
                last_batch=transformed if is_fact else None,
                oldest_needed=lambda star=star: self._oldest_unloaded(star, loaded, transformed),  # type: ignore[misc]
            )

    def _oldest_unloaded(self, star: StarTable, loaded: int | None, transformed: int) -> int | None:
        if loaded is None:
            return None
        # The last batch that is loaded is read again by a rebuild of the warehouse.
        manifests = (read_processed(self.processed, batch) for batch in range(max(loaded, 1), transformed + 1))
        return min((each.tables[star.name].version for each in manifests if star.name in each.tables), default=0)

    def _compact(self, engine: Engine, place: _Place, cutoff: datetime, *, dry_run: bool) -> TableCompaction:
        lake = open_table(place.objects, place.path)
        if lake is None:
            return TableCompaction(skipped="there is no such table yet")
        groups = groups_to_rewrite(data_files(lake), place.target_bytes, place.last_batch, splits=place.splits)
        rewritten, written, skipped = sum(map(len, groups)), 0, ""
        if groups and not dry_run:
            try:
                written = rewrite_files(
                    engine,
                    lake,
                    groups,
                    key=place.key,
                    target_bytes=place.target_bytes,
                    statistics=place.statistics(lake),
                    now_milliseconds=int(self.clock().timestamp() * 1000),
                )
            except OvertakenError:
                logger.warning("%s was left as it is: another run changed it at the same time", place.path)
                rewritten, skipped = 0, "another run changed it at the same time"
            lake = open_table(place.objects, place.path) or lake
        oldest = place.oldest_needed()
        if oldest is None:
            return TableCompaction(rewritten, written, 0, 0, skipped, "which batches are loaded is not known")
        old = unneeded_files(lake, oldest, cutoff)
        if not dry_run:
            place.objects.delete(each.key for each in old)
        return TableCompaction(rewritten, written, len(old), sum(each.size for each in old), skipped)

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
        # Of a year there are tens of thousands, each a request on S3.
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            manifests = executor.map(log.manifest, range(1, newest_batch(self.ingestion) + 1))
            named = {each.key for manifest in manifests for table in manifest.tables.values() for each in table.objects}
        return [each for each in old if each.key not in named]


def rewrite_files(  # noqa: PLR0913 -- what a table is, and what is to become of it
    engine: Engine,
    lake: LakeTable,
    groups: Sequence[Sequence[DataFile]],
    *,
    key: Sequence[str],
    target_bytes: int,
    statistics: Sequence[str],
    now_milliseconds: int,
) -> int:
    """Put in the place of each group of files new ones of about the wanted size, in the order of the key.

    Returns:
        How many files were written.

    Raises:
        OvertakenError: another run changed the table in between; nothing is lost.
    """
    added: list[AddAction] = []
    for group in groups:
        rows, size_bytes = sum(file.rows for file in group), sum(file.size_bytes for file in group)
        length = -(-rows // max(1, round(size_bytes / target_bytes)))
        source = f"select {names(lake.columns)} from {lake.rows([file.path for file in group])}"
        ordered = engine.new_file(".parquet")
        # By row groups no longer than a file, so that each is found without reading the others.
        options = f"format parquet, row_group_size {max(2048, min(length, ROW_GROUP_ROWS))}"
        engine.execute(f"copy ({source} order by {names(key)}) to {text(str(ordered))} ({options})")
        numbered = f"read_parquet({text(str(ordered))}, file_row_number = true)"
        for first in range(0, rows, length):
            span = f"file_row_number >= {first} and file_row_number < {first + length}"
            action = write_file(
                engine,
                lake,
                f"select * from {numbered} where {span} order by file_row_number",
                batch=None,
                now_milliseconds=now_milliseconds,
                statistics=statistics,
            )
            added += [action] if action else []
        ordered.unlink()
    removed = tuple(file.path for group in groups for file in group)
    before = sum(file.rows for group in groups for file in group)
    after = sum(int(json.loads(action.stats)["numRecords"]) for action in added)
    if before != after:
        message = f"{lake.path}: {before} rows in {len(removed)} files came to {after} in new ones"
        raise StateError(message, advice="nothing was changed; tidemark verify shows what is wrong", table=lake.path)
    known = lake.metadata()
    metadata = {name: known[name] for name in ("model",) if name in known}
    lake.commit(Change(tuple(added), removed), batch=lake.batch, metadata=metadata, same_rows=True)
    return len(added)


def data_files(lake: LakeTable) -> list[DataFile]:
    """List the data files of a table as its log describes them."""
    actions = lake.delta.get_add_actions(flatten=True)
    columns = {name: actions[name].to_pylist() for name in ("path", "size_bytes", "num_records")}
    has_bounds = "max.batch_id" in actions.schema.names
    bounds = actions["max.batch_id"].to_pylist() if has_bounds else [None] * len(columns["path"])
    found = zip(*columns.values(), bounds, strict=True)
    return sorted((DataFile(*each) for each in found), key=lambda file: file.path)


def groups_to_rewrite(
    files: Sequence[DataFile], target_bytes: int, last_batch: int | None, *, splits: bool
) -> list[list[DataFile]]:
    """Choose the files that are to be rewritten: the small ones together and, where it `splits`, each large one alone.

    Args:
        files: the table's files.
        target_bytes: the size that files should have.
        last_batch: the last batch whose rows may move; None if all may.
        splits: whether a file of more than twice the target is too large.
    """
    free = [
        file for file in files if last_batch is None or (file.last_batch is not None and file.last_batch <= last_batch)
    ]
    small = [file for file in free if file.size_bytes < target_bytes / 2]
    large = [[file] for file in free if splits and file.size_bytes > 2 * target_bytes and file.rows > 1]
    return [*([small] if len(small) > 1 else []), *large]


def unneeded_files(lake: LakeTable, oldest_needed: int, cutoff: datetime) -> list[ObjectMeta]:
    """List the old files in a table's folder that no version has which was current since the cutoff or is needed.

    A file that no version has is a killed run's, unless it is young: then a run may be about to commit it.
    """
    folder, log = f"{lake.path}/", f"{lake.path}/_delta_log/"
    found = list(lake.objects.list(folder))
    commits = {
        int(name): each.last_modified
        for each in found
        if each.key.startswith(log)
        for name, _, suffix in [each.key.removeprefix(log).partition(".")]
        if suffix == "json" and name.isdecimal()
    }
    before_cutoff = max((version for version, moment in commits.items() if moment < cutoff), default=0)
    oldest = min(oldest_needed, before_cutoff)
    later = range(oldest + 1, lake.version + 1)
    missing = [version for version in later if version not in commits]
    if missing:
        message = f"{lake.path}: the commits {missing[:5]} are missing from its Delta log"
        raise StateError(message, advice="restore them from the bucket's older versions, or run tidemark rebuild")
    keep = {folder + file for file in lake.files}
    for version in later:
        for line in lake.objects.get(f"{log}{version:020d}.json").splitlines():
            action = json.loads(line)
            if "remove" in action:
                keep.add(folder + unquote(action["remove"]["path"]))
    return [
        each for each in found if not each.key.startswith(log) and each.key not in keep and each.last_modified < cutoff
    ]


def star_statistics(star: StarTable) -> list[str]:
    """Name the columns of a star table by whose bounds readers may skip a file."""
    return [star.key[0], "batch_id"] if star.kind == "fact" else ["batch_id"]


def _as_of(objects: Objects, path: str, batch: int) -> int:
    lake = open_as_of(objects, path, batch) if batch else None
    return lake.version if lake else 0
