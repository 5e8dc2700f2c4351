"""The examination: every check in the order of a run, each by itself."""

import platform
from collections.abc import Callable, Iterator
from importlib import metadata

import psycopg

from tidemark import __version__
from tidemark.doctor.finding import Finding
from tidemark.doctor.places import examine_bucket, examine_pointer, examine_scratch, examine_star
from tidemark.doctor.selects import examine_selects, examine_shapes
from tidemark.doctor.source import examine_source
from tidemark.doctor.warehouse import examine_warehouse
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.scratch import remove_leftovers
from tidemark.pipeline import Pipeline

LIBRARIES = ("psycopg", "duckdb", "deltalake", "boto3")


def examine(make_pipeline: Callable[[], Pipeline]) -> Iterator[Finding]:
    """Yield the findings in the order of a run; an area that cannot be checked is a failure, and the rest goes on."""
    yield Finding("versions", "pass", _versions())
    try:
        pipeline = make_pipeline()
    except ConfigError as exc:
        yield from (Finding("settings", "failure", problem, exc.advice) for problem in exc.problems)
        return
    yield from _guarded("settings", _settings(pipeline))
    yield from examine_scratch(remove_leftovers())
    yield from _guarded("model", examine_shapes(pipeline))
    yield from _guarded("source", examine_source(pipeline))
    yield from _guarded("model", examine_selects(pipeline))
    for name, bucket in (("ingestion", lambda: pipeline.ingestion), ("processed", lambda: pipeline.processed)):
        yield from _guarded(name, examine_bucket(name, bucket))
    yield from _guarded("processed", examine_star(pipeline))
    yield from _guarded("pointer", examine_pointer(pipeline))
    yield from _guarded("warehouse", examine_warehouse(pipeline))


def _guarded(area: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except TidemarkError as exc:
        yield Finding(area, "failure", exc.message, exc.advice)


def _versions() -> str:
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    libpq = psycopg.pq.version()
    shown = f"libpq {libpq // 10000}.{libpq % 10000}"
    return f"tidemark {__version__}, Python {platform.python_version()}, {libraries}, {shown}"


def _settings(pipeline: Pipeline) -> Iterator[Finding]:
    model = pipeline.model
    tables = f"{len(model.sources)} source tables, {len(model.stars)} star tables"
    yield Finding("settings", "pass", f"model {model.name} at {model.directory}: {tables}")
    if pipeline.source_model.needs_salt:
        yield Finding("settings", "pass", "there is a salt for what the model masks")
