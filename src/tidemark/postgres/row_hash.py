"""The hash of a row, computed by Postgres: what the sweep and the proof of the warehouse add up."""

from collections.abc import Mapping, Sequence

from psycopg import sql

# Who changes what goes into the hash raises `WAY_OF_HASHING` in capture/poll.py: old hashes then are not compared.
#
# Types for which Postgres's hash has no rule that gives two values with different text the same hash. The first four
# have at most 32 bits, and Postgres mixes these into 64. The others are hashed byte by byte.
HASHED_AS_THEY_ARE = {"smallint", "integer", "boolean", "date", "uuid", "bytea"}
# The hash of a numeric leaves out sign and scale, bpchar as text lacks its last spaces, and the hash of a bigint or of
# a timestamp combines its two halves into 32 bits. The binary form of all of them is exact.
HASHED_AS_SENT = {
    "bigint": "int8send",
    "numeric": "numeric_send",
    "bpchar": "bpcharsend",
    "timestamp without time zone": "timestamp_send",
    "timestamp with time zone": "timestamptz_send",
}
TEXTS = {"text", "character varying"}


def hash_of(types: Mapping[str, str], key: Sequence[str], prefix: sql.Composable) -> sql.Composable:
    """Compose the 64-bit hash of a row: rows whose text differs have different hashes, except by chance.

    Postgres's hash of a record is linear in the hashes of its fields. So the sum over a bucket would stay the same if
    two rows swapped their values in a column. Therefore the hash of the key is the seed of the hash of the row.

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
    """Compose what stands for a value in its row's hash: hashes are equal if the text is equal, and only then.

    In some types, values with different text are equal, and values that are not equal can have the same hash: the
    numerics 1.0, 1.00 and -1 have one hash, and so have the bigints 1 and 4294967296, and two timestamps that lie
    4294967297 microseconds apart. Such types go in as their binary form, text as its bytes whatever its collation, and
    every type that is not known to be exact as its text.
    """
    if base_type in HASHED_AS_THEY_ARE:
        return value
    if base_type in TEXTS:
        return value + sql.SQL(' collate "C"')
    if base_type in HASHED_AS_SENT:
        return sql.SQL("{}({})").format(sql.Identifier(HASHED_AS_SENT[base_type]), value)
    return sql.SQL('cast({} as text) collate "C"').format(value)
