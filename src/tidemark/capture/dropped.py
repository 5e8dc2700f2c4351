"""A table that the source has dropped, as a snapshot in which it is empty: all of its rows are found deleted."""

from collections.abc import Iterator, Sequence

from psycopg import sql

from tidemark.capture.snapshot import EVERY_ROW, Snapshot
from tidemark.capture.sweep import Bucketing, Sums
from tidemark.log.columns import Column
from tidemark.model import SourceTable


class DroppedTable(Snapshot):
    """What a snapshot holds of a table that is not there."""

    def __init__(self, snapshot: Snapshot, columns: Sequence[Column]) -> None:
        self.name, self.captured_at = snapshot.name, snapshot.captured_at
        self._known = tuple(columns)

    def columns(self, table: SourceTable) -> tuple[Column, ...]:
        """Give the columns that it had."""
        del table
        return self._known

    def faults_of_choice(self, table: SourceTable) -> list[str]:
        """Find nothing wrong: nothing is asked of the source."""
        del table
        return []

    def sums(self, table: SourceTable, bucketing: Bucketing) -> Sums:
        """Count no row in any bucket."""
        del table
        return Sums(bucketing, {})

    def _cut(self, table: SourceTable, *, for_each_reader: bool = False) -> list[sql.Composable]:
        """Cut nothing: there are no rows."""
        del table, for_each_reader
        return [EVERY_ROW]

    def _copy(self, table: SourceTable, *statements: sql.Composed) -> Iterator[bytes]:
        """Stream no row, whatever is asked of the table."""
        del table, statements
        return iter(())

    def key_range(self, table: SourceTable) -> None:
        """Give no range, because there are no rows."""
        del table
