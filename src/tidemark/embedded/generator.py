"""Rows and changes for a totesys source: what the demo shows and the benchmark measures.

PostgreSQL makes the rows, table by table. Every random choice is a hash of the seed: the same seed gives the same rows.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.errors import ConfigError

TABLES = (
    "department",
    "staff",
    "address",
    "counterparty",
    "currency",
    "payment_type",
    "design",
    "sales_order",
    "purchase_order",
    "transaction",
    "payment",
)
# So many of ten new orders are purchase orders, and so many of ten refunds are refunds of these.
PURCHASES_OF_TEN = 3

Connection: TypeAlias = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Activity:
    """How many rows of each table a burst of work inserted, updated and deleted; no row is counted twice.

    `updated_sales_order_id` is an order whose quantity and delivery location both changed. `deleted_sales_order_id` is
    one that was deleted with its transaction and payment.
    """

    inserted: Mapping[str, int]
    updated: Mapping[str, int]
    deleted: Mapping[str, int]
    updated_sales_order_id: int | None
    deleted_sales_order_id: int | None

    @property
    def rows(self) -> int:
        """Count the rows that were inserted, updated or deleted."""
        return sum(self.inserted.values()) + sum(self.updated.values()) + sum(self.deleted.values())


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many rows each kind of work is to touch; a cancelled order takes its transaction and payment with it."""

    cancelled: int = 0
    deleted_payments: int = 0
    changed_sales: int = 0
    changed_purchases: int = 0
    paid: int = 0
    changed_payments: int = 0
    moved_staff: int = 0
    changed_addresses: int = 0
    sales: int = 0
    purchases: int = 0
    invoiced: int = 0
    cancels_paid: bool = False


def sizes(scale: float) -> dict[str, int]:
    """Return how many rows each table of a new source has.

    Orders, transactions and payments grow with `scale`. Designs grow with its power 0.8, because a catalogue grows more
    slowly than its sales. Staff, addresses, counterparties and the code tables stay the same. Scale 1 is the size of
    the real source; scale 100 has 4.74 million rows.
    """
    return {
        "department": 8,
        "staff": 20,
        "address": 30,
        "counterparty": 20,
        "currency": 3,
        "payment_type": 4,
        "design": max(1, round(473 * scale**0.8)),
        "sales_order": round(11_000 * scale),
        "purchase_order": round(4_600 * scale),
        "transaction": round(11_000 * scale) + round(4_600 * scale) + round(200 * scale),
        "payment": round(11_000 * scale) + round(4_600 * scale) + round(200 * scale),
    }


def create_tables(connection: Connection) -> None:
    """Create the 11 empty tables in the schema that the connection's search_path names first."""
    with connection.transaction():
        connection.execute(_text("totesys_schema.sql"))


def fill(connection: Connection, *, until: datetime, scale: float = 1.0, seed: int = 1) -> dict[str, int]:
    """Fill the empty tables with two years of work before `until`; return the rows of each table.

    The same arguments give the same rows. It is one transaction, which drops the foreign keys and adds them at its end.

    Args:
        connection: To the source, as the owner of its tables.
        until: No row is younger than this; a naive time is UTC.
        scale: See `sizes`.
        seed: Any integer of 64 bits.

    Raises:
        ConfigError: There are rows already.
    """
    counts = sizes(scale)
    refunds = counts["transaction"] - counts["sales_order"] - counts["purchase_order"]
    purchase_refunds = refunds * PURCHASES_OF_TEN // 10
    values: dict[str, object] = {
        **counts,
        "sales_refund": refunds - purchase_refunds,
        "purchase_refund": purchase_refunds,
        "until": _naive(until),
        "seed": seed,
        "tables": list(TABLES),
    }
    with connection.transaction():
        _refuse_rows(connection)
        connection.execute("set local work_mem = '128MB'")
        connection.execute("set local maintenance_work_mem = '256MB'")
        for name in _statements("totesys_fill.sql"):
            _execute(connection, "totesys_fill.sql", name, values)
        connection.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(map(sql.Identifier, TABLES))))
    return counts


def activity(
    connection: Connection,
    *,
    rows: int,
    seed: int,
    at: datetime | None = None,
    change: int | None = None,
    cancel: int | None = None,
) -> Activity:
    """Do one burst of plausible work, which touches about `rows` rows in one transaction.

    About half of the rows are new orders with their transactions and payments, a fifth are changed orders, a fifth are
    payments that become paid. From 10 rows on at least one unpaid order is cancelled, with its transaction and payment,
    and one member of staff moves or one address changes. The same state and seed give the same work.

    Args:
        connection: To the source.
        rows: Fewer rows are touched only when too few payments are unpaid.
        seed: Each burst needs another seed, or it chooses the same rows again.
        at: The time to stamp the rows with, instead of the source's clock.
        change: The id of a sales order that is to be among the changed, if it is still there.
        cancel: The id of a sales order that is to be among the cancelled, paid or not.
    """
    some = rows >= 10  # noqa: PLR2004 — a smaller burst has no room for every kind of work
    cancelled = max(1, rows // 60) if some else 0
    moves = max(1, rows // 100) if some else 0
    orders = rows // 6
    purchases = orders * PURCHASES_OF_TEN // 10
    changed = max(1, rows // 5) if rows else 0
    moved_staff = (moves + seed % 2) // 2
    plan = _Plan(
        cancelled=cancelled,
        changed_sales=changed,
        paid=rows - 3 * cancelled - moves - 3 * orders - changed,
        moved_staff=moved_staff,
        changed_addresses=moves - moved_staff,
        sales=orders - purchases,
        purchases=purchases,
        invoiced=orders,
    )
    with connection.transaction():
        return _Burst(connection, seed, at).run(plan, change=change, cancel=cancel)


def increment(
    connection: Connection, *, updates: int, inserts: int, deletes: int, seed: int, at: datetime | None = None
) -> Activity:
    """Change exactly so many rows in one transaction; no row is changed twice, and all rows are equally likely.

    Of the updates one half are payments, a third are sales orders and the rest are purchase orders, old and new ones,
    over the whole range of keys. Of the inserts a third each are orders (three of ten are purchase orders),
    transactions and payments. The deletes are sales orders with their transaction and payment, and payments alone for
    the rest of a division by three.

    Raises:
        ConfigError: The source has too few rows for that; it is left as it was.
    """
    orders = inserts - 2 * (inserts // 3)
    purchases = orders * PURCHASES_OF_TEN // 10
    plan = _Plan(
        cancelled=deletes // 3,
        deleted_payments=deletes % 3,
        changed_sales=updates // 3,
        changed_purchases=updates - updates // 2 - updates // 3,
        changed_payments=updates // 2,
        sales=orders - purchases,
        purchases=purchases,
        invoiced=inserts // 3,
        cancels_paid=True,
    )
    with connection.transaction():
        done = _Burst(connection, seed, at).run(plan)
        if done.rows != updates + inserts + deletes:
            message = f"expected to change {updates + inserts + deletes} rows of the source, could change {done.rows}"
            raise ConfigError(message, advice="ask for less, or fill a larger source")
    return done


class _Burst:
    """Work in one open transaction: it deletes, updates, then inserts, so that no row is touched twice."""

    def __init__(self, connection: Connection, seed: int, at: datetime | None) -> None:
        self._connection = connection
        self._values: dict[str, object] = {"seed": seed, "at": None if at is None else _naive(at)}
        self._inserted: Counter[str] = Counter()
        self._updated: Counter[str] = Counter()
        self._deleted: Counter[str] = Counter()

    def run(self, plan: _Plan, *, change: int | None = None, cancel: int | None = None) -> Activity:
        for name in ("lot", "roll"):
            _execute(self._connection, "totesys_fill.sql", name, self._values)
        self._values["at"] = self._one("now")["at"]
        self._values |= {f"last_{table}": key for table, key in self._one("last_keys").items()}
        cancelled = self._delete(plan, keep=change, cancel=cancel)
        changed = self._update(plan, change)
        self._insert(plan)
        return Activity(
            inserted=dict(+self._inserted),
            updated=dict(+self._updated),
            deleted=dict(+self._deleted),
            updated_sales_order_id=changed,
            deleted_sales_order_id=cancelled,
        )

    def _delete(self, plan: _Plan, *, keep: int | None, cancel: int | None) -> int | None:
        keys = self._keys("choose_cancelled", count=plan.cancelled, paid_too=plan.cancels_paid, kept=keep)
        if cancel is not None:
            keys = [cancel, *(key for key in keys if key != cancel)][: max(1, plan.cancelled)]
        self._deleted["payment"] += self._count("delete_payments_of_orders", keys=keys)
        self._deleted["transaction"] += self._count("delete_transactions_of_orders", keys=keys)
        gone = set(self._keys("delete_orders", keys=keys))
        self._deleted["sales_order"] += len(gone)
        self._deleted["payment"] += self._count("delete_payments", count=plan.deleted_payments)
        return next((key for key in keys if key in gone), None)

    def _update(self, plan: _Plan, change: int | None) -> int | None:
        keys = self._keys("choose_changed", count=plan.changed_sales, chosen=change)
        first = keys[0] if keys else None
        self._updated["sales_order"] += self._count("change_sales_orders", keys=keys, first=first)
        self._updated["purchase_order"] += self._count("change_purchase_orders", count=plan.changed_purchases)
        self._updated["payment"] += self._count("pay", count=plan.paid)
        self._updated["payment"] += self._count("change_payments", count=plan.changed_payments)
        self._updated["staff"] += self._count("move_staff", count=plan.moved_staff)
        self._updated["address"] += self._count("change_addresses", count=plan.changed_addresses)
        return first

    def _insert(self, plan: _Plan) -> None:
        self._inserted["sales_order"] += self._count("insert_sales_orders", count=plan.sales)
        self._inserted["purchase_order"] += self._count("insert_purchase_orders", count=plan.purchases)
        self._inserted["transaction"] += self._count("insert_transactions", count=plan.invoiced)
        self._inserted["payment"] += self._count("insert_payments")

    def _count(self, name: str, **values: object) -> int:
        return self._run(name, **values).rowcount

    def _keys(self, name: str, **values: object) -> list[int]:
        return [key for row in self._run(name, **values) for key in row.values()]

    def _one(self, name: str) -> dict[str, Any]:
        return self._run(name).fetchone() or {}

    def _run(self, name: str, **values: object) -> psycopg.Cursor[dict[str, Any]]:
        return _execute(self._connection, "totesys_activity.sql", name, self._values | values)


def _refuse_rows(connection: Connection) -> None:
    for table in TABLES:
        query = sql.SQL("select 1 from {} limit 1").format(sql.Identifier(table))
        if connection.execute(query).fetchone():
            message = f"expected an empty source to fill, but table {table!r} has rows"
            raise ConfigError(message, advice="fill a new database", table=table)


def _naive(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _execute(
    connection: Connection, file: str, name: str, values: Mapping[str, object]
) -> psycopg.Cursor[dict[str, Any]]:
    statement = _statements(file)[name]
    # Without parameters psycopg leaves each % as it is. Blocks without parameters need that for format().
    used = values if "%(" in statement else None
    return connection.cursor(row_factory=dict_row).execute(statement, used, prepare=False)


@cache
def _statements(file: str) -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)\n", _text(file), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _text(file: str) -> str:
    return files("tidemark.embedded").joinpath(file).read_text(encoding="utf-8")
