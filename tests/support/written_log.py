"""A log written without a source: batches of a small shop, each with the changes that a poll would have found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.log_writer import Changes, LogWriter
from tests.support.pipeline import clock
from tests.support.small_source import write_model
from tidemark.lake.engine import open_engine
from tidemark.log.changelog import ChangeLog
from tidemark.log.columns import Column
from tidemark.log.fold import Fold
from tidemark.log.pointer import open_pointer
from tidemark.model import Model
from tidemark.objects import Objects, open_objects
from tidemark.transform import Transform
from tidemark.verification.result import Verification
from tidemark.verification.verify import Verify

COLUMNS = {
    "region": (Column("region_id", "integer", nullable=False), Column("label", "text")),
    "customer": (
        Column("customer_id", "integer", nullable=False),
        Column("region_id", "integer"),
        Column("name", "text"),
        Column("born", "date"),
    ),
    "purchase": (
        Column("purchase_id", "integer", nullable=False),
        Column("customer_id", "integer"),
        Column("amount", "text"),
        Column("bought_on", "date"),
        Column("changed", "timestamp without time zone"),
    ),
    "parcel": (Column("weight", "numeric"), Column("note", "text")),
}
TOML = """
[source.region]
key = ["region_id"]
[source.customer]
key = ["customer_id"]
[source.purchase]
key = ["purchase_id"]
updated = "changed"
[source.parcel]
key = ["weight"]
[star.dim_region]
kind = "dimension"
key = ["region_id"]
reads = ["region"]
[star.dim_customer]
kind = "dimension"
key = ["customer_id"]
reads = ["customer", "region"]
[star.dim_day]
kind = "calendar"
key = ["date_id"]
[star.fact_purchase]
kind = "fact"
key = ["purchase_record_id"]
driving = "purchase"
source_key = ["purchase_id"]
reads = ["purchase", "customer"]
[star.fact_purchase.references]
customer_id = "dim_customer"
bought_on = "dim_day"
[star.fact_parcel]
kind = "fact"
key = ["parcel_record_id"]
driving = "parcel"
source_key = ["weight"]
reads = ["parcel"]
"""
FILES = {
    "dimension/region.sql": "select region_id, label from region where label <> 'hidden'",
    "dimension/customer.sql": "select customer_id, name, born, label as region_label from customer"
    " left join region on customer.region_id = region.region_id",
    "dimension/day.sql": "select date_id from calendar",
    "fact/purchase.sql": "select purchase_id, purchase.customer_id, name as customer_name, amount, bought_on"
    " from purchase left join customer on purchase.customer_id = customer.customer_id",
    "fact/parcel.sql": "select weight, note from parcel",
    "warehouse.sql": """
create table dim_region (region_id integer primary key, label text);
create table dim_customer (customer_id integer primary key, name text not null, born date, region_label text);
create table dim_day (date_id date primary key);
create table fact_purchase (purchase_record_id bigint primary key, purchase_id integer not null, customer_id integer,
    customer_name text, amount numeric(10, 2), bought_on date,
    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp);
create table fact_parcel (parcel_record_id bigint primary key, weight numeric(38, 18) not null, note text,
    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp);
""",
}


@dataclass
class WrittenLog:
    """A log in `folder`, and what is made of it."""

    folder: Path
    toml: str = TOML
    files: Mapping[str, str] = field(default_factory=lambda: FILES)
    model: Model = field(init=False)
    ingestion: Objects = field(init=False)
    processed: Objects = field(init=False)

    def __post_init__(self) -> None:
        self.model = write_model(self.folder / "model", self.toml, dict(self.files))
        self.ingestion, self.processed = (open_objects(str(self.folder / name)) for name in ("log", "star"))
        self._writer = LogWriter(self.ingestion, self.model, COLUMNS)

    def write(self, changes: Changes) -> None:
        """Write the next batch."""
        self._writer.write(changes)

    def transform(self) -> None:
        """Apply each batch to latest and transform it, one after the other."""
        with open_engine([self.ingestion, self.processed]) as engine:
            fold = Fold(engine, ChangeLog(self.ingestion), self.model, self.ingestion, clock)
            Transform(self.model, self.ingestion, self.processed, clock, latest_of=fold.add).run()

    def verify(self) -> Verification:
        """Verify it, deep."""
        pointer = open_pointer(str(self.folder / "pointer.json"))
        return Verify(self.model, self.ingestion, self.processed, pointer, None, None, clock).run(deep=True)
