"""One batch while it is transformed: its inputs, and what it did to each star table."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property

from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine
from tidemark.lake.files import only_of
from tidemark.lake.sqltext import Expression, Rows, from_parquet, text
from tidemark.lake.table import Change, LakeTable
from tidemark.log.changelog import Manifest
from tidemark.model import Model, StarTable
from tidemark.star.copy_lines import HASH, StarRows
from tidemark.star.limits import Limit
from tidemark.star.quarantine import Quarantine
from tidemark.star.shape import faults_of_select
from tidemark.star.sources import SourceTables
from tidemark.star.star_manifest import StarEntry, loaded_columns
from tidemark.star.writer import StarWriter

NO_YEARS: frozenset[int] = frozenset()
# A manifest names no more of a table's data files.
FEW_FILES = 16


@dataclass(frozen=True)
class Outcome:
    """What a batch did to one star table: its entry for the manifest, the bytes written, the years in its rows."""

    entry: StarEntry
    size_bytes: int
    years: frozenset[int]
    read: Callable[[], Rows]

    @cached_property
    def rows(self) -> Rows:
        """Give the table's rows as the batch left them; of the columns at least the key."""
        return self.read()


@dataclass(frozen=True)
class Batch:
    """The inputs of one batch and the parts that write its rows; `limits` has those of each star table's columns."""

    model: Model
    manifest: Manifest
    engine: Engine
    sources: SourceTables
    limits: Mapping[str, Mapping[str, Limit]]
    quarantine: Quarantine
    writer: StarWriter

    @property
    def number(self) -> int:
        """Give the batch's number."""
        return self.manifest.batch

    @property
    def captured_at(self) -> Expression:
        """Write the moment of the batch's snapshot as a text in UTC, without a zone."""
        return text(self.manifest.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" "))

    def open(
        self, star: StarTable, before: Mapping[str, str], yielded: Mapping[str, str], after: Mapping[str, str]
    ) -> LakeTable:
        """Open a star table with the columns `before`, those that its SELECT yields, and `after`; see `StarWriter`.

        Raises:
            ConfigError: the SELECT does not fit the table.
        """
        limits = self.limits[star.name]
        wrong = faults_of_select(star, yielded, limits)
        if wrong:
            raise ConfigError.of(wrong, advice="mend the model")
        mine = {
            name: limits[name].of_yield(kind).lake_type if name in limits else kind for name, kind in yielded.items()
        }
        return self.writer.open(star, {**before, **mine, **after})

    def outcome(
        self,
        star: StarTable,
        lake: LakeTable,
        changes: Sequence[Change],
        set_aside: int,
        released: int,
        years: frozenset[int] = NO_YEARS,
    ) -> Outcome:
        """Say what the batch did to a star table.

        Args:
            star: the star table.
            lake: the table as it is now.
            changes: what was committed to it.
            set_aside: how many rows went to quarantine.
            released: how many rows left quarantine.
            years: see `Outcome`.
        """
        found = StarRows(lake, loaded_columns(star, lake.columns), self.number, self.number).count()
        entry = StarEntry(
            rows=found.rows,
            version=lake.version,
            set_aside=set_aside,
            released=released,
            open=self.quarantine.open_count(star) + set_aside - released,
            checksum=found.checksum,
            live=lake.files if star.kind == "dimension" and len(lake.files) <= FEW_FILES else (),
            files=only_of(lake, changes, self.number, found.rows),
        )
        return Outcome(entry, sum(action.size for change in changes for action in change.added), years, lake.rows)

    def untouched(self, star: StarTable, years: Collection[int]) -> Outcome | None:
        """Give what the batch did to a star table that it leaves as it is, without opening it; None if it may touch it.

        A table that the model may have changed, and one with open rows in quarantine, is always opened.

        Args:
            star: the star table.
            years: the years that the batch's facts name.
        """
        before = self.writer.before
        left = before.tables.get(star.name) if before and before.model == self.model.hash else None
        if left is None or left.open or self.manifest.replay.get(star.name):
            return None
        if set(years) - set(left.years) if star.kind == "calendar" else self.sources.has_changes(star):
            return None
        entry = StarEntry(0, left.version, checksum=f"{HASH}:0", years=left.years, live=left.live)
        return Outcome(entry, 0, NO_YEARS, lambda: self._rows_left(star, left))

    def _rows_left(self, star: StarTable, left: StarEntry) -> Rows:
        """Give the rows of a star table as the batch before left it; `compact` keeps the files of that version."""
        name = star.row_key[0]
        key = self.limits[star.name].get(name)
        if not left.live or key is None:
            return self.writer.open_again(star.path).rows()
        uris = [self.writer.processed.url(f"{star.path}/{file}") for file in left.live]
        return from_parquet(uris, {name: key.lake_type})
