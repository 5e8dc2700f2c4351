"""What those are told who watch a stage: rows as they come, how many there will be, and how far the engine is."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig, clock
from tidemark.backfill import Backfill
from tidemark.compact import Compact
from tidemark.ingest import Ingest
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Sql
from tidemark.log.pointer import open_pointer
from tidemark.objects import open_objects
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.report import Progress, Watching
from tidemark.transform import Transform
from tidemark.verification.verify import Verify


class Recorder:
    """Somebody who watches, and keeps all that is told."""

    def __init__(self) -> None:
        self.so_far: dict[str, dict[str, tuple[int, int]]] = {}
        self.done: dict[str, dict[str, int]] = {}
        self.foreseen: dict[str, Mapping[str, int | None]] = {}
        self.percents: list[float] = []

    def __call__(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
        del batch
        if seconds:
            self.done.setdefault(stage, {})[table] = rows
        elif rows:
            self.so_far.setdefault(stage, {})[table] = rows, size_bytes

    def foresee(self, stage: str, rows: Mapping[str, int | None], /) -> None:
        self.foreseen[stage] = rows

    def observe(self, percent: Callable[[], float], /) -> None:
        self.percents.append(percent())


def counted(found: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {table: rows for table, (rows, size_bytes) in found.items() if size_bytes}


def test_those_who_watch_are_told_of_rows_as_they_come(small_totesys: Callable[..., Rig], tmp_path: Path) -> None:
    rig, told = small_totesys(1), Recorder()
    watching: Progress = told
    assert isinstance(watching, Watching)
    with psycopg.connect(rig.source_url, autocommit=True) as connection:
        connection.execute("analyze")
    ingestion, processed = open_objects(str(tmp_path / "log")), open_objects(str(tmp_path / "star"))
    pointer = open_pointer(str(tmp_path / "pointer"))
    rows = {name: entry.rows for name, entry in rig.newest().tables.items()}

    Ingest(rig.model, rig.source_url, ingestion, pointer, rig.lag, clock).run(watching)
    first = told.foreseen["ingest"]
    Ingest(rig.model, rig.source_url, ingestion, pointer, rig.lag, clock).run(watching)
    Transform(rig.model, ingestion, processed, clock).run(watching)
    Rebuild(rig.model, ingestion, processed, clock, dry_run=True).star(watching)

    filled = {name: count for name, count in rows.items() if count}
    assert counted(told.so_far["ingest"]) == filled
    assert {name: count for name, count in first.items() if count} == filled
    assert told.foreseen["ingest"] == rows
    assert told.done["transform"].keys() == told.foreseen["transform"].keys() == rig.model.stars.keys()
    assert told.foreseen["rebuild"] == {"star: batch 1 of 1": sum(told.done["transform"].values())}
    Rebuild(rig.model, rig.ingestion, rig.processed, clock, dry_run=True).latest(watching)
    changes = sum(manifest.changes for manifest in rig.manifests())
    assert told.foreseen["rebuild"] == {"latest": changes}
    assert told.done["rebuild"]["latest"] == changes
    assert all(-1 <= percent <= 100 for percent in told.percents)
    assert told.percents


def test_those_who_watch_are_told_of_the_warehouse_and_of_proofs(small_totesys: Callable[..., Rig]) -> None:
    rig, told = small_totesys(1), Recorder()
    brought = {name: rig.count(name) for name in rig.model.stars}
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)

    found = Verify(*parts, clock).run(progress=told)
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url, dry_run=True).run(told)
    Compact(rig.model, rig.ingestion, rig.processed, clock, None).run(dry_run=True, progress=told)

    assert found.count == 0
    assert told.foreseen["verify star = warehouse"] == brought
    assert counted(told.so_far["verify star = warehouse"]) == brought
    assert told.foreseen["verify source = latest"] == told.done["verify source = latest"]
    of_rebuild = {f"warehouse: {name}": count for name, count in brought.items()}
    assert counted(told.so_far["rebuild"]) == told.foreseen["rebuild"] == of_rebuild
    assert told.done["compact"].keys() == told.foreseen["compact"].keys()


def test_those_who_watch_are_told_what_a_compaction_and_a_backfill_go_through(
    small_totesys: Callable[..., Rig],
) -> None:
    rig, told = small_totesys(4), Recorder()
    rows = {name: entry.rows for name, entry in rig.newest().tables.items()}
    day = datetime(2024, 1, 1, tzinfo=UTC)

    found = Compact(rig.model, rig.ingestion, rig.processed, clock, None).run(dry_run=True, progress=told)
    Backfill(rig.model, rig.source_url, rig.ingestion, rig.pointer, clock).run(
        day, day + timedelta(days=1), dry_run=True, progress=told
    )

    rewritten = {path for path, each in found.tables.items() if each.rewritten}
    assert rewritten
    assert {path for path, count in told.foreseen["compact"].items() if count} == rewritten
    assert told.foreseen["backfill"] == {name: rows[name] for name, each in rig.model.sources.items() if each.moments}
    assert told.done["backfill"].keys() == told.foreseen["backfill"].keys()


def test_the_engine_says_how_far_a_statement_is() -> None:
    with open_engine([]) as engine:
        before = engine.percent()
        working = threading.Thread(
            target=lambda: engine.value(Sql("select sum(hash(i)) from range(200000000) as r (i)"))
        )
        working.start()
        found = set()
        while working.is_alive():
            found.add(engine.percent())
            working.join(0.01)
        after = engine.percent()

    assert any(0 < percent < 100 for percent in found)
    assert before == after == -1
