"""A library, which is the smallest of the models, as a pipeline that tests harm, with a check that all is whole."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tidemark.pipeline import Pipeline
from tidemark.settings import Settings
from tidemark.status import read_status

LIBRARY = Path(__file__).parent.parent / "models" / "library"
MORE = (
    "insert into loan values (300, 7, 2.25, '2024-11-05 09:00')",
    "update loan set fee = 9.99, changed = '2024-11-05 09:01' where loan_id = 21",
    "delete from loan where loan_id = 22",
    "update shelf set label = 'maps', changed = '2024-11-05 09:02' where shelf_id = 4",
)


def library_template(postgres: Postgres) -> str:
    """Give the database with the rows of a library."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for name in ("schema.sql", "rows.sql"):
                connection.execute((LIBRARY / name).read_bytes())

    return postgres.template("library", build)


def after_one_batch(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
    """Make a library's pipeline with one batch, and changes in the source that no run has seen."""
    made = create(library_template(postgres), model=str(LIBRARY))
    made.run()
    made.change(*MORE)
    return made


def after_two_batches(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
    """Make a library's pipeline with two batches, and changes in the source that no run has seen."""
    made = create(library_template(postgres), model=str(LIBRARY))
    made.run()
    made.change((LIBRARY / "activity.sql").read_text("utf-8"))
    made.run()
    made.change(*MORE)
    return made


def after_three_batches(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
    """Make a library's pipeline with three batches: the baseline, and twice inserts, updates and deletes."""
    made = after_two_batches(postgres, create)
    made.run()
    return made


def next_steps(rig: Rig, lake: Path) -> list[str]:
    """Give what `status` says that ingest, transform and load would do next."""
    settings = Settings(
        source_url=rig.source_url,
        warehouse_url=rig.warehouse_url,
        ingestion=str(lake / "ingestion"),
        processed=str(lake / "processed"),
        pointer=str(lake / "pointer.json"),
        model=str(rig.model.directory),
    )
    return list(read_status(Pipeline(settings, clock)).next_steps)


def is_whole(rig: Rig) -> bool:
    """Say whether source, latest, star and warehouse hold the same, and each change of the log is a version, once."""
    loans, shelves = (rig.source(f"select * from {name} order by 1") for name in ("loan", "shelf"))
    changes = sum(manifest.tables["loan"].changes for manifest in rig.manifests())
    current = "select loan_id, shelf_id, fee from fact_loan where valid_to is null and not is_deleted order by 1"
    return (
        rig.warehouse(current) == [row[:3] for row in loans]
        and rig.warehouse("table dim_shelf order by 1") == [row[:2] for row in shelves]
        and [row["loan_id"] for row in rig.latest("loan")] == [row[0] for row in loans]
        and rig.warehouse("select loan_record_id from fact_loan order by 1") == [(n,) for n in range(1, changes + 1)]
        and [row[:4] for row in rig.star("fact_loan")]
        == rig.warehouse("select loan_record_id, loan_id, shelf_id, fee from fact_loan order by 1")
        and rig.ledger() == list(range(1, rig.newest().batch + 1))
    )
