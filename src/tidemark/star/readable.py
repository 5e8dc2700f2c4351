"""Whether the last poll found already that the model's SELECTs can read the source as it is.

A poll that finds nothing changed then does without DuckDB, which takes a fifth of its time.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from tidemark.lake.engine import Engine
from tidemark.log.changelog import Manifest
from tidemark.log.columns import Column
from tidemark.model import Model


def digest_of(model: Model, columns: Mapping[str, Sequence[Column]]) -> str:
    """Give the digest of all on which it depends whether the model's SELECTs can read tables with these columns."""
    shapes = sorted((name, tuple(found)) for name, found in columns.items())
    # The SELECTs as they were read, too: a file may have been edited before the hash was made.
    selects = [star.sql for star in model.stars.values()]
    return hashlib.sha256(repr((model.hash, selects, version("duckdb"), shapes)).encode()).hexdigest()[:16]


def require_bound(
    engine: Engine, model: Model, columns: Mapping[str, Sequence[Column]], head: Manifest | None, known: str | None
) -> None:
    """Check that every SELECT of the model can read the source's tables, if that is not known; see `require_readable`.

    Args:
        engine: binds the SELECTs.
        model: the model.
        columns: the source tables' columns in this snapshot.
        head: the newest batch.
        known: the digest of the model and the columns of which the last poll knew it.
    """
    before = {name: entry.columns for name, entry in head.tables.items()} if head else {}
    changed = {name: before[name] for name, found in columns.items() if before.get(name, found) != found}
    new = columns.keys() - before.keys()
    if changed or new or known != digest_of(model, columns):
        from tidemark.star.binding import require_readable  # noqa: PLC0415 -- see above

        require_readable(engine, model, columns, changed, new)
