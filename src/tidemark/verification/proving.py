"""Proving the tables of an edge one after the other: a table that cannot be read does not stop the others."""

import time
from collections.abc import Callable, Iterable, Iterator

import duckdb
from deltalake.exceptions import DeltaError

from tidemark.disclosure import told
from tidemark.errors import StateError
from tidemark.lake.engine import Engine
from tidemark.report import Progress, observe
from tidemark.verification.result import TableProof

RESTORE = "restore it from the bucket's older versions, or rebuild it from the log"
# Errors of DuckDB about a statement, which say nothing of rows and files.
OF_STATEMENTS = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.NotImplementedException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)
REFUSED = "the engine refused a statement: this says nothing of rows and files"
REPORT = "restore nothing; check the model's SELECT, or report it with the table's definition"


def proofs(
    engine: Engine, edge: str, tables: Iterable[tuple[str, Callable[[], TableProof]]], progress: Progress
) -> tuple[TableProof, ...]:
    """Give a proof for each table of an edge, also for one that cannot be read.

    Raises:
        TransientError: S3 is away.
    """
    return tuple(_proven(engine, edge, tables, progress))


def not_verified(exc: Exception) -> tuple[str, str, str]:
    """Give what was said, the cause, and what to do when DuckDB or delta-rs could not answer."""
    said = told(exc)
    if isinstance(exc, OF_STATEMENTS):
        return f"cannot be compared: {said}", REFUSED, REPORT
    return f"cannot be read: {said}", "a file of it is damaged or gone", RESTORE


def _unreadable(name: str, exc: Exception) -> TableProof:
    problem, cause, advice = not_verified(exc)
    if isinstance(exc, StateError):
        problem, advice = f"cannot be read: {exc.message}", exc.advice or RESTORE
    return TableProof(name, problem=problem, cause=cause, advice=advice)


def _proven(
    engine: Engine, edge: str, tables: Iterable[tuple[str, Callable[[], TableProof]]], progress: Progress
) -> Iterator[TableProof]:
    for name, prove in tables:
        started = time.perf_counter()
        progress(f"verify {edge}", name, 0, 0, 0.0)
        observe(progress, engine.percent)
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
