"""Pipelines that are killed at random moments or run in pairs on a busy source, and whether all is equal afterwards.

The tests do this briefly, bench/chaos.py for a long time.
"""

import datetime as dt
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.kills import OVERTAKEN, STAGES, Addresses, end_of, start
from tests.support.pipeline import Rig, Row, as_text, differences, generated_totesys
from tests.support.postgres import Postgres
from tidemark.embedded.generator import activity
from tidemark.log.changelog import Manifest
from tidemark.model_reader import load_model
from tidemark.warehouse.schema import init

ORACLE = Path(__file__).parent / "totesys_oracle"
# What a dimension keeps although the source no longer has it: rows that older versions of a fact refer to.
KEPT = {"dim_transaction", "dim_date"}
ENDS = {0: "well", OVERTAKEN: "overtaken"}
SCALE = 0.01
BURST_ROWS = 30
LONGEST_REST_SECONDS = 0.2


@dataclass
class Outcome:
    """What was done to a pipeline, and where it is not equal to its source then: without `differences` all is well."""

    kills: int = 0
    pairs: int = 0
    batches: int = 0
    rows: int = 0
    ends: Counter[int] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} ended {ENDS.get(code, f'with {code}')}" for code, count in sorted(self.ends.items()))
        found = "\n".join(self.differences) or "no difference"
        done = f"{self.kills} kills, {self.pairs} pairs" + (f" ({ends})" if ends else "")
        return f"{done}, {self.rows} rows changed in the source, {self.batches} batches: {found}"


def new_pipeline(postgres: Postgres, folder: Path) -> Addresses:
    """Make a source with generated rows of totesys, an empty lake and an empty warehouse."""
    warehouse = postgres.template("totesys_warehouse", lambda url: init(url, load_model("totesys")))
    source = postgres.template("totesys_at_work", generated_totesys(SCALE))
    source_url, warehouse_url = (postgres.url(postgres.create(template)) for template in (source, warehouse))
    return Addresses("totesys", source_url, warehouse_url, str(folder), f"{folder}/pointer.json")


def kill_at_random(at: Addresses, kills: int, chance: random.Random) -> Outcome:
    """Run the stages while the source is at work, killed at random moments, again and again; then let one through.

    The runs that come to their end before the kill are not counted.
    """
    outcome = Outcome()
    typical_seconds = 1.0
    with working(at.source_url, chance) as work:
        while outcome.kills < kills:
            began = time.monotonic()
            process = start(at)
            process.join(chance.uniform(0, 1.2 * typical_seconds))
            if process.exitcode is None:
                process.kill()
            code = end_of(process)
            if code == -signal.SIGKILL:
                outcome.kills += 1
            else:
                outcome.ends[code] += 1
                typical_seconds = (typical_seconds + time.monotonic() - began) / 2
    outcome.rows = work.rows
    return concluded(at, outcome)


def run_in_pairs(at: Addresses, pairs: int, chance: random.Random, *, stages_apart: bool) -> Outcome:
    """Start two runs together, again and again, with work in the source before each pair; then let one through.

    Args:
        at: the pipeline.
        pairs: how many.
        chance: gives the seeds of the work and the moments' distance.
        stages_apart: whether each stage has a pair of its own, so that transforms and loads surely meet.
    """
    outcome = Outcome()
    for _ in range(pairs):
        outcome.rows += burst(at.source_url, chance)
        for stages in [(stage,) for stage in STAGES] if stages_apart else [STAGES]:
            first = start(at, stages)
            time.sleep(chance.choice([0, 0, 0.01, 0.1]))
            second = start(at, stages)
            outcome.ends.update([end_of(first), end_of(second)])
        outcome.pairs += 1
    wrong = {code: count for code, count in outcome.ends.items() if code not in {0, OVERTAKEN}}
    if wrong:
        outcome.differences.append(f"of two runs at once, some ended otherwise than well or overtaken: {wrong}")
    return concluded(at, outcome)


def concluded(at: Addresses, outcome: Outcome) -> Outcome:
    """Let one run through, undisturbed, and note where the pipeline is not equal to its source."""
    rig = at.rig()
    rig.run()
    outcome.batches = rig.newest().batch
    outcome.differences += unequal(rig)
    return outcome


def unequal(rig: Rig) -> list[str]:
    """Say where source, latest, star and warehouse are not equal, by comparing them row for row."""
    manifests = rig.manifests()
    found = [*_unequal_latest(rig), *_unequal_warehouse(rig), *_unequal_star(rig), *_unequal_history(rig, manifests)]
    numbers = list(range(1, len(manifests) + 1))
    if [manifest.batch for manifest in manifests] != numbers or rig.ledger() != numbers:
        found.append(f"the log ends with batch {len(manifests)}, the ledger has {rig.ledger()}")
    found += [f"{name} is broken: {proof}" for name, proof in rig.broken_laws().items()]
    return found


@dataclass
class Work:
    """What a writer has done to a source so far."""

    rows: int = 0


@contextmanager
def working(source_url: str, chance: random.Random) -> Iterator[Work]:
    """Keep a source at work for the length of the block."""
    work, stop = Work(), threading.Event()
    seeds = random.Random(chance.random())  # noqa: S311 -- no secret

    def write() -> None:
        while not stop.wait(seeds.uniform(0, LONGEST_REST_SECONDS)):
            work.rows += burst(source_url, seeds)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield work
    finally:
        stop.set()
        writer.join()


def burst(source_url: str, chance: random.Random) -> int:
    """Change some rows of the source in one transaction, and return how many."""
    with psycopg.connect(source_url) as connection:
        return activity(connection, rows=BURST_ROWS, seed=chance.getrandbits(32)).rows


def _unequal_latest(rig: Rig) -> Iterator[str]:
    for name in rig.model.sources:
        latest = rig.latest(name)
        columns = [column.name for column in rig.newest().tables[name].columns]
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
        with psycopg.connect(rig.source_url, options="-c timezone=UTC") as connection:
            rows = connection.execute(sql.SQL("select {} from {}").format(texts, sql.Identifier(name))).fetchall()
        found = [tuple(_as_postgres(row[column]) for column in columns) for row in latest]
        yield from _described(f"latest {name}", differences(rows, found))


def _unequal_warehouse(rig: Rig) -> Iterator[str]:
    for name, star in rig.model.stars.items():
        oracle = ORACLE / f"{name}.sql"
        if not oracle.is_file():
            continue
        expected = as_text(rig.source_url, oracle.read_text("utf-8"))
        columns = [column for (column,) in rig.warehouse(COLUMNS, [name])]
        shown = f"select {', '.join(columns[1:-4])} from {name}_current" if star.kind == "fact" else f"table {name}"
        missing, surplus = differences(expected, as_text(rig.warehouse_url, shown))
        if name in KEPT:
            keys = {row[0] for row in expected}
            surplus = [row for row in surplus if row[0] in keys]
        yield from _described(f"warehouse {name}", (missing, surplus))


def _unequal_star(rig: Rig) -> Iterator[str]:
    for name, star in rig.model.stars.items():
        # A fact's last column is valid_to, which the lake does not have; a dimension's in the lake is the batch.
        in_warehouse = [_plain(row) for row in rig.warehouse(f"table {name}")]
        in_lake = rig.star(name)
        if star.kind == "fact":
            in_warehouse = [row[:-1] for row in in_warehouse]
        else:
            in_lake = [row[:-1] for row in in_lake]
        yield from _described(f"star {name}", differences(in_warehouse, in_lake))


def _unequal_history(rig: Rig, manifests: list[Manifest]) -> Iterator[str]:
    for star in rig.model.facts:
        changes = sum(manifest.tables[star.driving].changes for manifest in manifests)
        keys = [key for (key,) in rig.warehouse(f"select {star.key[0]} from {star.name} order by 1")]
        if keys != list(range(1, changes + 1)):
            yield f"{star.name} has {len(keys)} versions with keys up to {max(keys)}, the log has {changes} changes"


def _described(what: str, found: tuple[list[Row], list[Row]]) -> Iterator[str]:
    missing, surplus = found
    if missing or surplus:
        yield f"{what}: {len(missing)} rows missing, {len(surplus)} too many, such as {[*missing, *surplus][:2]}"


def _as_postgres(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _plain(row: Row) -> Row:
    return tuple(value.isoformat("microseconds") if isinstance(value, dt.time) else value for value in row)


COLUMNS = """
    select attname::text
    from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped
    order by attnum
"""
