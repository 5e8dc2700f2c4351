"""Verify: prove table by table that source, latest, star and warehouse hold the same, or name the keys that differ.

Each edge is compared as of the last batch that both of its places have, so a run at work does no harm. What the later
place does not have yet is no difference. Verify only reads.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import duckdb
from deltalake.exceptions import DeltaError

from tidemark.capture.source import open_source
from tidemark.capture.source_identity import check_identity
from tidemark.errors import DataError, TidemarkError
from tidemark.lake.engine import Engine, open_engine
from tidemark.log.changelog import ChangeLog, Manifest, with_later_shape
from tidemark.log.fold import scratch_copy
from tidemark.log.latest import open_latest_as_of
from tidemark.log.pointer import PointerStore
from tidemark.model import Model, SourceTable
from tidemark.objects import Objects
from tidemark.report import Progress, Watching, foresee, quiet
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed
from tidemark.verification.causes import LAWS, RECORDS, SOURCE, STAR, WAREHOUSE, explained
from tidemark.verification.latest_star import StarEdge
from tidemark.verification.laws import laws_of_warehouse
from tidemark.verification.log_star import LogEdges
from tidemark.verification.proving import not_verified, proofs
from tidemark.verification.records import (
    Rows,
    concluded,
    first_to_read,
    ledger_laws,
    log_laws,
    object_laws,
    read_records,
    star_laws,
)
from tidemark.verification.result import NO_BATCH, NOT_TRANSFORMED, Edge, Loaded, TableProof, Verification
from tidemark.verification.source_latest import SourceEdge
from tidemark.verification.star_warehouse import WarehouseSnapshot, compared, entries_ahead, open_snapshot

logger = logging.getLogger(__name__)
LOG_LATEST, LOG_STAR = "log = latest", "log = star"


@dataclass(frozen=True)
class Verify:
    """The parts that a verification works with; an address that is not configured is None."""

    model: Model
    ingestion: Objects
    processed: Objects
    pointer: PointerStore
    source_url: str | None
    warehouse_url: str | None
    clock: Callable[[], datetime]
    yield_after: timedelta | None = None

    def run(self, *, deep: bool = False, progress: Progress = quiet) -> Verification:
        """Verify every edge that can be verified.

        Args:
            deep: whether to fold the whole log and read every object of it as well.
            progress: told of each edge's tables.

        Raises:
            StateError: manifests are missing or cannot be read.
        """
        started = time.perf_counter()
        with open_engine([self.ingestion, self.processed]) as engine:
            work = _Work(self, engine, progress, is_deep=deep)
            edges = work.edges()
        return Verification(
            edges=explained(edges, self.model, is_other_model=work.is_other_model),
            batches=work.batches,
            is_deep=deep,
            seconds=time.perf_counter() - started,
        )

    def source_latest(self, progress: Progress = quiet) -> Edge:
        """Compare only the source with latest, for a caller that may see nothing else; every error is raised.

        Raises:
            ConfigError: the source refuses the connection or a right.
            StateError: the source is not the database that the log is of.
            TransientError: one of them is away.
        """
        head = ChangeLog(self.ingestion).newest()
        if head is None:
            return Edge(SOURCE, skipped=NO_BATCH, advice="tidemark ingest")
        with open_engine([self.ingestion]) as engine:
            return _Work(self, engine, progress, is_deep=False).source(head)


class _Work:
    """One verification: the records are read once, and every edge is compared as of a batch that they name."""

    def __init__(self, verify: Verify, engine: Engine, progress: Progress, *, is_deep: bool) -> None:
        self.verify, self.engine, self.progress, self.is_deep = verify, engine, progress, is_deep
        self.model, self.stars = verify.model, StarLog(verify.processed)
        self.done: Processed | None = None
        self.head: Manifest | None = None
        self.first = 1
        self.ledger: list[Loaded] = []
        self.laws: Edge | None = None
        self.batches: dict[str, int] = {"log": 0, "star": 0, "warehouse": 0}

    def edges(self) -> list[Edge]:
        """Verify from the warehouse back to the source, so that a place is read after everything made from it."""
        warehouse = self._asked(WAREHOUSE, self._warehouse)
        laws = self.laws or replace(warehouse, name=LAWS, tables=())
        manifests = self._read_log()
        if self.head is None:
            return [Edge(name, skipped=NO_BATCH) for name in (SOURCE, STAR, WAREHOUSE, LAWS, RECORDS)]
        processed = read_records(self.stars.manifest, self.first, self.batches["star"])
        star = self._asked(STAR, partial(self._star, self.head, manifests))
        records = self._asked(RECORDS, partial(self._records, self.head, manifests, processed))
        source = self._asked(SOURCE, partial(self.source, self.head))
        edges = [source, star, warehouse, laws, records]
        if self.is_deep:
            edges += self._log_edges(self.head, list(manifests.values()))
        return edges

    @property
    def is_other_model(self) -> bool:
        """Say whether another model than the configured one made the star."""
        return self.done is not None and self.done.model != self.model.hash

    def _read_log(self) -> Mapping[int, Manifest]:
        """Find the newest batches of star and log, set `first`, and give the log's manifests from there on."""
        self.done = self.stars.newest()
        newest = self.done.batch if self.done else 0
        log = ChangeLog(self.verify.ingestion)
        self.head = log.newest()
        last = self.head.batch if self.head else 0
        self.batches |= {"star": newest, "log": last}
        self.first = 1 if self.is_deep else first_to_read(newest, last)
        return read_records(log.manifest, self.first, last)

    def _warehouse(self) -> Edge:
        if self.verify.warehouse_url is None:
            return Edge(WAREHOUSE, skipped="no warehouse is configured", advice="set TIDEMARK_WAREHOUSE_URL")
        with open_snapshot(self.verify.warehouse_url) as warehouse:
            self.ledger = warehouse.ledger
            self.batches["warehouse"] = warehouse.batch
            self.laws = self._asked(LAWS, partial(self._laws, warehouse))
            return compared(self.model, self.verify.processed, warehouse, self.progress)

    def _laws(self, warehouse: WarehouseSnapshot) -> Edge:
        ahead: Collection[str] = ()
        model = self.model
        with suppress(TidemarkError):
            # Where the star is away, the laws are checked all the same.
            ahead = entries_ahead(self.stars, warehouse.batch)
            # What a mirror's later batches bring is made by the load of that batch.
            model = model.following(self.stars.manifest(warehouse.batch).mirrored if warehouse.batch else {})
        return laws_of_warehouse(model, warehouse, self.progress, ahead=ahead)

    def _star(self, head: Manifest, manifests: Mapping[int, Manifest]) -> Edge:
        if self.done is None:
            return Edge(STAR, skipped=NOT_TRANSFORMED, advice="tidemark transform")
        seen = {batch: with_later_shape(each, head) for batch, each in manifests.items()}
        edge = StarEdge(self.engine, self.model, self.verify.ingestion, self.stars, seen, self.done)
        return edge.compared(self.progress)

    def source(self, head: Manifest) -> Edge:
        """Compare the source with latest."""
        if self.verify.source_url is None:
            return Edge(SOURCE, skipped="no source is configured", advice="set TIDEMARK_SOURCE_URL")
        with open_source(self.verify.source_url, self.verify.yield_after) as source:
            identity = source.identity()
            check_identity(head, identity)
            sources = self.model.polled
            with source.snapshot(sources.values()) as snapshot:
                parts = (self.engine, snapshot, self.verify.ingestion, head, identity.major_version)
                edge = SourceEdge(*parts, seen=self._tell if isinstance(self.progress, Watching) else None)

                def prove(table: SourceTable) -> TableProof:
                    return self._waiting(table, head) or edge.prove(table)

                rows = {name: head.tables[name].rows if name in head.tables else None for name in sources}
                foresee(self.progress, f"verify {SOURCE}", lambda: rows)
                tables = self._proofs(SOURCE, ((name, partial(prove, table)) for name, table in sources.items()))
                return Edge(SOURCE, head.batch, tables)

    def _tell(self, table: str, rows: int, size_bytes: int) -> None:
        self.progress(f"verify {SOURCE}", table, rows, size_bytes, 0.0)

    def _waiting(self, table: SourceTable, head: Manifest) -> TableProof | None:
        """Report a table of latest that lacks a batch, None when it lacks none.

        A table lacks a batch when the poll that wrote the batch ended before it changed latest.
        """
        latest = open_latest_as_of(self.verify.ingestion, table, head.batch)
        pointer = self.verify.pointer.read()
        entry = head.tables.get(table.name)
        if latest is None or entry is None or latest.batch >= entry.changed_in:
            return None
        text = f"lacks batch {entry.changed_in}"
        if pointer is not None and pointer.batch >= head.batch:
            cause = "a commit of latest was lost"
            return TableProof(table.name, problem=text, cause=cause, advice="tidemark rebuild latest")
        return TableProof(table.name, note=f"{text}: the next poll takes it from the log, before all else")

    def _records(self, head: Manifest, manifests: Mapping[int, Manifest], processed: Mapping[int, Processed]) -> Edge:
        rows = Rows(self.engine, self.model, self.verify.ingestion, self.verify.processed)
        restore = "restore the manifest from the bucket's older versions"
        sources = [table for name, table in self.model.sources.items() if name in head.tables]
        latest = (broken for table in sources if not self._waiting(table, head) for broken in rows.latest(table, head))
        stars = (broken for star in self.model.stars.values() if processed for broken in rows.star(star, processed))
        objects = object_laws(ChangeLog(self.verify.ingestion), self.engine, manifests) if self.is_deep else iter(())
        cases = {
            "change log": (log_laws(manifests), "a manifest of the log was altered", restore),
            "latest": (latest, "latest or the newest manifest was altered", "tidemark rebuild latest"),
            "star": (stars, "the star or its manifest was altered", "tidemark rebuild star"),
            "star manifests": (star_laws(self.model, manifests, processed), "a manifest was altered", restore),
            "ledger": (
                ledger_laws(self.ledger, processed),
                "the ledger or a manifest of the star was altered",
                f"{restore}, or tidemark rebuild warehouse",
            ),
            **(
                {"objects": (objects, "an object of the log was altered or removed", "restore it from older versions")}
                if self.is_deep
                else {}
            ),
        }
        proofs = ((name, partial(concluded, name, *case)) for name, case in cases.items())
        return Edge(RECORDS, head.batch, self._proofs(RECORDS, proofs))

    def _log_edges(self, head: Manifest, manifests: Sequence[Manifest]) -> list[Edge]:
        with scratch_copy("verify", self.engine.scratch) as copy:
            parts = self.verify
            log = LogEdges(self.engine, self.model, parts.ingestion, parts.processed, copy, parts.clock)

            def latest() -> Edge:
                log.fold(manifests, self.done)
                return Edge(LOG_LATEST, head.batch, self._proofs(LOG_LATEST, log.latest(head)))

            def star() -> Edge:
                if self.done is None:
                    return Edge(LOG_STAR, skipped=NOT_TRANSFORMED, advice="tidemark transform")
                return Edge(LOG_STAR, self.done.batch, self._proofs(LOG_STAR, log.star(self.done)))

            edge = self._asked(LOG_LATEST, latest)
            if edge.skipped:
                return [edge, Edge(LOG_STAR, skipped="the log could not be folded", exit_code=edge.exit_code)]
            return [edge, self._asked(LOG_STAR, star)]

    def _proofs(self, edge: str, tables: Iterable[tuple[str, Callable[[], TableProof]]]) -> tuple[TableProof, ...]:
        return proofs(self.engine, edge, tables, self.progress)

    def _asked(self, name: str, verify: Callable[[], Edge]) -> Edge:
        """Verify an edge; an error becomes its `skipped`, so that the others are verified too."""
        try:
            return verify()
        except TidemarkError as exc:
            logger.info("%s: %s", name, exc)
            return Edge(name, skipped=exc.message, advice=exc.advice, exit_code=exc.exit_code)
        except (duckdb.Error, DeltaError) as exc:
            problem, _, advice = not_verified(exc)
            return Edge(name, skipped=problem, advice=advice, exit_code=DataError.exit_code)
