"""Measure many small batches in a row, in one process, as `tidemark run --every` works; see bench/README.md."""

import argparse
import csv
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import psycopg
from psycopg import sql
from report import processor, write_into
from run import HERE, STAGES, say, workspace

from tidemark import settings
from tidemark.cli.stages import COMPACT_AFTER
from tidemark.compact import RETENTION
from tidemark.embedded import EmbeddedServer
from tidemark.embedded.generator import TABLES, activity, create_tables, fill
from tidemark.pipeline import Pipeline, utc_now, wire
from tidemark.warehouse import schema

REAL_ROWS = HERE.parent.parent / "shared" / "totesys"
ROWS_OF_A_BATCH = 11
COMPARED = 10


@dataclass(frozen=True)
class Round:
    """What one round took: CPU seconds of this process by stage, wall seconds, and both of its compaction if any."""

    cpu: dict[str, float]
    wall: float
    compaction: tuple[float, float] | None = None


def main() -> None:
    """Make the batches and print the report."""
    options = _options()
    with workspace(options.directory, keep=options.keep) as directory, EmbeddedServer(directory / "postgres") as server:
        for name in ("source", "warehouse"):
            server.create_database(name)
        with psycopg.connect(server.url("source")) as source:
            what = put_rows(source)
            pipeline = wired(server, directory)
            schema.init(pipeline.warehouse_url, pipeline.model)
            say(f"{what}: the first load")
            round_of(pipeline)
            sizes, rounds = [stored(directory)], []
            for number in range(1, options.batches + 1):
                activity(source, rows=ROWS_OF_A_BATCH, seed=number)
                source.commit()
                is_compacted = options.compact_after > 0 and (number + 1) % options.compact_after == 0
                rounds.append(round_of(pipeline, compacts=is_compacted))
                if number % 50 == 0:
                    say(f"{number}: {_shown(rounds[-COMPARED:])}")
            sizes.append(stored(directory))
    text = report(what, rounds, sizes)
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "batches")


def put_rows(source: psycopg.Connection) -> str:
    """Put the real rows into the source, or generated ones where they are missing; say which."""
    create_tables(source)
    if not REAL_ROWS.is_dir():
        fill(source, until=utc_now())
        return "generated rows, as many as the real ones"
    # Parents come first in `TABLES`.
    for table in TABLES:
        path = REAL_ROWS / f"{table}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            columns = sql.SQL(", ").join(map(sql.Identifier, next(csv.reader(file))))
        statement = sql.SQL("copy {} ({}) from stdin (format csv, header)").format(sql.Identifier(table), columns)
        with source.cursor().copy(statement) as copy:
            copy.write(path.read_bytes())
    source.commit()
    return "the real rows"


def wired(server: EmbeddedServer, directory: Path) -> Pipeline:
    """Wire a pipeline between the two databases of this server."""
    flags = {"source_url": server.url("source"), "warehouse_url": server.url("warehouse")}
    places = {name: str(directory / name) for name in ("ingestion", "processed")} | {"model": "totesys"}
    pointer = {"pointer": str(directory / "pointer.json")}
    return wire(settings.load({**flags, **places, **pointer}, environ={}, directory=directory))


def round_of(pipeline: Pipeline, *, compacts: bool = False) -> Round:
    """Do one round of `tidemark run --every`: the parts are made anew in each."""
    pipeline = wire(pipeline.settings)
    started, cpu = time.perf_counter(), {}
    for stage in STAGES:
        before = time.process_time()
        getattr(pipeline, stage).run()
        cpu[stage] = time.process_time() - before
    wall = time.perf_counter() - started
    if not compacts:
        return Round(cpu, wall)
    started, before = time.perf_counter(), time.process_time()
    pipeline.compact(RETENTION).run()
    return Round(cpu, wall, (time.perf_counter() - started, time.process_time() - before))


def stored(directory: Path) -> Counter[str]:
    """Count the objects and bytes of both buckets."""
    found: Counter[str] = Counter()
    for bucket in ("ingestion", "processed"):
        sizes = [path.stat().st_size for path in (directory / bucket).rglob("*") if path.is_file()]
        found += Counter({f"objects of {bucket}": len(sizes), f"bytes of {bucket}": sum(sizes)})
    return found


def report(what: str, rounds: list[Round], sizes: list[Counter[str]]) -> str:
    """Tabulate the first and the last batches, and what each left behind."""
    first, last = rounds[:COMPARED], rounds[-COMPARED:]
    machine = f"{os.cpu_count()} cores ({processor()}), load {os.getloadavg()[0]:.1f}"
    columns = " | ".join(f"{each}, CPU" for each in (*STAGES, "all"))
    lines = [
        f"{len(rounds)} batches of about {ROWS_OF_A_BATCH} changes each on {what}, {utc_now():%Y-%m-%d}, {machine}.",
        "",
        f"| median of {COMPARED}, in seconds | {columns} | all, wall |",
        "|---|" + "--:|" * (len(STAGES) + 2),
    ]
    lines += [f"| the {name} batches | {_cells(some)} |" for name, some in (("first", first), ("last", last))]
    ratio = _cpu(last) / _cpu(first)
    lines += ["", f"A batch at the end takes {ratio:.2f} times the CPU of one at the beginning."]
    compactions = [each.compaction for each in rounds if each.compaction]
    if compactions:
        wall, cpu = (mean(each) for each in zip(*compactions, strict=True))
        lines[-1] += f" {len(compactions)} compactions took {wall:.1f} s each, {cpu:.1f} s of CPU."
    grown = sizes[1] - sizes[0]
    each = ", ".join(f"{count / len(rounds):,.0f} {name}" for name, count in grown.items())
    return "\n".join([*lines, "", f"Each batch left behind: {each}."])


def _cpu(rounds: list[Round]) -> float:
    return median(sum(each.cpu.values()) for each in rounds)


def _cells(rounds: list[Round]) -> str:
    stages = [median(each.cpu[stage] for each in rounds) for stage in STAGES]
    return " | ".join(f"{seconds:.3f}" for seconds in (*stages, _cpu(rounds), median(each.wall for each in rounds)))


def _shown(rounds: list[Round]) -> str:
    return ", ".join(f"{stage} {1000 * median(each.cpu[stage] for each in rounds):.0f} ms" for stage in STAGES)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--compact-after", type=int, default=COMPACT_AFTER, help="as that of `tidemark run`")
    parser.add_argument(
        "--directory", type=Path, default=Path(".tidemark/batches"), help="where to work; emptied first"
    )
    parser.add_argument("--keep", action="store_true", help="leave the directory behind")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
