"""The star's rows as lines of CSV for COPY, and the checksum of these lines.

delta-rs's own query engine composes the lines and their digests, and Python passes them on in blocks. So the code that
reads the star for the warehouse needs no DuckDB, and every checksum is taken over the same bytes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, ClassVar

from deltalake import QueryBuilder

from tidemark.errors import StateError, TidemarkError, TransientError
from tidemark.lake.delta_schema import NAIVE
from tidemark.lake.sqltext import Condition, Expression, Select, converted, names, number, quoted, text
from tidemark.lake.table import LakeTable
from tidemark.named_sql import filled

if TYPE_CHECKING:
    from arro3.core import RecordBatch

# Another hash, or another way to compose the lines, needs another name: see `are_comparable`.
HASH = "sha256"
# The fields that are read of each row: its line, the line's digest, the row's batch.
LINE, DIGEST, BATCH = "line", "digest", "batch"
WORDS_OF_DIGEST = 4
# So many rows are held in memory, in several copies, and a text may be long.
ROWS_AT_ONCE = 2048
OPTIONS = {
    # One partition is read while the lines of the other are sent to the warehouse.
    "datafusion.execution.target_partitions": "2",
    # The rows come in about the order in which they lie in the files.
    "datafusion.optimizer.repartition_file_scans": "false",
}
FIRST_CHARACTERS = 300
ADVICE = "restore it from the bucket's older versions, or make the table again: tidemark rebuild star"
# Counted in days since 1970. From the year 1 to 9999 Arrow writes dates and times as Postgres reads them.
EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH
MICROSECONDS = 86_400_000_000
# The numbers that DuckDB stores for infinity.
INFINITE_DAY, INFINITE_MICROSECOND = 2**31 - 1, 2**63 - 1


@dataclass
class StarRows:
    """A table's rows of the batches `first` to `last`; the totals are complete when `blocks` or `count` has ended."""

    lake: LakeTable
    columns: Sequence[str]
    first: int
    last: int
    rows: int = 0
    size_bytes: int = 0
    hashes: int = 0
    is_binary: ClassVar[bool] = False

    @property
    def checksum(self) -> str:
        """Give the name of the hash and the sum of the rows' hashes, which does not depend on their order."""
        return f"{HASH}:{self.hashes}"

    def blocks(self) -> Iterator[bytes]:
        """Yield the CSV in blocks of whole lines.

        Raises:
            StateError: a data file is missing or altered.
            TransientError: the bucket is away.
        """
        for batch in self._read(LINE, DIGEST):
            block = "".join(batch.column(LINE).to_pylist()).encode()
            self.rows += batch.num_rows
            self.hashes += sum(_hashes(batch))
            self.size_bytes += len(block)
            yield block

    def count(self) -> "StarRows":
        """Read only the number of the rows and their checksum."""
        for batch in self._read(DIGEST):
            self.rows += batch.num_rows
            self.hashes += sum(_hashes(batch))
        return self

    def _read(self, *fields: str) -> "Iterator[RecordBatch]":
        where = Condition(f"batch_id between {number(self.first)} and {number(self.last)}")
        yield from read(self.lake, _lines(self.lake, self.columns, fields, where))


def totals_by_batch(lake: LakeTable, columns: Sequence[str], last: int) -> dict[int, tuple[int, str]]:
    """Count and sum the rows of each batch up to `last`; a row without a batch counts for batch 0."""
    rows: Counter[int] = Counter()
    hashes: Counter[int] = Counter()
    where = Condition(f"coalesce(batch_id, 0) <= {number(last)}")
    for each in read(lake, _lines(lake, columns, (BATCH, DIGEST), where)):
        batches = each.column(BATCH).to_pylist()
        rows.update(batches)
        for batch, found in zip(batches, _hashes(each), strict=True):
            hashes[batch] += found
    return {batch: (count, f"{HASH}:{hashes[batch]}") for batch, count in rows.items()}


def are_comparable(one: str, other: str) -> bool:
    """Say whether two checksums were made by the same hash."""
    return one.partition(":")[0] == other.partition(":")[0]


def _hashes(batch: "RecordBatch") -> memoryview:
    """Give the first 64 bits of each row's digest as numbers."""
    digests = b"".join(batch.column(DIGEST).to_pylist())
    return memoryview(digests).cast("Q")[::WORDS_OF_DIGEST]


def _lines(lake: LakeTable, columns: Sequence[str], fields: Sequence[str], where: Condition) -> Select:
    values = Expression(", ',', ".join(_text(name, lake.columns[name]) for name in columns))
    parts = {"fields": names(fields), "values": values, "hash": text(HASH), "where": where}
    return Select(filled("datafusion", "lines_of_star", parts))


def _text(name: str, kind: str) -> Expression:
    """Write the expression that gives a value as Postgres reads it.

    Texts are in quotes, so that rows that differ have lines that differ.
    """
    column = quoted(name)
    if kind == "VARCHAR":
        return Expression(f"""'"' || replace({column}, '"', '""') || '"'""")
    written = converted(column, "varchar")
    if kind == "DATE":
        day = converted(column, "int")
        is_plain = Condition(f"{day} between {FIRST_DAY} and {LAST_DAY}")
        return _dated(column, written, is_plain, day, INFINITE_DAY)
    if kind.startswith("TIMESTAMP"):
        if kind == NAIVE:
            # Whether or not the table has it as a moment in UTC, which Arrow would write with its zone.
            column = Expression(f"arrow_cast(arrow_cast({column}, 'Int64'), 'Timestamp(Microsecond, None)')")
            written = converted(column, "varchar")
        moment = converted(column, "bigint")
        first, end = FIRST_DAY * MICROSECONDS, (LAST_DAY + 1) * MICROSECONDS
        is_plain = Condition(f"{moment} between {first} and {end - 1}")
        return _dated(column, written, is_plain, moment, INFINITE_MICROSECOND)
    return written


def _dated(column: Expression, written: Expression, is_plain: Condition, place: Expression, last: int) -> Expression:
    """Write the expression for a date or a time; Postgres writes infinity and far years differently from Arrow.

    `place` is the value as a number since 1970. Infinity is the number `last`, and its opposite is the number `-last`.
    """
    year = converted(Expression(f"date_part('year', {column})"), "bigint")
    before_christ = f"lpad(cast(1 - {year} as varchar), 4, '0') || substr({written}, 6) || ' BC'"
    return Expression(
        f"case when {is_plain} then {written} when {column} is null then null"
        f" when {place} = {last} then 'infinity' when {place} = -{last} then '-infinity'"
        f" when {year} > 0 then ltrim({written}, '+') else {before_christ} end"
    )


def read(lake: LakeTable, select: Select, rows_at_once: int = ROWS_AT_ONCE) -> "Iterator[RecordBatch]":
    """Run a SELECT from `star`, which is the table; see `StarRows.blocks` for the errors."""
    options = {**OPTIONS, "datafusion.execution.batch_size": str(rows_at_once)}
    with _translated(lake):
        reader = QueryBuilder(options).register("star", lake.delta).execute(select)
    while True:
        with _translated(lake):
            batch = next(reader, None)
        if batch is None:
            return
        if batch.num_rows:
            yield batch


@contextmanager
def _translated(lake: LakeTable) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        raise _told(lake, exc) from exc


def _told(lake: LakeTable, exc: Exception) -> TidemarkError:
    """Find out from the files why a query failed, because delta-rs raises a bare Exception that says less."""
    found = " ".join(str(exc).split())[:FIRST_CHARACTERS]
    try:
        for path, size_bytes in lake.sizes.items():
            if lake.objects.size(f"{lake.path}/{path}") != size_bytes:
                return StateError(f"{lake.uri(path)} is not the {size_bytes} bytes that were written", advice=ADVICE)
    except StateError as missing:
        return StateError(f"a data file of {lake.path} is missing: {missing.message}", advice=ADVICE)
    except TidemarkError as away:
        return away
    if "Generic S3 error" in found:
        return TransientError(f"{lake.path} could not be read: {found}", advice="run it again")
    return StateError(f"a data file of {lake.path} is altered: {found}", advice=ADVICE)
