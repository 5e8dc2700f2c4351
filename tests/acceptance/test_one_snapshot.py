"""One snapshot over all tables: no poll finds a row that points at one that is missing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
import pytest

from tests.support.kept import small_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Select, quoted
from tidemark.log.changelog import ChangeLog
from tidemark.log.latest import open_latest


class Reference(NamedTuple):
    """A column of a source table that points at another."""

    child: str
    column: str
    parent: str


def references(url: str) -> list[Reference]:
    """List the foreign keys of the source, all of which are of one column."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text from pg_constraint as c"
            " inner join pg_attribute as a on c.conrelid = a.attrelid and a.attnum = c.conkey[1] where c.contype = 'f'",
        ).fetchall()
    return [Reference(*row) for row in rows]


def dangling(rig: Rig, known: list[Reference]) -> dict[Reference, int]:
    """Count the rows of latest that point at a row which latest does not have."""
    manifest = ChangeLog(rig.ingestion).newest()
    assert manifest is not None
    latest = {
        name: open_latest(rig.ingestion, table, manifest.tables[name].columns).rows
        for name, table in rig.model.sources.items()
    }
    found = {}
    with open_engine([rig.ingestion]) as engine:
        for each in known:
            key = quoted(rig.model.sources[each.parent].key[0])
            column = quoted(each.column)
            orphans = Select(
                f"select count(*) from {latest[each.child]} as c anti join {latest[each.parent]} as p"
                f" on c.{column} = p.{key} where c.{column} is not null",
            )
            count = engine.value(orphans)
            if count:
                found[each] = int(str(count))
    return found


@contextmanager
def busy_writer(url: str) -> Iterator[Callable[[], int]]:
    """Commit orders with their transactions and payments, and delete some, until the block ends.

    Yields:
        What gives the number of commits so far.
    """
    stop, commits = threading.Event(), [0]
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                order = first_order = _highest(connection) + 1
                while not stop.is_set():
                    _commit_an_order(connection, order)
                    if order - first_order > 3:
                        _delete_an_order(connection, order - 3)
                    order += 1
                    commits[0] += 1
        except BaseException as exc:  # noqa: BLE001 -- given to the thread that asks
            failures.append(exc)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: commits[0]
    finally:
        stop.set()
        thread.join()
    assert failures == []


def wait_for_commits(commits: Callable[[], int], number: int) -> None:
    """Wait until so many more commits are made, however slow the machine is.

    Raises:
        AssertionError: The writer has ended or stands still.
    """
    start, deadline = commits(), time.monotonic() + 120
    while commits() < start + number:
        assert time.monotonic() < deadline, "the writer commits nothing"
        time.sleep(0.001)


def _highest(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select greatest(max(o.sales_order_id), (select max(transaction_id) from transaction),"
        " (select max(payment_id) from payment)) from sales_order as o",
    ).fetchone()
    assert row is not None
    return int(row[0])


def _commit_an_order(connection: psycopg.Connection, number: int) -> None:
    """Insert an order, its transaction, its payment, and now and then a design that it is the first to name."""
    with connection.transaction():
        if number % 5 == 0:
            connection.execute(
                "insert into design (design_id, design_name, file_location, file_name) values (%s, 'new', '/', 'new')",
                [number],
            )
        connection.execute(
            "insert into sales_order (sales_order_id, design_id, staff_id, counterparty_id, units_sold, unit_price,"
            " currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id)"
            " select %s, (select max(design_id) from design), staff_id, counterparty_id, units_sold, unit_price,"
            " currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id"
            " from sales_order order by sales_order_id limit 1",
            [number],
        )
        connection.execute(
            "insert into transaction (transaction_id, transaction_type, sales_order_id) values (%s, 'SALE', %s)",
            [number, number],
        )
        connection.execute(
            "insert into payment (payment_id, transaction_id, counterparty_id, payment_amount, currency_id,"
            " payment_type_id, paid, payment_date, company_ac_number, counterparty_ac_number)"
            " select %s, %s, counterparty_id, payment_amount, currency_id, payment_type_id, paid, payment_date,"
            " company_ac_number, counterparty_ac_number from payment order by payment_id limit 1",
            [number, number],
        )


def _delete_an_order(connection: psycopg.Connection, number: int) -> None:
    if number % 2:
        return
    with connection.transaction():
        for table in ("payment", "transaction", "sales_order"):
            key = "sales_order_id" if table == "transaction" else f"{table}_id"
            connection.execute(f"delete from {table} where {key} = %s".encode(), [number])


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres) -> Rig:
    """A pipeline whose source holds 948 generated rows."""
    return new_rig(small_template(postgres))


@pytest.mark.parametrize("runs", [4, pytest.param(40, marks=pytest.mark.exhaustive)])
def test_no_poll_beside_a_busy_writer_finds_a_row_that_points_at_a_missing_one(rig: Rig, runs: int) -> None:
    known = references(rig.source_url)
    rig.ingest()
    batches: list[int] = []
    found = []

    with busy_writer(rig.source_url) as commits:
        for _ in range(runs):
            # Of two commits that end from here on, the second began from here on: the poll has something to find.
            wait_for_commits(commits, 2)
            batches += rig.ingest().batches
            found.append(dangling(rig, known))
        wait_for_commits(commits, 1)
    rig.run()

    assert len(known) >= 13
    assert found == [{}] * runs
    assert batches == list(range(2, runs + 2))
    assert dangling(rig, known) == {}
    assert rig.broken_laws() == {}
    assert rig.ledger() == [manifest.batch for manifest in rig.manifests()]
    assert _warehouse_counts(rig) == [
        rig.source(f"select count(*) from {table}")[0][0] for table in ("sales_order", "purchase_order", "payment")
    ]


def _warehouse_counts(rig: Rig) -> list[int]:
    facts = ("fact_sales_order", "fact_purchase_orders", "fact_payment")
    return [rig.warehouse(f"select count(*) from {fact}_current")[0][0] for fact in facts]
