"""What kinds of relation can be a source table, and why the others cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidemark.model import mirror_name

# The relations that LOCK TABLE takes. For a materialised view there is no lock that comes before the snapshot, so its
# rows are as of the poll's first look at them, which keeps a REFRESH waiting until the poll ends.
LOCKABLE = ("r", "p", "v")
MATERIALIZED = "m"
PARTITIONED = "p"
FIT = ("r", PARTITIONED, MATERIALIZED)
# PostgreSQL's pg_class.relkind.
NAMES = {
    "v": "a view",
    "f": "a foreign table",
    "S": "a sequence",
    "c": "a composite type",
    "i": "an index",
    "I": "an index",
    "t": "a TOAST table",
}


@dataclass(frozen=True)
class Relation:
    """What the catalogue says of a relation: kind, columns, their types, and keys, of which the first is the best."""

    schema_name: str
    table_name: str
    kind: str
    is_populated: bool
    is_partition: bool
    may_select: bool
    columns: Sequence[str]
    types: Sequence[str]
    keys: Sequence[Sequence[str]]

    @property
    def name(self) -> str:
        """Give its name in the log."""
        return mirror_name(self.schema_name, self.table_name)


def obstacle(table: str, kind: str, *, is_populated: bool) -> str:
    """Say why a relation of this kind cannot be a source table; empty where it can."""
    if kind not in FIT:
        return (
            f"source table {table!r} is {NAMES.get(kind, 'no table')}: expected a table or a materialised view,"
            " since only these can have the unique index that a key needs"
        )
    if kind == MATERIALIZED and not is_populated:
        return f"source table {table!r} is a materialised view that holds no rows yet: refresh materialized view"
    return ""
