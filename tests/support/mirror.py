"""A look at a mirror: its model as of the newest batch, its proof, its columns, and whether it is as the source is."""

from tests.support.pipeline import Rig, as_text, clock
from tidemark.mirror import Mirror
from tidemark.verification.result import Verification
from tidemark.verification.verify import Verify


def known(rig: Rig) -> Mirror:
    """Give the mirror as of the newest batch, as commands see it."""
    model = rig.model.following(rig.newest().mirrored)
    assert isinstance(model, Mirror)
    return model


def verified(rig: Rig) -> Verification:
    """Verify all places and the log to the bottom."""
    parts = (rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url, clock, None)
    return Verify(known(rig), *parts).run(deep=True)


def columns(rig: Rig, schema: str, table: str) -> list[tuple[str, str]]:
    """Give a table's columns in the warehouse, with their types."""
    return rig.warehouse(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 order by attnum",
        [f"{schema}.{table}"],
    )


def same(rig: Rig, query: str) -> bool:
    """Say whether source and warehouse answer a query with the same texts."""
    return as_text(rig.source_url, query) == as_text(rig.warehouse_url, query)
