"""A shop of two tables whose shape changes, the models that go with it, and what the warehouse shows of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.support.pipeline import Rig
from tests.support.small_source import write_model
from tidemark.model import Model
from tidemark.warehouse.schema import init

LATER = "last_updated = now() at time zone 'UTC'"
SCHEMA = """
create table customer (
    customer_id integer primary key,
    name text not null,
    city text,
    last_updated timestamp(3) default '2024-11-01'
);
create table purchase (
    purchase_id integer primary key,
    customer_id integer not null,
    amount numeric(10,2) not null,
    quantity integer not null,
    gift boolean not null,
    bought_on date,
    note varchar(20),
    last_updated timestamp(3) default '2024-11-01'
);
insert into customer values (1, 'Ada', 'London'), (2, 'Grace', 'New York');
insert into purchase values
    (1, 1, 5.10, 3, true, '2024-10-31', 'for the desk'),
    (2, 2, 12, 1, false, null, null),
    (3, 2, 0.99, 7, false, '2024-11-01', '007');
"""
CUSTOMER = """
[source.customer]
key = ["customer_id"]
updated = "last_updated"
"""
PURCHASE = """
[source.purchase]
key = ["purchase_id"]
updated = "last_updated"
"""
DIM_CUSTOMER = """
[star.dim_customer]
kind = "dimension"
key = ["customer_id"]
reads = ["customer"]
"""
FACT_PURCHASE = """
[star.fact_purchase]
kind = "fact"
key = ["purchase_record_id"]
driving = "purchase"
source_key = ["purchase_id"]
reads = ["purchase"]
"""
REFERENCES = """
[star.fact_purchase.references]
customer_id = "dim_customer"
"""
SELECTED = ("purchase_id", "customer_id", "amount", "quantity", "gift", "bought_on")
FACT_TYPES = {
    "purchase_id": "integer not null",
    "customer_id": "integer",
    "amount": "numeric(12,2)",
    "quantity": "bigint",
    "gift": "boolean",
    "bought_on": "date",
}


@dataclass(frozen=True)
class Shop:
    """A model of the shop; `columns` are those of the fact that are not as in `SELECTED`, each with its expression."""

    columns: Mapping[str, str]
    types: Mapping[str, str]
    has_customers: bool = True
    sweep: str = ""

    def write(self, folder: Path) -> Model:
        """Write the model's directory."""
        purchase = PURCHASE + self.sweep + FACT_PURCHASE
        expressions = {**{name: name for name in SELECTED}, **self.columns}
        fields = ", ".join(
            name if expression == name else f"{expression} as {name}" for name, expression in expressions.items()
        )
        types = ", ".join(f"{name} {kind}" for name, kind in {**FACT_TYPES, **self.types}.items())
        warehouse = (
            f"create table fact_purchase (purchase_record_id bigint primary key, {types},"
            " valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,"
            " valid_to timestamp);"
        )
        files = {"fact/purchase.sql": f"select {fields} from purchase", "warehouse.sql": warehouse}
        if self.has_customers:
            files["dimension/customer.sql"] = "select customer_id, name from customer"
            files["warehouse.sql"] = (
                "create table dim_customer (customer_id integer primary key, name text);" + warehouse
            )
        toml = CUSTOMER + purchase + DIM_CUSTOMER + REFERENCES if self.has_customers else purchase
        return write_model(folder, f'name = "{folder.name}"\n{toml}', files)


def shop(*, has_customers: bool = True, sweep: str = "", types: Mapping[str, str] = {}, **columns: str) -> Shop:
    """Describe a model of the shop: `quantity="cast(quantity as bigint)"` is a column of its fact."""
    return Shop(columns, types, has_customers, sweep)


def build_shop(url: str) -> None:
    """Fill a database."""
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())


def mended(rig: Rig, model: Shop, folder: Path) -> Rig:
    """Give the pipeline with another model, and the warehouse's tables that it wants."""
    loaded = model.write(folder)
    init(rig.warehouse_url, loaded)
    return replace(rig, model=loaded)


def current(rig: Rig, *columns: str) -> list[tuple[Any, ...]]:
    """Give the rows of the fact as they stand now in the warehouse."""
    names = ", ".join(("purchase_id", *(columns or ("amount", "quantity", "gift", "bought_on"))))
    return rig.warehouse(
        f"select {names} from fact_purchase where valid_to is null and not is_deleted order by purchase_id"
    )


def expected(rig: Rig, columns: str = "amount, quantity::bigint, gift::boolean, bought_on") -> list[tuple[Any, ...]]:
    return rig.source(f"select purchase_id::integer, {columns} from purchase order by purchase_id::integer")


def counts(rig: Rig, table: str = "purchase") -> tuple[int, int, int]:
    entry = rig.newest().tables[table]
    return entry.inserted, entry.updated, entry.deleted
