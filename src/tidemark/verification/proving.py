"""Proving the tables of an edge one after the other: a table that cannot be read does not stop the others."""

import time
from collections.abc import Callable, Iterable, Iterator

import duckdb
from deltalake.exceptions import DeltaError

from tidemark.errors import StateError
from tidemark.lake.engine import Engine, first_line
from tidemark.report import Progress
from tidemark.verification.result import TableProof

RESTORE = "restore it from the bucket's older versions, or rebuild it from the log"


def proofs(
    engine: Engine, edge: str, tables: Iterable[tuple[str, Callable[[], TableProof]]], progress: Progress
) -> tuple[TableProof, ...]:
    """Give a proof for each table of an edge, also for one that cannot be read.

    Raises:
        TransientError: S3 is away.
    """
    return tuple(_proven(engine, edge, tables, progress))


def _unreadable(name: str, exc: Exception) -> TableProof:
    said, advice = (exc.message, exc.advice) if isinstance(exc, StateError) else (first_line(exc), "")
    problem = f"cannot be read: {said}"
    return TableProof(name, problem=problem, cause="a file of it is damaged or gone", advice=advice or RESTORE)


def _proven(
    engine: Engine, edge: str, tables: Iterable[tuple[str, Callable[[], TableProof]]], progress: Progress
) -> Iterator[TableProof]:
    for name, prove in tables:
        started = time.perf_counter()
        progress(f"verify {edge}", name, 0, 0, 0.0)
        failed_before = len(engine.failures)
        try:
            with engine.working_on(name):
                proof = prove()
        except (duckdb.Error, DeltaError, StateError) as exc:
            # DuckDB hides whether S3 was away or had no such object.
            failure = next(iter(engine.failures[failed_before:]), None)
            if failure and not isinstance(failure, StateError):
                raise failure from exc
            proof = _unreadable(name, exc)
        for path in engine.scratch.iterdir():
            if path.is_file():
                path.unlink()
        rows = proof.left.rows if proof.left else 0
        progress(f"verify {edge}", name, rows, 0, time.perf_counter() - started)
        yield proof
