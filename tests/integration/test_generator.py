"""Generated rows and generated work, against a real PostgreSQL."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg import sql

from tests.support.postgres import Postgres
from tidemark.embedded.generator import TABLES, Activity, activity, create_tables, fill, increment, sizes
from tidemark.errors import ConfigError

Connection: TypeAlias = psycopg.Connection[Any]
State: TypeAlias = Mapping[str, Mapping[int, tuple[Any, ...]]]

UNTIL = datetime(2024, 11, 15, 12, 0, tzinfo=UTC)
LATER = UNTIL + timedelta(hours=1)
SCALE = 0.1


def filled(url: str, *, scale: float = SCALE, seed: int = 1) -> None:
    with psycopg.connect(url) as connection:
        create_tables(connection)
        fill(connection, until=UNTIL, scale=scale, seed=seed)


@pytest.fixture
def new_source(new_database: Callable[..., str], postgres: Postgres) -> Callable[[], str]:
    """Make copies of one filled source."""
    template = postgres.template("generated_totesys", filled)
    return lambda: new_database(template)


@pytest.fixture
def source(new_source: Callable[[], str]) -> Iterator[Connection]:
    with psycopg.connect(new_source()) as connection:
        yield connection


def state(connection: Connection) -> State:
    return {
        table: {
            row[0]: row[1:]
            for row in connection.execute(
                sql.SQL("select {}, * from {} order by 1").format(sql.Identifier(f"{table}_id"), sql.Identifier(table))
            )
        }
        for table in TABLES
    }


def counted(before: State, after: State) -> tuple[Counter[str], Counter[str], Counter[str]]:
    inserted, updated, deleted = Counter[str](), Counter[str](), Counter[str]()
    for table in TABLES:
        old, new = before[table], after[table]
        inserted[table] = len(new.keys() - old.keys())
        deleted[table] = len(old.keys() - new.keys())
        updated[table] = sum(old[key] != new[key] for key in old.keys() & new.keys())
    return +inserted, +updated, +deleted


def violations(connection: Connection) -> dict[str, int]:
    laws = {
        "a payment has the amount, currency and counterparty of its order": """
            select count(*)
            from payment
            inner join transaction using (transaction_id)
            left join sales_order using (sales_order_id)
            left join purchase_order using (purchase_order_id)
            where
                payment.currency_id <> coalesce(sales_order.currency_id, purchase_order.currency_id)
                or payment.counterparty_id <> coalesce(sales_order.counterparty_id, purchase_order.counterparty_id)
                or payment_amount > coalesce(units_sold * unit_price, item_quantity * item_unit_price)
        """,
        "a transaction has one order, of its type": """
            select count(*)
            from transaction
            where
                num_nonnulls(sales_order_id, purchase_order_id) <> 1
                or (transaction_type = 'SALE') <> (sales_order_id is not null)
        """,
        "an order names a design that was there": """
            select count(*)
            from sales_order
            inner join design using (design_id)
            where design.created_at > sales_order.created_at
        """,
        "an order has a transaction and a payment": """
            select count(*)
            from (select sales_order_id, null as purchase_order_id from sales_order
                  union all select null, purchase_order_id from purchase_order) as placed
            where not exists (
                select
                from transaction
                inner join payment using (transaction_id)
                where transaction.sales_order_id = placed.sales_order_id
                    or transaction.purchase_order_id::text = placed.purchase_order_id::text
            )
        """,
        "an agreed date is YYYY-MM-DD": """
            select count(*)
            from sales_order
            where agreed_delivery_date !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
                or agreed_payment_date::date < created_at::date
        """,
        "a payment was changed when it was paid": """
            select count(*) from payment where paid <> (last_updated > created_at)
        """,
    }
    counts = {law: one(connection, query) for law, query in laws.items()}
    return {law: count for law, count in counts.items() if count}


def one(connection: Connection, query: str) -> Any:  # noqa: ANN401 -- as a row of psycopg
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_filled_source_has_the_promised_sizes(source: Connection) -> None:
    assert {table: len(rows) for table, rows in state(source).items()} == sizes(SCALE)


def test_the_same_seed_gives_the_same_rows(source: Connection, new_database: Callable[[], str]) -> None:
    url = new_database()
    filled(url)
    with psycopg.connect(url) as again:
        assert state(again) == state(source)


def test_another_seed_gives_other_rows(source: Connection, new_database: Callable[[], str]) -> None:
    url = new_database()
    filled(url, seed=2)
    with psycopg.connect(url) as other:
        assert state(other)["sales_order"] != state(source)["sales_order"]
        assert violations(other) == {}


def test_generated_rows_keep_the_laws_of_the_business(source: Connection) -> None:
    assert violations(source) == {}


def test_no_generated_row_is_younger_than_until(source: Connection) -> None:
    for table in TABLES:
        query = sql.SQL("select min(created_at), max(last_updated) from {}").format(sql.Identifier(table))
        row = source.execute(query).fetchone()
        assert row is not None
        assert UNTIL.replace(tzinfo=None) - timedelta(days=730) <= row[0] <= row[1] <= UNTIL.replace(tzinfo=None)


def test_some_payments_are_paid_and_some_are_not(source: Connection) -> None:
    assert 0.5 < one(source, "select avg(paid::integer) from payment") < 0.7


def test_a_filled_source_has_all_its_foreign_keys(source: Connection, new_database: Callable[[], str]) -> None:
    query = """
        select conrelid::regclass::text, pg_get_constraintdef(oid), convalidated
        from pg_constraint where contype = 'f' order by 1, 2
    """
    with psycopg.connect(new_database()) as empty:
        create_tables(empty)
        assert source.execute(query).fetchall() == empty.execute(query).fetchall()


def test_a_tiny_source_is_filled_too(new_database: Callable[[], str]) -> None:
    url = new_database()
    filled(url, scale=0.002)
    with psycopg.connect(url) as connection:
        assert violations(connection) == {}


def test_a_source_with_rows_is_not_filled_again(source: Connection) -> None:
    before = state(source)
    with pytest.raises(ConfigError, match="expected an empty source"):
        fill(source, until=UNTIL, scale=SCALE)
    assert state(source) == before


@pytest.mark.parametrize("rows", [0, 1, 10, 100, 600])
def test_activity_counts_what_it_did(source: Connection, rows: int) -> None:
    before = state(source)
    done = activity(source, rows=rows, seed=3, at=LATER)
    assert counted(before, state(source)) == (done.inserted, done.updated, done.deleted)
    assert done.rows == rows


def test_activity_updates_and_deletes_the_orders_that_it_names(source: Connection) -> None:
    before = state(source)["sales_order"]
    done = activity(source, rows=100, seed=3, at=LATER)
    after = state(source)["sales_order"]
    assert done.updated_sales_order_id is not None
    changed = zip(before[done.updated_sales_order_id], after[done.updated_sales_order_id], strict=True)
    names = [column.name for column in source.execute("select * from sales_order").description or ()]
    assert {name for name, (old, new) in zip(names, changed, strict=True) if old != new} == {
        "units_sold",
        "agreed_delivery_location_id",
        "last_updated",
    }
    assert done.deleted_sales_order_id in before.keys() - after.keys()


def test_activity_changes_and_cancels_the_orders_asked_for(source: Connection) -> None:
    first = activity(source, rows=20, seed=1, at=LATER)
    done = activity(source, rows=20, seed=2, at=LATER, change=first.updated_sales_order_id, cancel=77)
    assert done.updated_sales_order_id == first.updated_sales_order_id
    assert done.deleted_sales_order_id == 77
    last = activity(source, rows=20, seed=3, at=LATER, cancel=first.updated_sales_order_id)
    assert last.deleted_sales_order_id == first.updated_sales_order_id


def test_the_same_state_and_seed_give_the_same_activity(new_source: Callable[[], str]) -> None:
    def worked(seed: int) -> tuple[Activity, State]:
        with psycopg.connect(new_source()) as connection:
            return activity(connection, rows=100, seed=seed, at=LATER), state(connection)

    assert worked(1) == worked(1)
    assert worked(1) != worked(2)


def test_activity_stamps_its_rows_with_the_clock_of_the_source(source: Connection) -> None:
    with source.transaction():
        source.execute("set local timezone = 'Asia/Tokyo'")
        done = activity(source, rows=100, seed=1)
        query = "select count(*) from sales_order where last_updated = (now() at time zone 'UTC')::timestamp(3)"
        stamped = one(source, query)
    assert stamped == done.inserted["sales_order"] + done.updated["sales_order"]


def test_activity_never_gives_out_a_key_again(source: Connection) -> None:
    used: set[int] = set(state(source)["sales_order"])
    for seed in range(20):
        before = set(state(source)["sales_order"])
        activity(source, rows=60, seed=seed, at=LATER)
        new = set(state(source)["sales_order"]) - before
        assert not new & used
        used |= new


def test_new_orders_keep_the_laws_of_the_business(source: Connection) -> None:
    before = source.execute("select max(sales_order_id) from sales_order").fetchone()
    activity(source, rows=200, seed=1, at=LATER)
    amounts = source.execute(
        """
        select units_sold * unit_price = payment_amount and not paid
        from sales_order
        inner join transaction using (sales_order_id)
        inner join payment using (transaction_id)
        where sales_order_id > %s
        """,
        before,
    ).fetchall()
    assert Counter(amounts) == {(True,): 200 // 6 - 200 // 6 * 3 // 10}


@pytest.mark.parametrize(
    ("updates", "inserts", "deletes"), [(100, 100, 10), (7, 8, 11), (0, 1, 0), (1, 0, 1), (0, 0, 0)]
)
def test_an_increment_is_exact(source: Connection, updates: int, inserts: int, deletes: int) -> None:
    before = state(source)
    done = increment(source, updates=updates, inserts=inserts, deletes=deletes, seed=1, at=LATER)
    got = counted(before, state(source))
    assert got == (done.inserted, done.updated, done.deleted)
    assert tuple(map(Counter.total, got)) == (inserts, updates, deletes)


def test_an_increment_that_the_source_is_too_small_for_changes_nothing(source: Connection) -> None:
    before = state(source)
    with pytest.raises(ConfigError, match="could change"):
        increment(source, updates=1_000_000, inserts=3, deletes=3, seed=1)
    assert state(source) == before
