"""A pipeline that is killed at a fault point or at any moment, and what lies where after it, to compare.

The run that is to be killed is a process of its own, forked from a server that has the libraries loaded already: a kill
costs the run alone, not half a second of imports.
"""

import datetime as dt
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from tests.support.commands import COMMANDS
from tests.support.pipeline import LAG, Rig, Row, an_engine_for
from tidemark import faults
from tidemark.errors import OvertakenError, TidemarkError
from tidemark.lake.spark_rows import DUCKDB
from tidemark.lake.sqltext import Select, names
from tidemark.lake.table import open_table
from tidemark.log.pointer import open_pointer
from tidemark.mirror import Scope, open_model
from tidemark.model import StarTable
from tidemark.objects import open_objects
from tidemark.star.star_log import StarLog

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

STAGES = ("ingest", "transform", "load")
WORK = {"ingest": Rig.ingest, "transform": Rig.transform, "load": Rig.load, **COMMANDS}
PATIENCE_SECONDS = 120
# What a process ends with that another has overtaken; its family's own code would hide other StateErrors.
OVERTAKEN = 60

logger = logging.getLogger(__name__)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.support.kills"])


@dataclass(frozen=True)
class Addresses:
    """Where a pipeline's parts lie, in words that another process understands."""

    model: str
    source_url: str
    warehouse_url: str
    place: str
    pointer: str
    environment: Mapping[str, str] = field(default_factory=dict)
    runs_on: str = DUCKDB

    def rig(self) -> Rig:
        """Open the parts."""
        return Rig(
            model=open_model(self.model, Scope()),
            source_url=self.source_url,
            warehouse_url=self.warehouse_url,
            ingestion=open_objects(f"{self.place}/ingestion"),
            processed=open_objects(f"{self.place}/processed"),
            pointer=open_pointer(self.pointer),
            lag=LAG,
            runs_on=self.runs_on,
        )


def start(site: Addresses, stages: tuple[str, ...] = STAGES, *, fault: str | None = None) -> "ForkServerProcess":
    """Start stages or commands in a process of their own, which may be armed to end at a fault point."""
    process = _context.Process(target=_work, args=(site, stages, fault))
    process.start()
    return process


def end_of(process: "ForkServerProcess") -> int:
    """Wait for a process and return its exit code: 0, that of an error's family, or minus the signal's number."""
    process.join(PATIENCE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"a run was not through after {PATIENCE_SECONDS} seconds")
    code: int = process.exitcode
    process.close()
    return code


def killed_at(site: Addresses, fault: str, stages: tuple[str, ...] = STAGES) -> bool:
    """Run stages or commands with a fault point armed, and say whether they ended there."""
    return end_of(start(site, stages, fault=fault)) == -signal.SIGKILL


def reached(rig: Rig) -> Mapping[str, int]:
    """Return how far a pipeline's commit points have come: the last batch of each stage."""
    head = max((each.key for each in rig.ingestion.list("batches/")), default="")
    ledger = rig.ledger()
    return {
        "log": int(head.rpartition("/")[2].removesuffix(".json") or 0),
        "star": StarLog(rig.processed).newest_batch(),
        "warehouse": max(ledger, default=0),
    }


def contents(rig: Rig) -> dict[str, Any]:
    """Return all that a pipeline's run made, as two pipelines over one source must have it alike.

    What is bound to differ is put in words: the moment of a batch's snapshot (a delete is valid from it) becomes the
    number of the batch; run ids, pipeline ids, file names and Delta versions are left out.
    """
    manifests = rig.manifests()
    rig = replace(rig, model=rig.model.following(manifests[-1].mirrored))
    moments = {
        manifest.captured_at.astimezone(dt.UTC).replace(tzinfo=None): f"the snapshot of batch {manifest.batch}"
        for manifest in manifests
    }
    found: dict[str, Any] = {}
    for manifest in manifests:
        for name, entry in manifest.tables.items():
            objects = [(each.rows, each.bytes, each.sha256) for each in entry.objects]
            found[f"log {manifest.batch} {name}"] = asdict(entry) | {"objects": objects}
    for name in rig.model.sources:
        found[f"latest {name}"] = rig.latest(name)
    for batch in range(1, StarLog(rig.processed).newest_batch() + 1):
        tables = StarLog(rig.processed).manifest(batch).tables
        found[f"processed {batch}"] = {name: entry.rows for name, entry in tables.items()}
    for name, star in rig.model.stars.items():
        found[f"star {name}"] = _lake_rows(rig, star, moments)
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("set timezone to 'UTC'")
        for name, star in rig.model.stars.items():
            rows = connection.execute(sql.SQL("table {}").format(sql.Identifier(*star.place))).fetchall()
            found[f"warehouse {name}"] = sorted((_in_words(row, moments) for row in rows), key=repr)
        ledger = connection.execute("select batch, captured_at, row_counts from tidemark.batch order by batch")
        found["ledger"] = [
            (batch, moments[captured_at.replace(tzinfo=None)], counts) for batch, captured_at, counts in ledger
        ]
    return found


def unlike(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs, by name, as (expected, found)."""
    everything = [*expected, *(name for name in found if name not in expected)]
    return {name: (expected.get(name), found.get(name)) for name in everything if expected.get(name) != found.get(name)}


def _work(site: Addresses, stages: tuple[str, ...], fault: str | None) -> None:
    os.environ.update(site.environment)  # noqa: TID251 -- the server was started in another test's environment
    if fault:
        faults.arm(fault)
    rig = site.rig()
    try:
        for stage in stages:
            WORK[stage](rig)
    except TidemarkError as exc:
        logger.info("%s: %s", type(exc).__name__, exc)
        sys.exit(OVERTAKEN if isinstance(exc, OvertakenError) else exc.exit_code)


def _lake_rows(rig: Rig, star: StarTable, moments: Mapping[dt.datetime, str]) -> list[Row]:
    table = open_table(rig.processed, star.path)
    assert table is not None, f"there is no {star.name} in the lake"
    with an_engine_for(rig.processed) as engine:
        words = {
            engine.value(Select("select ?::timestamp::varchar"), [moment]): word for moment, word in moments.items()
        }
        # As text: DuckDB gives times with a zone to Python by way of a library that nothing here needs.
        texts = Select(f"select columns(*)::varchar from {table.rows()} order by {names(star.key)}")
        rows = engine.execute(texts).fetchall()
    return [tuple(words.get(value, value) for value in row) for row in rows]


def _in_words(row: Row, moments: Mapping[dt.datetime, str]) -> Row:
    return tuple(moments.get(value, value) if isinstance(value, dt.datetime) else value for value in row)
