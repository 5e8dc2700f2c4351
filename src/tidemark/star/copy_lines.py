"""The star's rows as lines of CSV for COPY, and the checksum of these lines.

delta-rs's own query engine composes the lines and their digests, and Python passes them on in blocks: so what reads the
star for the warehouse needs no DuckDB, and all who take a checksum take it of the same bytes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from deltalake import QueryBuilder

from tidemark.errors import StateError, TidemarkError, TransientError
from tidemark.lake.sqltext import quoted
from tidemark.lake.table import LakeTable

if TYPE_CHECKING:
    from arro3.core import RecordBatch

# Another hash, or lines that are composed otherwise, must have another name: see `are_comparable`.
HASH = "sha256"
WORDS_OF_DIGEST = 4
OPTIONS = {
    # As many rows are held in memory, several times over, and a text may be long.
    "datafusion.execution.batch_size": "2048",
    # One part reads while the lines of the other are on their way to the warehouse.
    "datafusion.execution.target_partitions": "2",
    # Rows go in about the order in which they lie in the files.
    "datafusion.optimizer.repartition_file_scans": "false",
}
FIRST_CHARACTERS = 300
# Since 1970: what Arrow writes as Postgres reads it, from the year 1 to 9999.
EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH
MICROSECONDS = 86_400_000_000
# What DuckDB writes for infinity.
INFINITE_DAY, INFINITE_MICROSECOND = 2**31 - 1, 2**63 - 1


@dataclass
class StarRows:
    """A table's rows of the batches `first` to `last`; what came of them is complete when `blocks` has ended."""

    lake: LakeTable
    columns: Sequence[str]
    first: int
    last: int
    rows: int = 0
    size_bytes: int = 0
    hashes: int = 0

    @property
    def checksum(self) -> str:
        """Give the sum of the rows' hashes, which does not depend on their order, behind the name of the hash."""
        return f"{HASH}:{self.hashes}"

    def blocks(self) -> Iterator[bytes]:
        """Yield the CSV in blocks of whole lines.

        Raises:
            StateError: a data file is missing or altered.
            TransientError: the bucket is away.
        """
        for batch in self._read("line, digest"):
            block = "".join(batch.column("line").to_pylist()).encode()
            self.rows += batch.num_rows
            self.hashes += sum(_hashes(batch))
            self.size_bytes += len(block)
            yield block

    def count(self) -> "StarRows":
        """Read the rows for their number and checksum alone."""
        for batch in self._read("digest"):
            self.rows += batch.num_rows
            self.hashes += sum(_hashes(batch))
        return self

    def _read(self, fields: str) -> "Iterator[RecordBatch]":
        where = f"batch_id between {self.first} and {self.last}"
        yield from _read(self.lake, f"select {fields} from ({_digested(self.lake, self.columns, where)})")


def totals_by_batch(lake: LakeTable, columns: Sequence[str], last: int) -> dict[int, tuple[int, str]]:
    """Count the rows of each batch up to `last`, and take their checksums; a row without a batch counts for batch 0."""
    rows: Counter[int] = Counter()
    hashes: Counter[int] = Counter()
    for each in _read(lake, _digested(lake, columns, f"coalesce(batch_id, 0) <= {last}")):
        batches = each.column("batch").to_pylist()
        rows.update(batches)
        for batch, found in zip(batches, _hashes(each), strict=True):
            hashes[batch] += found
    return {batch: (count, f"{HASH}:{hashes[batch]}") for batch, count in rows.items()}


def are_comparable(one: str, other: str) -> bool:
    """Say whether two checksums were made by the same hash."""
    return one.partition(":")[0] == other.partition(":")[0]


def _hashes(batch: "RecordBatch") -> memoryview:
    """Give the first 64 bits of each row's digest as numbers."""
    digests = b"".join(batch.column("digest").to_pylist())
    return memoryview(digests).cast("Q")[::WORDS_OF_DIGEST]


def _digested(lake: LakeTable, columns: Sequence[str], where: str) -> str:
    parts = ", ',', ".join(_text(name, lake.columns[name]) for name in columns)
    # concat() takes a null for an empty text, and an empty field without quotes is Postgres's null.
    lines = f"select concat({parts}, chr(10)) as line, coalesce(batch_id, 0) as batch from star where {where}"
    return f"select line, batch, digest(line, '{HASH}') as digest from ({lines})"


def _text(name: str, kind: str) -> str:
    """Write the expression that gives a value as Postgres reads it; texts are in quotes, so each line tells its row."""
    column = quoted(name)
    if kind == "VARCHAR":
        return f"""'"' || replace({column}, '"', '""') || '"'"""
    written = f"cast({column} as varchar)"
    if kind == "DATE":
        number = f"cast({column} as int)"
        return _dated(column, written, f"{number} between {FIRST_DAY} and {LAST_DAY}", f"{number} = {{}}{INFINITE_DAY}")
    if kind.startswith("TIMESTAMP"):
        number = f"cast({column} as bigint)"
        within = f"{number} between {FIRST_DAY * MICROSECONDS} and {(LAST_DAY + 1) * MICROSECONDS - 1}"
        return _dated(column, written, within, f"{number} = {{}}{INFINITE_MICROSECOND}")
    return written


def _dated(column: str, written: str, is_plain: str, is_infinite: str) -> str:
    """Write the expression for a date or a time, of which Postgres has infinity and far years otherwise than Arrow."""
    year = f"cast(date_part('year', {column}) as bigint)"
    before_christ = f"lpad(cast(1 - {year} as varchar), 4, '0') || substr({written}, 6) || ' BC'"
    return (
        f"case when {is_plain} then {written} when {column} is null then null"
        f" when {is_infinite.format('')} then 'infinity' when {is_infinite.format('-')} then '-infinity'"
        f" when {year} > 0 then ltrim({written}, '+') else {before_christ} end"
    )


def _read(lake: LakeTable, select: str) -> "Iterator[RecordBatch]":
    with _translated(lake):
        reader = QueryBuilder(OPTIONS).register("star", lake.delta).execute(select)
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
    """Tell what stood in the way of a query, of which delta-rs raises a bare Exception: the files say it better."""
    found = " ".join(str(exc).split())[:FIRST_CHARACTERS]
    actions = lake.delta.get_add_actions(flatten=True)
    sizes = zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True)
    advice = "restore it from the bucket's older versions, or make the table again: tidemark rebuild star"
    try:
        for path, size_bytes in sizes:
            if lake.objects.size(f"{lake.path}/{path}") != size_bytes:
                return StateError(f"{lake.uri(path)} is not the {size_bytes} bytes that were written", advice=advice)
    except StateError as missing:
        return StateError(f"a data file of {lake.path} is missing: {missing.message}", advice=advice)
    except TidemarkError as away:
        return away
    if "Generic S3 error" in found:
        return TransientError(f"{lake.path} could not be read: {found}", advice="run it again")
    return StateError(f"a data file of {lake.path} is altered: {found}", advice=advice)
