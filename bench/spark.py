"""Measure transform by DuckDB, Sail and Spark over the same log, at one size after the other; see README.md.

A run that cannot be had on this machine is named, and the others go on.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from measure import FailedError, Measured, count, run_process
from report import processor, write_into
from run import HERE, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.embedded.generator import TABLES, create_tables, fill
from tidemark.model_reader import find_model
from tidemark.pipeline import utc_now

sys.path.insert(0, str(HERE.parent))

from tests.support.spark import spark_server, what_lacks

ENGINES = ("duckdb", "sail", "spark")
SPARK = "spark"
# Without more memory than its 1 GiB, Spark would spend its time on making room.
SETTINGS = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "8"}
SELECT_TOOK = re.compile(r"its SELECT took ([\d.]+) s on Spark")
TIMED_OUT = {124, -9, 137}
TIMES = (10, 100)
ARITHMETIC = """**Arithmetic, not measured:** a cluster shortens Spark's part, at best by as much as it has more cores
than this machine. It leaves as it is what one machine does: to give the rows their types, to write them for Spark and
to read them again. That the files would have to travel is left out, and so is the start of Spark, which a cluster has
behind it. A billion rows are reckoned to take as much longer as they are more."""
BILLION = 1_000_000_000
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
class Taken:
    """What a transform took, all processes together, or why it could not be had.

    Within its wall time it waited `start_seconds` for the start of Spark, and `selects_seconds` for SELECTs of Sail's
    or Spark's.
    """

    rows: int
    model: str
    engine: str
    measured: Measured | None = None
    start_seconds: float = 0.0
    selects_seconds: float | None = None
    why_not: str = ""


def main() -> None:
    """Measure each size, and print the report."""
    options = _options()
    taken: list[Taken] = []
    for scale in options.scale:
        with workspace(options.directory, keep=False) as directory:
            taken += _size(directory, scale, options)
        # After each size: the next one may take hours.
        print(report(taken), flush=True)
        if options.write:
            write_into(HERE / "README.md", report(taken), "spark")


def _size(directory: Path, scale: float, options: argparse.Namespace) -> Iterator[Taken]:
    """Measure one size: each model by each engine."""
    try:
        rows = _log(directory, scale)
    except (FailedError, psycopg.Error) as exc:
        yield Taken(0, f"a log of {scale:g} times the real size", "any engine", why_not=_told(exc))
        return
    for model in (("totesys", "totesys"), ("a fact with a window", _heavy_model(directory / "heavy"))):
        for engine in options.engines:
            say(f"{rows:,} rows: {model[0]} by {engine}")
            yield _taken(directory, rows, model, engine, options.minutes)


def report(taken: Sequence[Taken]) -> str:
    """Write the table of what was measured, what could not be had, and the arithmetic of a cluster."""
    machine = f"{os.cpu_count()} cores ({processor()}), load {os.getloadavg()[0]:.1f}"
    lines = [
        f"{utc_now():%Y-%m-%d}, {machine}; Spark has {SETTINGS['spark.driver.memory']} of memory.",
        "",
        "| rows | transform | engine | wall s | of that in SELECTs | CPU s | MiB of the largest process |",
        "|--:|---|---|--:|--:|--:|--:|",
    ]
    for each in taken:
        if each.measured:
            inside = "" if each.selects_seconds is None else f"{each.selects_seconds:.1f}"
            cpu, peak = each.measured.cpu_seconds or 0, each.measured.peak_mib or 0
            figures = f"{each.measured.wall_seconds:.1f} | {inside} | {cpu:.1f} | {peak:,.0f}"
            lines.append(f"| {each.rows:,} | {each.model} | {each.engine} | {figures} |")
    failed = [each for each in taken if not each.measured]
    lines += ["" for _ in failed[:1]]
    lines += [
        f"- Could not be had: {each.model} by {each.engine}, {each.rows:,} rows: {each.why_not}" for each in failed
    ]
    return "\n".join([*lines, "", *_arithmetic(taken)])


def _arithmetic(taken: Sequence[Taken]) -> list[str]:
    """Reckon what a larger Spark would do with the largest log of each model; nothing of it was measured."""
    lines = []
    for model in dict.fromkeys(each.model for each in taken if each.measured):
        of_model = {(each.rows, each.engine): each for each in taken if each.model == model and each.measured}
        walls = {at: each.measured.wall_seconds for at, each in of_model.items() if each.measured}
        both = [rows for rows, engine in of_model if engine == SPARK and (rows, "duckdb") in of_model]
        if not both:
            continue
        largest = of_model[max(both), SPARK]
        rows, inside = largest.rows, largest.selects_seconds or 0
        alone = walls[rows, "duckdb"]
        rest = walls[rows, SPARK] - largest.start_seconds - inside
        larger = " | ".join(f"{rest + inside / times:.0f}" for times in TIMES)
        pays = "never" if rest >= alone else f"{inside / (alone - rest):.1f} times the cores"
        billion = " | ".join(f"{each * BILLION / rows / 3600:.1f}" for each in (alone, rest + inside / TIMES[-1]))
        lines.append(
            f"| {rows:,} | {model} | {alone:.0f} | {rest:.0f} | {inside:.0f} | {larger} | {pays} | {billion} |"
        )
    if not lines:
        return ["Spark and DuckDB were not both to be had, so there is no arithmetic of a cluster."]
    larger = " | ".join(f"all s with {times} times the cores" for times in TIMES)
    names = f"rows | transform | DuckDB alone s | one machine's part s | Spark's part s | {larger}"
    return [
        ARITHMETIC,
        "",
        f"| {names} | quicker than DuckDB from | h for a billion rows, DuckDB | with {TIMES[-1]} times the cores |",
        f"|--:|---|--:|--:|--:|{'--:|' * len(TIMES)}---|--:|--:|",
        *lines,
    ]


def _log(directory: Path, scale: float) -> int:
    """Write a log of so many times the real size, and leave nothing of its source; return the source's rows."""
    say(f"{scale:g} times the real size: fill")
    with EmbeddedServer(directory / "postgres") as server:
        server.create_database("source")
        with psycopg.connect(server.url("source")) as connection:
            create_tables(connection)
            fill(connection, until=utc_now(), scale=scale)
            rows = sum(count(connection, table) for table in TABLES)
        say(f"{rows:,} rows: ingest")
        shared = ["--source-url", server.url("source"), "--ingestion", str(directory / "ingestion")]
        run_process([sys.executable, "-m", "tidemark", "ingest", *shared, "--pointer", str(directory / "pointer.json")])
    shutil.rmtree(directory / "postgres")
    return rows


def _heavy_model(directory: Path) -> str:
    """Write the model of one fact, with its SELECT, and give its directory."""
    (directory / "fact").mkdir(parents=True)
    (directory / "fact" / "price.sql").write_text(HEAVY, "utf-8")
    (directory / "model.toml").write_text(TOML, "utf-8")
    shutil.copyfile(find_model("totesys") / "source.toml", directory / "source.toml")
    return str(directory)


def _taken(directory: Path, rows: int, model: tuple[str, str], engine: str, minutes: float) -> Taken:
    """Transform the log from its first batch on, in a process of its own, and remove the star again."""
    (name, place), star = model, directory / "processed"
    if engine == SPARK and (lacks := what_lacks(SPARK)):
        return Taken(rows, name, engine, why_not=lacks)
    command = ["timeout", "--kill-after=60", f"{minutes}m", sys.executable, "-m", "tidemark", "transform", "--json"]
    command += ["--verbose", "--model", place, "--ingestion", str(directory / "ingestion"), "--processed", str(star)]
    command += ["--pointer", str(directory / "pointer.json")]
    scratch = directory / "scratch"
    scratch.mkdir()
    try:
        with tempfile.TemporaryFile("w+", encoding="utf-8") as log, _started(engine, scratch) as server:
            measured, _ = run_process([*command, "--engine", server.address], log)
            log.seek(0)
            found = [float(seconds) for seconds in SELECT_TOOK.findall(log.read())]
            whole = server.added(measured)
        return Taken(rows, name, engine, whole, server.start_seconds, sum(found) if found else None)
    except (FailedError, AssertionError, OSError) as exc:
        timed_out = isinstance(exc, FailedError) and exc.ended in TIMED_OUT
        why = f"it was not through after {minutes:g} minutes, or had no memory" if timed_out else _told(exc)
        return Taken(rows, name, engine, why_not=why)
    finally:
        shutil.rmtree(star, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass(frozen=True)
class _Server:
    """What runs the SELECTs: its address, and for Spark its process and the moment at which that was started."""

    address: str
    pid: int | None = None
    start_seconds: float = 0.0

    def added(self, measured: Measured) -> Measured:
        """Add to what Tidemark's own processes took what the server has taken until now, its start included."""
        if self.pid is None:
            return measured
        stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks = int(stat[11]) + int(stat[12])
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        peak_kib = int(status.partition("VmHWM:")[2].split()[0])
        return Measured(
            self.start_seconds + measured.wall_seconds,
            (measured.cpu_seconds or 0) + ticks / os.sysconf("SC_CLK_TCK"),
            max(measured.peak_mib or 0, peak_kib / 1024),
        )


@contextmanager
def _started(engine: str, folder: Path) -> Iterator[_Server]:
    """Start Spark; the other engines start with the run and end with it."""
    if engine != SPARK:
        yield _Server(engine)
        return
    started = time.perf_counter()
    with spark_server(folder, SETTINGS) as (address, process):
        yield _Server(address, process.pid, time.perf_counter() - started)


def _told(exc: BaseException) -> str:
    """Say in one line why something failed."""
    if isinstance(exc, FailedError):
        try:
            said = json.loads(exc.output)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            said = exc.output.strip().rpartition("\n")[2]
        return f"it ended with {exc.ended}: {said}" if said else f"it ended with {exc.ended}"
    return " ".join(str(exc).split())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, nargs="+", default=[100, 1000], help="the source's sizes: 1 is that of the real one"
    )
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, help="by which to transform")
    parser.add_argument("--minutes", type=float, default=120, help="how long a transform may take")
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/spark"), help="where to work; emptied first")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
