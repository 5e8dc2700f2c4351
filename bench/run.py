"""Measure a full load, increments and empty polls of a generated totesys, beside the floor; see bench/README.md."""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import psycopg
from measure import Measured, added, count, drop_database, floor, median, run_process, server_is_calm, size_mib
from peers import compare
from report import machine, markdown, peers_markdown, write_into

from tidemark.embedded import EmbeddedServer
from tidemark.embedded.generator import TABLES, create_tables, fill, increment
from tidemark.pipeline import utc_now

HERE = Path(__file__).parent
STAGES = ("ingest", "transform", "load")
UPDATES, INSERTS, DELETES = 1000, 1000, 10
FACTS = {
    "sales_order": "fact_sales_order_current",
    "purchase_order": "fact_purchase_orders_current",
    "payment": "fact_payment_current",
}


@dataclass
class Site:
    """One source with its buckets and its warehouse, driven by the command line as a scheduler would."""

    server: EmbeddedServer
    directory: Path
    name: str
    scale: float
    model: str = "totesys"
    seed: int = field(default=0)
    # The database that is the source, if it is another site's.
    source: str = ""

    @property
    def warehouse(self) -> str:
        """Name the warehouse's database."""
        return f"{self.name}_warehouse"

    def fill(self) -> int:
        """Fill the source; return its rows."""
        for database in (self.name, self.warehouse):
            self.server.create_database(database)
        with psycopg.connect(self.server.url(self.name)) as connection:
            create_tables(connection)
            fill(connection, until=utc_now(), scale=self.scale)
            rows = sum(count(connection, table) for table in TABLES)
        self.vacuum(self.name)
        self.call("init")
        return rows

    def vacuum(self, database: str) -> None:
        """Do now what autovacuum does within a minute: hint bits, visibility, statistics."""
        with psycopg.connect(self.server.url(database), autocommit=True) as connection:
            connection.execute("vacuum analyze")

    def change(self) -> None:
        """Make one increment in the source."""
        self.seed += 1
        with psycopg.connect(self.server.url(self.name)) as connection:
            increment(connection, updates=UPDATES, inserts=INSERTS, deletes=DELETES, seed=self.seed)

    def command(self, command: str) -> list[str]:
        """Give a command as a process of its own."""
        settings = {
            "source-url": self.server.url(self.source or self.name),
            "warehouse-url": self.server.url(self.warehouse),
            "ingestion": str(self.directory / self.name / "ingestion"),
            "processed": str(self.directory / self.name / "processed"),
            "pointer": str(self.directory / self.name / "pointer.json"),
            "model": self.model,
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        return [sys.executable, "-m", "tidemark", command, "--json", *flags]

    def call(self, command: str) -> Measured:
        """Run one command to its end."""
        server_is_calm(self.server)
        measured, text = run_process(self.command(command))
        stages = json.loads(text).get("stages", [])
        return Measured(**{**asdict(measured), "rows": sum(stage["rows"] for stage in stages)})

    def pipeline(self) -> dict[str, Measured]:
        """Run the three stages."""
        return {stage: self.call(stage) for stage in STAGES}

    def increments(self, repeat: int) -> dict[str, Measured]:
        """Measure increments; return the median of each stage and of the whole."""
        runs = []
        for _ in range(repeat):
            self.change()
            stages = self.pipeline()
            runs.append({**stages, "all": added(list(stages.values()))})
        return {name: median([run[name] for run in runs]) for name in (*STAGES, "all")}

    def polls(self, repeat: int) -> Measured:
        """Measure polls that find nothing."""
        return median([self.call("ingest") for _ in range(repeat)])

    def check(self) -> None:
        """Compare the counts of the live facts with those of the source."""
        with (
            psycopg.connect(self.server.url(self.name)) as source,
            psycopg.connect(self.server.url(self.warehouse)) as warehouse,
        ):
            for table, view in FACTS.items():
                expected, got = count(source, table), count(warehouse, view)
                if expected != got:
                    sys.exit(f"{view} has {got} rows, {table} has {expected}: whatever was measured is worth nothing")

    def mirrored(self) -> "Site":
        """Give a mirror of the same source, with a warehouse of its own."""
        mirror = Site(self.server, self.directory, "mirror", self.scale, model="mirror", source=self.name)
        self.server.create_database(mirror.warehouse)
        return mirror

    def drop(self) -> None:
        """Drop the databases and remove the buckets."""
        for database in (self.name, self.warehouse):
            drop_database(self.server, database)
        shutil.rmtree(self.directory / self.name, ignore_errors=True)


def main() -> None:
    """Run the benchmark and print its report."""
    options = _options()
    say(f"a source of {options.scale:g} times the real size, {options.repeat} increments and polls of each kind")
    name, measured, written = (
        ("peers", measure_peers, peers_markdown) if options.peers else ("results", measure, markdown)
    )
    with workspace(options.directory, keep=options.keep) as directory, EmbeddedServer(directory / "postgres") as server:
        results = measured(server, directory, options.scale, options.repeat)
        results["machine"] = machine(server)
    (HERE / f"{name}.json").write_text(json.dumps(results, indent=1, default=vars) + "\n", encoding="utf-8")
    text = written(results)
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, name)


def measure(server: EmbeddedServer, directory: Path, scale: float, repeat: int) -> dict[str, Any]:
    """Measure everything, first the source with a tenth of the size."""
    results: dict[str, Any] = {"scale": scale, "repeat": repeat, "at": f"{utc_now():%Y-%m-%d}"}
    tenth = Site(server, directory, "tenth", scale / 10)
    say("a tenth of the size: fill, full load, increments")
    tenth.fill()
    tenth.pipeline()
    tenth.vacuum(tenth.warehouse)
    results["increment_tenth"] = tenth.increments(repeat)
    tenth.drop()

    site = Site(server, directory, "totesys", scale)
    say("fill")
    results["rows"] = site.fill()
    say("floor, foreign keys added at the end")
    results["floor"] = floor(server, site.name, keys_first=False)
    say("floor, foreign keys in place from the start")
    results["floor_keys_first"] = floor(server, site.name, keys_first=True)
    say("full load")
    stages = site.pipeline()
    results["full"] = {**stages, "all": added(list(stages.values()))}
    results["lake_mib"] = {name: size_mib(directory / site.name / name) for name in ("ingestion", "processed")}
    site.vacuum(site.warehouse)
    say("increments")
    results["increment"] = site.increments(repeat)
    site.check()
    say("empty polls")
    results["poll"] = site.polls(repeat)
    say('empty polls, sweep = "keys"')
    site.model = str(keys_model(directory / "keys_model"))
    results["poll_switch"] = site.call("ingest")
    return {**results, "poll_keys": site.polls(repeat), "mirror": beside_star(site, repeat)}


def beside_star(site: Site, repeat: int) -> dict[str, dict[str, Measured]]:
    """Measure star and mirror of one source in turn: each finds the same changes, on a machine that does the same."""
    say("a mirror beside the star")
    sites = {"star": replace(site, name="star", model="totesys", source=site.name), "mirror": site.mirrored()}
    site.server.create_database(sites["star"].warehouse)
    sites["star"].call("init")
    found: dict[str, dict[str, Measured]] = {"full": {}, "increment": {}, "poll": {}}
    for name, each in sites.items():
        found["full"][name] = added(list(each.pipeline().values()))
        each.vacuum(each.warehouse)
    runs: dict[str, list[Measured]] = {name: [] for name in sites}
    for _ in range(repeat):
        site.change()
        for name, each in sites.items():
            runs[name].append(added(list(each.pipeline().values())))
    found["increment"] = {name: median(each) for name, each in runs.items()}
    polls = [{name: each.call("ingest") for name, each in sites.items()} for _ in range(repeat)]
    found["poll"] = {name: median([poll[name] for poll in polls]) for name in sites}
    return found


def measure_peers(server: EmbeddedServer, directory: Path, scale: float, repeat: int) -> dict[str, Any]:
    """Measure Tidemark beside other tools, at the real size and at this scale."""
    sites = [Site(server, directory, f"size_{number}", size) for number, size in enumerate(sorted({1.0, scale}))]
    return {"at": f"{utc_now():%Y-%m-%d}", **compare(sites, directory, repeat, say)}


def keys_model(directory: Path) -> Path:
    """Copy the model, with `sweep = "keys"` for every source table."""
    with as_file(files("tidemark") / "models" / "totesys") as model:
        shutil.copytree(model, directory, dirs_exist_ok=True)
    path = directory / "model.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    marked = [f'{line}\nsweep = "keys"' if line.startswith("[source.") else line for line in lines]
    path.write_text("\n".join(marked) + "\n", encoding="utf-8")
    return directory


@contextmanager
def workspace(directory: Path, *, keep: bool) -> Iterator[Path]:
    """Make an empty directory, and remove it afterwards unless `keep` is set."""
    directory = directory.resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def say(what: str) -> None:
    """Say on stderr what is being measured."""
    print(f"{utc_now():%H:%M:%S} {what}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=100, help="the source's size: 1 is that of the real one")
    parser.add_argument("--repeat", type=int, default=3, help="how many increments and polls of each kind")
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/bench"), help="where to work; emptied first")
    parser.add_argument("--keep", action="store_true", help="leave the directory behind")
    parser.add_argument("--peers", action="store_true", help="measure other tools beside Tidemark, and nothing else")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
