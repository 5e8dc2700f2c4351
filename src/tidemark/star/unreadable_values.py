"""Doubt: which rows of a star table are made with a value that a model cannot read, in whatever table it lies.

Such a value is presented as null, and a null says nothing of itself once a SELECT has joined, compared or counted it.
So the SELECT runs twice, once with some other value in its place: the rows that differ depend on it.
"""

from collections.abc import Iterable, Mapping

from tidemark.lake.sqltext import names
from tidemark.model import StarTable
from tidemark.star.batch import Batch
from tidemark.star.quarantine import DOUBT
from tidemark.star.star_sql import doubted

DOUBTFUL = "doubtful_rows"
FILLED = "filled_rows"


def with_doubts(
    batch: Batch, star: StarTable, rows: str, key: tuple[str, ...], changed: Mapping[str, str], tables: Iterable[str]
) -> str:
    """Write a SELECT of judged rows in which those that depend on what cannot be read are wrong as well.

    Args:
        batch: the batch.
        star: the star table.
        rows: a SELECT of its judged rows.
        key: the columns by which they are known.
        changed: see `Batch.present`; the views are made such when this returns.
        tables: the source tables to look into, of those that the star table reads.
    """
    samples = [batch.unreadable(star, name, changed.get(name)) for name in tables]
    found = [sample for sample in samples if sample]
    if not found:
        batch.present(star, changed)
        return rows
    batch.present(star, changed, filled=True)
    batch.engine.execute(f"create or replace temp table {FILLED} as {star.sql}")
    batch.present(star, changed)
    differing = f"select * from ({star.sql}) except select * from {FILLED}"
    batch.engine.execute(f"create or replace temp table {DOUBTFUL} as select distinct {names(key)} from ({differing})")
    return doubted(rows, DOUBTFUL, key, f"{DOUBT}, such as {found[0]}")
