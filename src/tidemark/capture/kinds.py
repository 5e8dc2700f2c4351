"""What kinds of relation can be a source table, and why the others cannot."""

# The relations that LOCK TABLE takes. For a materialised view there is no lock that comes before the snapshot, so its
# rows are as of the poll's first look at them, which keeps a REFRESH waiting until the poll ends.
LOCKABLE = ("r", "p", "v")
MATERIALIZED = "m"
FIT = ("r", "p", MATERIALIZED)
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
