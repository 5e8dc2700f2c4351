"""The sweep: compare source and latest bucket by bucket, so that only buckets that differ are read again.

If the key is one integer, a row's bucket comes from the key, and an index finds the bucket's rows. Otherwise the bucket
comes from the row's hash: a changed row then leaves one bucket and enters another, and both differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidemark.lake.sqltext import Expression

ROWS_PER_BUCKET = 1024
# From so many times as many rows in a bucket on, the buckets are cut into finer ones.
CROWDED = 4
WIDEST_SHIFT = 62
WIDEST_MASK = (1 << 62) - 1
# Above this share of all buckets, one scan of the table is cheaper than one index look-up for each bucket.
SCAN_SHARE = 0.05


@dataclass(frozen=True)
class Sum:
    """How many rows a bucket holds, and the sum of their 64-bit hashes."""

    rows: int
    hashes: int

    def __add__(self, other: "Sum") -> "Sum":
        """Add the rows and the hashes."""
        return Sum(self.rows + other.rows, self.hashes + other.hashes)


NOTHING = Sum(0, 0)


@dataclass(frozen=True)
class Bucketing:
    """How rows fall into buckets: by `key >> shift` or by `hash & mask`."""

    by_key: bool
    shift: int = 0
    mask: int = 0

    def expression(self, key: Expression, hash_column: str = "_hash") -> Expression:
        """Give the bucket of a row of latest as DuckDB SQL, computed from the quoted key column or the hash column."""
        return Expression(f"({key} >> {self.shift})" if self.by_key else f"({hash_column} & {self.mask}::bigint)")

    def bucket_in(self, coarser: "Bucketing", bucket: int) -> int:
        """Give the bucket of a coarser bucketing in which a bucket lies."""
        return bucket >> (coarser.shift - self.shift) if self.by_key else bucket & coarser.mask

    def finer(self, times: int) -> "Bucketing":
        """Cut each bucket into up to `times` as many, as far as that goes."""
        bits = times.bit_length() - 1
        if self.by_key:
            return replace(self, shift=max(0, self.shift - bits))
        return replace(self, mask=min(((self.mask + 1) << bits) - 1, WIDEST_MASK))

    def range_of(self, bucket: int) -> tuple[int, int]:
        """Give the first and the last key of a bucket by key."""
        return bucket << self.shift, (bucket << self.shift) + (1 << self.shift) - 1


@dataclass(frozen=True)
class Sums:
    """The sum of each bucket that holds a row. In a table of latest, rows without a hash may be in the bucket None."""

    bucketing: Bucketing
    buckets: Mapping[int | None, Sum]

    @property
    def total(self) -> Sum:
        """Add up all buckets."""
        return sum(self.buckets.values(), NOTHING)

    @property
    def has_all_hashes(self) -> bool:
        """Say whether no row is known to lack its hash."""
        return None not in self.buckets

    def plus(self, changes: Mapping[int | None, Sum]) -> "Sums":
        """Add what changes add and take away; a bucket that comes to nothing is left out."""
        added = dict(self.buckets)
        for bucket, change in changes.items():
            added[bucket] = added.get(bucket, NOTHING) + change
        return Sums(self.bucketing, {bucket: each for bucket, each in added.items() if each != NOTHING})

    def within(self, coarser: Bucketing) -> "Sums":
        """Add up the buckets that lie in one of a coarser bucketing; every row is known to have its hash."""
        if coarser == self.bucketing:
            return self
        added: dict[int | None, Sum] = {}
        for bucket, each in self.buckets.items():
            wider = None if bucket is None else self.bucketing.bucket_in(coarser, bucket)
            added[wider] = added.get(wider, NOTHING) + each
        return Sums(coarser, added)

    def wanted_bucketing(self) -> Bucketing:
        """Give the bucketing for the next sweep: this one, or a finer one where the buckets have become crowded."""
        fill = self.total.rows // (ROWS_PER_BUCKET * max(1, len(self.buckets)))
        return self.bucketing.finer(fill) if fill >= CROWDED else self.bucketing


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


def differing(expected: Mapping[int | None, Sum], found: Mapping[int | None, Sum]) -> list[int]:
    """Name the buckets whose count or sum differ, in order."""
    both = expected.keys() | found.keys()
    return sorted(each for each in both if each is not None and expected.get(each) != found.get(each))


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
