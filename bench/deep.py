"""How long `tidemark verify --deep` takes for many small batches: `python bench/deep.py --batches 10000`.

The log is written as polls would write it: one batch after the other, each with its own changes of a small shop. Then
each batch is applied to latest and transformed by itself, as `tidemark run` does. Only that takes long: for 10,000
batches hours, since nothing is compacted meanwhile. With `--at-once` latest and star are made as the verification makes
its scratch copy. They then have as few files as after a compaction, and the comparison itself proves nothing.

The times are those of this process; beside them stands the load of the machine.
"""

import argparse
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.log_writer import Changes, LogWriter, Row
from tidemark.lake.engine import open_engine
from tidemark.lake.table import open_table
from tidemark.log.changelog import ChangeLog, Manifest, newest_batch, put_manifest
from tidemark.log.columns import Column
from tidemark.log.fold import Fold
from tidemark.log.pointer import open_pointer
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.objects import Objects, open_objects
from tidemark.star.copy_lines import totals_by_batch
from tidemark.star.star_manifest import Processed, StarEntry, loaded_columns
from tidemark.transform import Transform
from tidemark.verification.log_star import LogEdges
from tidemark.verification.verify import Verify

CUSTOMERS = 200
COLUMNS = {
    "customer": (
        Column("customer_id", "integer", nullable=False),
        Column("name", "text"),
        Column("changed", "timestamp without time zone"),
    ),
    "purchase": (
        Column("purchase_id", "integer", nullable=False),
        Column("customer_id", "integer"),
        Column("amount", "numeric(10,2)"),
        Column("changed", "timestamp without time zone"),
    ),
}
MODEL = {
    "model.toml": """
name = "small shop"
[source.customer]
key = ["customer_id"]
updated = "changed"
[source.purchase]
key = ["purchase_id"]
updated = "changed"
[star.dim_customer]
kind = "dimension"
key = ["customer_id"]
reads = ["customer"]
[star.fact_purchase]
kind = "fact"
key = ["purchase_record_id"]
driving = "purchase"
source_key = ["purchase_id"]
reads = ["purchase", "customer"]
[star.fact_purchase.references]
customer_id = "dim_customer"
""",
    "dimension/customer.sql": "select customer_id, name from customer",
    "fact/purchase.sql": """
select purchase_id, purchase.customer_id, customer.name as customer_name, amount
from purchase left join customer on purchase.customer_id = customer.customer_id
""",
    "warehouse.sql": """
create table dim_customer (customer_id integer primary key, name text);
create table fact_purchase (
    purchase_record_id bigint primary key, purchase_id integer not null, customer_id integer not null,
    customer_name text, amount numeric(10, 2), valid_from timestamp not null, is_deleted boolean not null,
    batch_id bigint not null, valid_to timestamp
);
""",
}


class Shop:
    """A shop that changes a little between two polls."""

    def __init__(self) -> None:
        self.random = random.Random(17)  # noqa: S311 -- the same batches in each run
        self.customers: list[int] = []
        self.purchases: list[int] = []

    def changes(self, batch: int, now: datetime) -> Changes:
        """Make the changes of a batch."""
        stamp = now.strftime("%Y-%m-%d %H:%M:%S")
        customers: dict[object, Row | None] = {}
        purchases: dict[object, Row | None] = {}
        if batch == 1:
            self.customers += range(1, CUSTOMERS + 1)
            customers |= {key: {"name": f"customer {key}", "changed": stamp} for key in self.customers}
        elif batch % 4 == 0:
            key = self.random.randint(1, CUSTOMERS + batch // 20)
            customers[key] = {"name": f"renamed {batch}", "changed": stamp}
            self.customers += [] if key in self.customers else [key]
        for _ in range(2):
            self.purchases.append(len(self.purchases) + 1)
            purchases[self.purchases[-1]] = self._bought(stamp)
        if batch > 1:
            key = self.random.choice(self.purchases[-50:])
            if key not in purchases:
                purchases[key] = self._bought(stamp)
        return {"customer": customers, "purchase": purchases}

    def _bought(self, stamp: str) -> Row:
        amount = f"{self.random.randint(1, 99_999) / 100:.2f}"
        return {"customer_id": self.random.choice(self.customers), "amount": amount, "changed": stamp}


def write_log(ingestion: Objects, model: Model, batches: int) -> None:
    """Write the log of some batches."""
    writer, shop = LogWriter(ingestion, model, COLUMNS), Shop()
    for batch in range(1, batches + 1):
        writer.write(shop.changes(batch, writer.next_moment))


@contextmanager
def timed(what: str, batches: int) -> Iterator[None]:
    """Print what a block takes, for each batch and altogether."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    load = os.getloadavg()[0]
    each = f"{1000 * cpu / batches:.1f} ms of CPU for each batch"
    print(f"{what}: {cpu:.1f} s of CPU, {wall:.1f} s of wall, {each}; load {load:.1f}", flush=True)


def make_star(model: Model, ingestion: Objects, processed: Objects) -> None:
    """Apply each batch to latest and transform it by itself."""
    with open_engine([ingestion, processed]) as engine:
        fold = Fold(engine, ChangeLog(ingestion), model, ingestion, clock)
        Transform(model, ingestion, processed, clock, latest_of=fold.add).run()


def make_star_at_once(model: Model, ingestion: Objects, processed: Objects, folder: Path) -> None:
    """Make latest and star as a verification makes its scratch copy, and the manifests that go with them."""
    log = ChangeLog(ingestion)
    manifests = [log.manifest(batch) for batch in range(1, newest_batch(ingestion) + 1)]
    last = _processed(model, manifests[-1], {})
    with open_engine([ingestion, processed]) as engine:
        LogEdges(engine, model, ingestion, processed, processed, clock).fold(manifests, last)
    shutil.move(folder / "processed" / "latest", folder / "ingestion" / "latest")
    shutil.rmtree(folder / "processed" / "batches")
    lakes = {name: open_table(processed, star.path) for name, star in model.stars.items()}
    totals = {
        name: totals_by_batch(lake, loaded_columns(model.stars[name], lake.columns), last.batch)
        for name, lake in lakes.items()
        if lake
    }
    versions = {name: lake.version for name, lake in lakes.items() if lake}
    for manifest in manifests:
        found = {name: each.get(manifest.batch, (0, "sha256:0")) for name, each in totals.items()}
        entries = {name: StarEntry(rows, versions[name], checksum=proof) for name, (rows, proof) in found.items()}
        done = _processed(model, manifest, entries)
        put_manifest(processed, done.batch, done.encode(), done.run_id)


def _processed(model: Model, manifest: Manifest, entries: Mapping[str, StarEntry]) -> Processed:
    return Processed(manifest.batch, manifest.run_id, manifest.pipeline_id, manifest.captured_at, model.hash, entries)


def clock() -> datetime:
    """Read the machine's clock."""
    return datetime.fromtimestamp(time.time(), UTC)


def main() -> None:
    """Make the batches, and verify them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--at-once", action="store_true", help="make latest and star in groups, which is quick")
    parser.add_argument("--folder", type=Path, default=Path(".tidemark/deep"), help="made anew unless it is there")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    for name, text in MODEL.items():
        (folder / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model" / name).write_text(text)
    model = load_model(str(folder / "model"))
    ingestion, processed = (open_objects(str(folder / name)) for name in ("ingestion", "processed"))
    if ChangeLog(ingestion).newest() is None:
        with timed("writing the log", arguments.batches):
            write_log(ingestion, model, arguments.batches)
        how = "at once" if arguments.at_once else "batch by batch"
        with timed(f"latest and star, {how}", arguments.batches):
            if arguments.at_once:
                make_star_at_once(model, ingestion, processed, folder)
            else:
                make_star(model, ingestion, processed)
    parts = (model, ingestion, processed, open_pointer(str(folder / "pointer.json")), None, None)
    with timed("verify --deep", arguments.batches):
        found = Verify(*parts, clock).run(deep=True)
    for edge in found.edges:
        said = edge.skipped or f"{edge.count} differences in {len(edge.tables)} tables as of batch {edge.batch}"
        print(f"{edge.name}: {said}")
    sys.exit(found.exit_code)


if __name__ == "__main__":
    main()
