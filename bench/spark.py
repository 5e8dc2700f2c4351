"""Measure transform by each engine that runs a model's SELECTs, over the same log; see README.md."""

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from measure import Measured, count, run_process
from report import processor, write_into
from run import HERE, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.embedded.generator import TABLES, create_tables, fill
from tidemark.model_reader import find_model
from tidemark.pipeline import utc_now

ENGINES = ("duckdb", "sail")
# A fact with a window over the whole of another table that it joins: what one machine may find heavy.
HEAVY = """with ranked as (
    select
        sales_order_id,
        unit_price,
        max(unit_price) over (
            partition by design_id
            order by created_at, sales_order_id
            rows between 1000 preceding and current row
        ) as highest_price
    from sales_order
)

select
    payment.payment_id,
    payment.payment_amount,
    ranked.unit_price,
    ranked.highest_price
from payment
left join transaction on payment.transaction_id = transaction.transaction_id
left join ranked on transaction.sales_order_id = ranked.sales_order_id
"""

TOML = """name = "heavy"

[source.sales_order]
key = ["sales_order_id"]
updated = "last_updated"

[source.transaction]
key = ["transaction_id"]
updated = "last_updated"

[source.payment]
key = ["payment_id"]
updated = "last_updated"

[star.fact_price]
kind = "fact"
key = ["price_record_id"]
driving = "payment"
source_key = ["payment_id"]
reads = ["payment", "transaction", "sales_order"]
"""


@dataclass(frozen=True)
class Case:
    """A model over the log, and what transform took by engine."""

    name: str
    measured: dict[str, Measured]


def main() -> None:
    """Make a log, transform it by each engine, and print the report."""
    options = _options()
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        server.create_database("source")
        say("fill")
        with psycopg.connect(server.url("source")) as connection:
            create_tables(connection)
            fill(connection, until=utc_now(), scale=options.scale)
            rows = sum(count(connection, table) for table in TABLES)
        say("ingest")
        shared = ["--source-url", server.url("source"), "--ingestion", str(directory / "ingestion")]
        run_process([sys.executable, "-m", "tidemark", "ingest", *shared, "--pointer", str(directory / "pointer.json")])
        cases = [
            Case(name, {engine: _taken(directory, model, engine) for engine in ENGINES})
            for name, model in (("totesys", "totesys"), ("a fact with a window", _heavy_model(directory / "heavy")))
        ]
    load = os.getloadavg()[0]
    text = "\n".join(
        [
            f"{rows:,} rows, {utc_now():%Y-%m-%d}, {os.cpu_count()} cores ({processor()}), load {load:.1f}.",
            "",
            "| transform | engine | wall s | CPU s | MiB of the largest process |",
            "|---|---|--:|--:|--:|",
            *(
                f"| {case.name} | {engine} | {took.wall_seconds:.1f} | {took.cpu_seconds:.1f} | {took.peak_mib:,.0f} |"
                for case in cases
                for engine, took in case.measured.items()
            ),
        ]
    )
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "spark")


def _heavy_model(directory: Path) -> str:
    """Write the model of one fact, with its SELECT, and give its directory."""
    (directory / "fact").mkdir(parents=True)
    (directory / "fact" / "price.sql").write_text(HEAVY, "utf-8")
    (directory / "model.toml").write_text(TOML, "utf-8")
    shutil.copyfile(find_model("totesys") / "source.toml", directory / "source.toml")
    return str(directory)


def _taken(directory: Path, model: str, engine: str) -> Measured:
    """Transform the log from its first batch on, in a process of its own."""
    say(f"{Path(model).name} by {engine}")
    places = [
        "--ingestion",
        str(directory / "ingestion"),
        "--processed",
        str(directory / f"{Path(model).name}-{engine}"),
    ]
    command = [sys.executable, "-m", "tidemark", "transform", "--json", "--model", model, "--engine", engine, *places]
    return run_process(command)[0]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=20, help="the source's size: 1 is that of the real one")
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/spark"), help="where to work; emptied first")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
