"""Verifying a pipeline, and what the verification says of one table."""

from tests.support.pipeline import Rig, clock
from tidemark.verification.result import TableProof, Verification
from tidemark.verification.verify import Verify

LAWS = "laws of the warehouse"
EDGES = ["source = latest", "latest = star", "star = warehouse", LAWS, "records = rows"]
# Copies a row under a key of its own.
COPIED = "select (jsonb_populate_record(t, '{{\"{key}\": {value}}}')).* from {table} as t where {key} = {of}"


def verify(rig: Rig, *, deep: bool = False) -> Verification:
    """Verify a pipeline."""
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    return Verify(*parts, clock).run(deep=deep)


def proof(found: Verification, edge: str, table: str) -> TableProof:
    """Give what an edge says of a table."""
    ((proof,),) = ([each for each in one.tables if each.table == table] for one in found.edges if one.name == edge)
    return proof


def unproven(found: Verification) -> set[tuple[str, str]]:
    """Name the tables that differ, each with its edge."""
    return {(edge.name, table.table) for edge in found.edges for table in edge.tables if not table.is_proven}


def keys(proof: TableProof) -> list[tuple[str, dict[str, str | None]]]:
    """Give the kinds and the keys of the differences."""
    return [(each.kind, dict(each.key)) for each in proof.differences]
