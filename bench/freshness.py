"""Measure how long a change takes from its commit in the source until the warehouse shows it; see bench/README.md."""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

import psycopg
from report import processor, write_into
from run import HERE, Site, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.pipeline import utc_now

CHANGE = """
update payment set payment_amount = payment_amount + 1, last_updated = (clock_timestamp() at time zone 'UTC')
where payment_id = %s
returning payment_amount
"""
SHOWN = "select payment_amount from fact_payment_current where payment_id = %s"
SCHEDULE_SECONDS = 600
PATIENCE_SECONDS = 300


def main() -> None:
    """Keep a schedule going, change rows at random moments, and print the report."""
    options = _options()
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        site = Site(server, directory, "totesys", options.scale)
        say("fill, full load")
        rows = site.fill()
        site.call("run")
        say(f"tidemark run --every {options.every:g}s")
        waits, runs = under_schedule(site, options.every, options.changes)
    text = report(rows, options.every, waits, runs)
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "freshness")


def under_schedule(site: Site, every_seconds: float, changes: int) -> tuple[list[float], list[float]]:
    """Give the seconds from each commit until its change is shown, and what each run took that loaded something."""
    random = Random(17)  # noqa: S311 -- the same moments in each run
    with (
        psycopg.connect(site.server.url(site.name), autocommit=True) as source,
        psycopg.connect(site.server.url(site.warehouse), autocommit=True) as warehouse,
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
    ):
        command = [*site.command("run"), "--every", f"{every_seconds:g}s"]
        with subprocess.Popen(command, stdout=output) as schedule:  # noqa: S603 -- our own command, as a list
            waits = []
            for payment in range(1, changes + 1):
                time.sleep(random.uniform(0, every_seconds))
                waits.append(seconds_until_shown(source, warehouse, payment))
            schedule.terminate()
        output.seek(0)
        rounds = [json.loads(line)["stages"] for line in output]
    return waits, [sum(stage["seconds"] for stage in stages) for stages in rounds if stages[-1]["batches"]]


def seconds_until_shown(source: psycopg.Connection, warehouse: psycopg.Connection, payment: int) -> float:
    """Change a payment in the source, and wait until the warehouse shows it."""
    wanted = source.execute(CHANGE.encode(), [payment]).fetchone()
    committed = time.perf_counter()
    while warehouse.execute(SHOWN.encode(), [payment]).fetchone() != wanted:
        time.sleep(0.01)
        if time.perf_counter() - committed > PATIENCE_SECONDS:
            message = f"payment {payment} is not in the warehouse after {PATIENCE_SECONDS} s"
            raise SystemExit(message)
    return time.perf_counter() - committed


def report(rows: int, every_seconds: float, waits: list[float], runs: list[float]) -> str:
    """Say what was measured, and what follows for the schedule of ten minutes."""
    worst = SCHEDULE_SECONDS + max(runs)
    return "\n".join(
        [
            (
                f"{rows:,} rows, {len(waits)} changes, {utc_now():%Y-%m-%d}, {os.cpu_count()} cores ({processor()}),"
                f" load {os.getloadavg()[0]:.1f}."
            ),
            "",
            "| seconds | median | longest |",
            "|---|--:|--:|",
            f"| from the commit to the warehouse, a run every {every_seconds:g} s | {_both(waits)} |",
            f"| of that ours: the run that brings it | {_both(runs)} |",
            "",
            f"So at worst it is {worst / 60:.1f} minutes with a run every ten minutes: 600 s + {max(runs):.1f} s.",
        ]
    )


def _both(seconds: list[float]) -> str:
    return f"{median(seconds):.1f} | {max(seconds):.1f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1, help="times the real size")
    parser.add_argument("--every", type=float, default=5, help="seconds from one run to the next")
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument(
        "--directory", type=Path, default=Path(".tidemark/freshness"), help="where to work; emptied first"
    )
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
