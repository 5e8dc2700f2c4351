"""What the commands beside `run` do to a library's pipeline: tests kill them at every fault point."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import psycopg

from tests.support.pipeline import Rig, clock
from tidemark.backfill import Backfill
from tidemark.capture.source_identity import NewSource
from tidemark.compact import Compact
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.replay import Replay
from tidemark.warehouse.schema import init

DAY_OF_LOANS = datetime(2024, 11, 2, tzinfo=UTC)


def _compact(rig: Rig) -> None:
    """Compact, eight days later: files that nothing needs are older than the retention then."""
    later = timedelta(days=8)
    Compact(rig.model, rig.ingestion, rig.processed, lambda: clock() + later, lambda: max(rig.ledger())).run()


def _rebuild(rig: Rig) -> Rebuild:
    return Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True)


def _backfill(rig: Rig) -> None:
    parts = (rig.model, rig.source_url, rig.ingestion, rig.pointer, clock)
    Backfill(*parts).run(DAY_OF_LOANS, DAY_OF_LOANS + timedelta(days=1))


COMMANDS: Mapping[str, Callable[[Rig], object]] = {
    "compact": _compact,
    "rebuild latest": lambda rig: _rebuild(rig).latest(),
    "rebuild star": lambda rig: _rebuild(rig).star(),
    "rebuild warehouse": lambda rig: RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run(),
    "backfill": _backfill,
    "quarantine replay": lambda rig: Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run(),
    "init": lambda rig: init(rig.warehouse_url, rig.model),
    "init --new-source": lambda rig: NewSource(rig.source_url, rig.ingestion, rig.pointer, clock).run(),
}
# What is done to a pipeline first, so that the command has something to do.
WAREHOUSE_HARM = {
    "rebuild warehouse": (
        "update fact_loan set fee = fee + 1 where loan_record_id = 5",
        "delete from fact_loan where loan_record_id = 6",
        "insert into dim_shelf values (99, 'forged')",
    ),
    "init": ("drop schema tidemark cascade", "drop table fact_loan cascade", "drop table dim_shelf cascade"),
}


def harmed(command: str, rig: Rig) -> Rig:
    """Do to a pipeline what the command is there for, and return it."""
    if command == "compact":
        rig.ingestion.put_new("changes/loan/1-2020-01-01T00-00-00.000000.jsonl", b"{}\n")
    if command == "rebuild latest":
        rig.ingestion.delete(["latest/shelf/_delta_log/00000000000000000000.json"])
    with psycopg.connect(rig.warehouse_url) as connection:
        for statement in WAREHOUSE_HARM.get(command, ()):
            connection.execute(statement.encode())
    return rig
