"""Causes: what most likely made two sides differ, and what to do, concluded from what the other edges found."""

from collections.abc import Sequence
from dataclasses import replace

from tidemark.model import Model
from tidemark.verification.result import Edge, TableProof

SOURCE, STAR, WAREHOUSE, RECORDS = "source = latest", "latest = star", "star = warehouse", "records = rows"
LAWS = "laws of the warehouse"
# A law that is the model's own is named by its file.
FIT, OBJECTS, VIEWS, CHECKS = "tables and ledger", "objects of the model", "current views", "checks/"


def explained(edges: Sequence[Edge], model: Model, *, is_other_model: bool) -> tuple[Edge, ...]:
    """Add the likely cause and what to do to each table that differs, where its own edge could not say."""
    unproven = {edge.name: {table.table for table in edge.tables if not table.is_proven} for edge in edges}
    recorded = {
        difference.key.get("table")
        for edge in edges
        if edge.name == RECORDS
        for table in edge.tables
        if table.table == "star"
        for difference in table.differences
    }
    sources = unproven.get(SOURCE, set())
    # Checksums cover all rows of a table of versions, but those of another only until a later batch changes them.
    altered = recorded | {
        name
        for name in unproven.get(STAR, set()) & unproven.get(WAREHOUSE, set())
        if not model.stars[name].is_versioned and not sources.intersection(model.stars[name].reads)
    }

    def cause(edge: Edge, table: TableProof) -> tuple[str, str]:
        if edge.name == WAREHOUSE:
            if table.table in altered:
                return "the star was altered after it was loaded", "tidemark rebuild star"
            return "the warehouse was altered, but not by load", "tidemark rebuild warehouse"
        if table.table in altered:
            return "the star was altered after it was transformed", "tidemark rebuild star"
        read = sorted(sources.intersection(model.stars[table.table].reads))
        if read:
            return f"latest was altered: {', '.join(read)}", "tidemark rebuild latest"
        if is_other_model:
            return "the model was changed after the star was transformed", "tidemark rebuild star"
        return "latest or the star was altered", "tidemark verify --deep says which"

    def with_cause(edge: Edge, table: TableProof) -> TableProof:
        if table.is_proven or table.cause:
            return table
        if edge.name == LAWS:
            likely, advice = _cause_of_breach(table.table, is_altered=bool(unproven.get(WAREHOUSE)))
        else:
            likely, advice = cause(edge, table)
        return replace(table, cause=likely, advice=advice)

    return tuple(
        replace(edge, tables=tuple(with_cause(edge, table) for table in edge.tables))
        if edge.name in {STAR, WAREHOUSE, LAWS}
        else edge
        for edge in edges
    )


def _cause_of_breach(law: str, *, is_altered: bool) -> tuple[str, str]:
    """Say why a law is broken; `is_altered` says that the warehouse does not hold what the star holds."""
    if law == VIEWS:
        return (
            "the view is not the one that tidemark init makes",
            "tidemark init; if the model makes this view itself, mend it there",
        )
    if is_altered:
        return "the warehouse was altered, but not by load", "tidemark rebuild warehouse"
    if law.startswith(CHECKS):
        return "rows of the source break it", f"correct them in the source, or mend {law}.sql in the model"
    return "the star holds the same rows", "tidemark rebuild star, then tidemark rebuild warehouse"
