"""What a verification found: for each edge its tables, and for each table two sides and the keys at which they differ.

The two places of an edge must hold the same. A row that came too late for the last batch is pending, and a row in
quarantine is set aside: neither is a difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["missing", "surplus", "differs", "repeated", "record", "broken"]
MOST_DIFFERENCES = 20
NO_BATCH = "there is no batch yet"
NOT_TRANSFORMED = "no batch has been transformed yet"


@dataclass(frozen=True)
class Difference:
    """One key at which the two sides differ.

    The kinds: a `missing` row is only on the left, a `surplus` one only on the right, a `repeated` one is more often on
    one side than on the other. `record` is a number in Tidemark's own records that others contradict. `broken` is a row
    that breaks a law; then `key` has all that the law says of the row. `values` has both sides' texts of the columns
    that differ.
    """

    kind: Kind
    key: Mapping[str, str | None]
    values: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """How many rows one side has, and a checksum over all of their columns that does not depend on their order."""

    rows: int
    checksum: str


@dataclass(frozen=True)
class TableProof:
    """One table of an edge.

    `count` is the number of keys that differ; `differences` has the first of them. `pending` counts what the next poll
    will bring, `set_aside` the keys in quarantine. `kept` counts the rows that only the right side has, as it should: a
    dimension keeps what the source deleted. `problem` says why the table could not be compared.
    """

    table: str
    left: Side | None = None
    right: Side | None = None
    count: int = 0
    differences: tuple[Difference, ...] = ()
    pending: Mapping[str, int] = field(default_factory=dict)
    set_aside: int = 0
    kept: int = 0
    note: str = ""
    problem: str = ""
    cause: str = ""
    advice: str = ""

    @property
    def is_proven(self) -> bool:
        """Say whether both sides hold the same, apart from what is pending, set aside or kept."""
        return not self.count and not self.problem


@dataclass(frozen=True)
class Loaded:
    """A ledger row: a batch that was loaded, with the rows and checksums that the ledger says it brought."""

    batch: int
    pipeline_id: str
    row_counts: Mapping[str, int]
    checksums: Mapping[str, str]


@dataclass(frozen=True)
class Edge:
    """Two places that must hold the same as of a batch, or one place that must keep its laws: then each law is a table.

    `skipped` says why the edge could not be verified. `exit_code` is that of the error that prevented it, 0 where a
    place is only not configured.
    """

    name: str
    batch: int = 0
    tables: tuple[TableProof, ...] = ()
    skipped: str = ""
    advice: str = ""
    exit_code: int = 0

    @property
    def count(self) -> int:
        """Count the keys that differ; a table that cannot be compared counts as one."""
        return sum(max(table.count, bool(table.problem)) for table in self.tables)


@dataclass(frozen=True)
class Verification:
    """Everything that was verified, and how far each place is."""

    edges: tuple[Edge, ...]
    batches: Mapping[str, int]
    is_deep: bool
    seconds: float

    @property
    def count(self) -> int:
        """Count the differences of all edges."""
        return sum(edge.count for edge in self.edges)

    @property
    def exit_code(self) -> int:
        """Give 5 where there is a difference, otherwise the code of the first error that prevented an edge."""
        return 5 if self.count else next((edge.exit_code for edge in self.edges if edge.exit_code), 0)
