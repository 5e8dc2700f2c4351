"""A function's proof of its own edge: no function may see every place, so each compares the two that it may see."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from tidemark.aws.function import Invocation
from tidemark.errors import DataError, StateError
from tidemark.runs.run import Verified
from tidemark.verification.result import Edge, TableProof

MOST_TABLES = 5
MOST_KEYS = 5


def verified(invocation: Invocation, prove: Callable[[], Edge]) -> dict[str, Any]:
    """Prove an edge and give what the function returns.

    Raises:
        DataError: the two places differ; the message names tables and keys.
        StateError: a table of one of them cannot be read.
    """
    edge = prove()
    if edge.skipped:
        invocation.logger.warning("%s is not verified: %s", edge.name, edge.skipped)
    pending: Counter[str] = Counter()
    for table in edge.tables:
        pending.update(table.pending)
        facts = {"table": table.table, "differences": table.count, "pending": dict(table.pending)}
        invocation.logger.info("%s: %s", edge.name, table.table, extra=facts | {"set_aside": table.set_aside})
    broken = [table for table in edge.tables if not table.is_proven]
    invocation.recording.verified = Verified(len(edge.tables), edge.count, int(bool(edge.skipped)))
    if broken:
        raise _difference(edge, broken)
    return {
        "verified": not edge.skipped,
        "batch": edge.batch,
        "batches": 0,
        "tables": len(edge.tables),
        "pending": sum(pending.values()),
        "set_aside": sum(table.set_aside for table in edge.tables),
    }


def _difference(edge: Edge, broken: list[TableProof]) -> DataError | StateError:
    sentences = [_sentence(table) for table in broken[:MOST_TABLES]]
    if len(broken) > MOST_TABLES:
        sentences.append(f"and {len(broken) - MOST_TABLES} more tables")
    message = f"{edge.name} does not hold as of batch {edge.batch}: {'; '.join(sentences)}"
    advice = "; ".join(dict.fromkeys(table.advice for table in broken if table.advice))
    family = DataError if any(table.count for table in broken) else StateError
    return family(message, advice=advice or "`tidemark verify` shows every difference", batch=edge.batch)


def _sentence(table: TableProof) -> str:
    if table.problem:
        return f"{table.table} {table.problem}"
    keys = [", ".join(f"{name} {value}" for name, value in each.key.items()) for each in table.differences[:MOST_KEYS]]
    cause = f" (likely cause: {table.cause})" if table.cause else ""
    return f"{table.table}: {table.count} keys differ, such as {'; '.join(keys)}{cause}"
