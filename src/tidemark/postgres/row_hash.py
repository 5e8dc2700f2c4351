"""The hash of a row, computed by Postgres: what the sweep and the proof of the warehouse add up."""

from collections.abc import Mapping, Sequence

from psycopg import sql

# Hashed by Postgres such that two values with different text never have equal hashes by rule.
HASHED_AS_THEY_ARE = {
    "smallint",
    "integer",
    "boolean",
    "date",
    "uuid",
    "bytea",
    "timestamp without time zone",
    "timestamp with time zone",
}
# A numeric's hash leaves out sign and scale, a bigint's folds its halves into one, and bpchar as text lacks its last
# spaces; their binary form is exact.
HASHED_AS_SENT = {"bigint": "int8send", "numeric": "numeric_send", "bpchar": "bpcharsend"}
TEXTS = {"text", "character varying"}


def hash_of(types: Mapping[str, str], key: Sequence[str], prefix: sql.Composable) -> sql.Composable:
    """Compose the 64-bit hash of a row, in which any two rows with different text differ.

    Postgres's hash of a record is linear in the hashes of its fields, so the sum over a bucket would stay when two rows
    swap their values in a column; hence the hash of the key is the seed of all the others.

    Args:
        types: the columns that are hashed, with their types without modifiers.
        key: the key's columns, which are among them.
        prefix: what stands before a column's name, such as `t.`.
    """
    fields = {name: _hashable(kind, prefix + sql.Identifier(name)) for name, kind in types.items()}
    return sql.SQL("hash_record_extended(row({}), hash_record_extended(row({}), 0))").format(
        sql.SQL(", ").join(fields.values()), sql.SQL(", ").join(fields[name] for name in key)
    )


def _hashable(base_type: str, value: sql.Composable) -> sql.Composable:
    """Compose what stands for a value in its row's hash: equal hashes where the text is equal, and only there.

    Equality is coarser than text for some types, and hashes are coarser than equality: 1.0, 1.00 and -1 are numerics
    with one hash, 1 and 4294967296 bigints. Those go in as their binary form, text as its bytes whatever its collation,
    and every type not known to be exact as its text.
    """
    if base_type in HASHED_AS_THEY_ARE:
        return value
    if base_type in TEXTS:
        return value + sql.SQL(' collate "C"')
    if base_type in HASHED_AS_SENT:
        return sql.SQL("{}({})").format(sql.Identifier(HASHED_AS_SENT[base_type]), value)
    return sql.SQL('cast({} as text) collate "C"').format(value)
