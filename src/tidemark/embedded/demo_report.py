"""What a run of the demo has to show, gathered from the lake and the warehouse; the command line lays it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg import sql

from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.pipeline import Pipeline
from tidemark.postgres.connection import connect, translated
from tidemark.postgres.queries import query
from tidemark.report import TableReport
from tidemark.warehouse.history import History, find_versioned, read_history

FACT = "fact_sales_order"
TITLES = {
    "current": "The orders as they stand now",
    "history": "Every version that there ever was: the orders that changed most",
    "as_of": "The same two orders as they were before this run's first burst",
}


@dataclass(frozen=True)
class Batch:
    """One batch of a run: its number, the changes that ingest found, and the seconds of each stage."""

    batch: int
    inserted: int
    updated: int
    deleted: int
    seconds: Mapping[str, float]
    captured_at: datetime


@dataclass(frozen=True)
class Answer:
    """A query to try, and its rows at present."""

    title: str
    sql: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Places:
    """Where everything is; `psql` is a command that takes a database's name, `samples` are files of the lake."""

    directory: str
    psql: str
    source_url: str
    warehouse_url: str
    ingestion: str
    processed: str
    samples: Sequence[str]


@dataclass(frozen=True)
class DemoReport:
    """What a run did: its batches, what each stage did with each table, the versions of two orders, three queries.

    `source_rows` counts the rows of a source that this run filled; it is empty if the run went on with an older source.
    `pairs` has the source tables, each with the star table that it feeds. `is_running`: whether the server was kept.
    """

    is_running: bool
    seconds: float
    source_rows: Mapping[str, int]
    batches: Sequence[Batch]
    tables: Mapping[str, Mapping[str, TableReport]]
    pairs: Sequence[tuple[str, str]]
    updated: History | None
    deleted: History | None
    queries: Sequence[Answer]
    places: Places


def pairs_of(model: Model) -> list[tuple[str, str]]:
    """Pair each source table with the star table that it feeds first; the tables of both sides left over come last."""
    stars = {(star.driving or star.reads[0]): star.name for star in model.stars.values() if star.driving or star.reads}
    pairs = [(name, stars[name]) for name in model.sources if name in stars]
    sources_left = [name for name in model.sources if name not in stars]
    stars_left = [name for name in model.stars if name not in stars.values()]
    count = max(len(sources_left), len(stars_left))
    padded = [[*names, *[""] * (count - len(names))] for names in (sources_left, stars_left)]
    return [*reversed(pairs), *zip(*padded, strict=True)]


def history_of(pipeline: Pipeline, order: int | None) -> History | None:
    """Read the versions of a sales order; None when `order` is None."""
    if order is None:
        return None
    return read_history(pipeline.warehouse_url, find_versioned(pipeline.model, FACT), [str(order)])


def answers(url: str, *, moment: datetime, orders: Sequence[int]) -> list[Answer]:
    """Run the three kinds of query; `as_of` asks for the orders at the moment."""
    # The moment is rounded up to a millisecond, because six digits are hard to read.
    at = (moment + timedelta(microseconds=-moment.microsecond % 1000)).astimezone(UTC).replace(tzinfo=None)
    parts: dict[str, sql.Composable] = {
        "moment": sql.Literal(f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3]),
        "orders": sql.SQL(", ").join(map(sql.Literal, sorted(orders) or [0])),
    }
    connection = connect(url, application="tidemark demo", only_reads=True)
    found = []
    with connection, translated("the demo's warehouse"):
        for name, title in TITLES.items():
            composed = query("demo", name, **(parts if name == "as_of" else {}))
            cursor = connection.execute(composed)
            columns = [column.name for column in cursor.description or ()]
            found.append(Answer(title, f"{composed.as_string(connection)};", columns, cursor.fetchall()))
    return found


def samples(ingestion: Objects, processed: Objects) -> list[str]:
    """Name one file of each kind: baseline, changes, fact."""
    found = []
    for bucket, objects, prefix in (
        ("ingestion", ingestion, "baseline/sales_order/"),
        ("ingestion", ingestion, "changes/sales_order/"),
        ("processed", processed, "fact/sales_order/"),
    ):
        keys = [each.key for each in objects.list(prefix) if "/_delta_log/" not in each.key]
        found += [f"{bucket}/{keys[-1]}"] if keys else []
    return found
