"""The sweep: compare source and latest bucket by bucket, so that only buckets that differ are read again.

If the key is one integer, a row's bucket comes from the key, and an index finds the bucket's rows. Otherwise the bucket
comes from the row's hash: a changed row then leaves one bucket and enters another, and both differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidemark.lake.sqltext import Expression

ROWS_PER_BUCKET = 1024
WIDEST_SHIFT = 62
# Above this share of all buckets, one scan of the table is cheaper than one index look-up for each bucket.
SCAN_SHARE = 0.05


@dataclass(frozen=True)
class Sum:
    """How many rows a bucket holds, and the sum of their 64-bit hashes."""

    rows: int
    hashes: int


@dataclass(frozen=True)
class Bucketing:
    """How rows fall into buckets: by `key >> shift` or by `hash & mask`."""

    by_key: bool
    shift: int = 0
    mask: int = 0

    def expression(self, key: Expression, hash_column: str = "_hash") -> Expression:
        """Give the bucket of a row of latest as DuckDB SQL, computed from the quoted key column or the hash column."""
        return Expression(f"({key} >> {self.shift})" if self.by_key else f"({hash_column} & {self.mask}::bigint)")

    def range_of(self, bucket: int) -> tuple[int, int]:
        """Give the first and the last key of a bucket by key."""
        return bucket << self.shift, (bucket << self.shift) + (1 << self.shift) - 1


def bucketing_for(key_range: tuple[int, int] | None, rows: int, *, by_key: bool) -> Bucketing:
    """Choose buckets of about 1,024 rows.

    Args:
        key_range: the lowest and the highest key in source and latest, if the key is one integer.
        rows: about how many rows there are.
        by_key: whether the key is one integer.
    """
    wanted = max(1, rows // ROWS_PER_BUCKET)
    if not by_key:
        return Bucketing(by_key=False, mask=(1 << wanted.bit_length()) - 1)
    low, high = key_range or (0, 0)
    shift = max(0, ((high - low) // wanted).bit_length())
    return Bucketing(by_key=True, shift=min(shift, WIDEST_SHIFT))


def differing(expected: Mapping[int, Sum], found: Mapping[int, Sum]) -> list[int]:
    """Name the buckets whose count or sum differ, in order."""
    return sorted(bucket for bucket in expected.keys() | found.keys() if expected.get(bucket) != found.get(bucket))


def ranges(buckets: Iterable[int], bucketing: Bucketing) -> list[tuple[int, int]]:
    """Join neighbouring buckets by key into ranges of keys, ends included."""
    joined: list[tuple[int, int]] = []
    for bucket in sorted(buckets):
        low, high = bucketing.range_of(bucket)
        if joined and joined[-1][1] + 1 == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined


def total(sums: Mapping[int, Sum]) -> Sum:
    """Add up all buckets."""
    return Sum(sum(each.rows for each in sums.values()), sum(each.hashes for each in sums.values()))
