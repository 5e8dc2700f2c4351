"""A pipeline for the tests: a source, a lake and a warehouse, the three stages, and a look at what lies where."""

import atexit
import functools
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.support.postgres import Postgres
from tidemark.embedded.generator import activity, create_tables, fill
from tidemark.ingest import Ingest
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.spark_rows import DUCKDB
from tidemark.lake.sqltext import Select, names
from tidemark.lake.table import open_table
from tidemark.load import Load
from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.log.latest import open_latest_as_of
from tidemark.log.pointer import PointerStore, open_pointer
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.objects import Objects, open_objects
from tidemark.postgres.statements import created, split_statements
from tidemark.report import StageReport
from tidemark.transform import Transform
from tidemark.verification.laws import checked, laws
from tidemark.verification.result import TableProof
from tidemark.verification.star_warehouse import open_snapshot
from tidemark.warehouse.schema import init

LAG = timedelta(seconds=5)
SCHEMA = resources.files("tidemark.embedded") / "totesys_schema.sql"
# What the generated rows of totesys end with; the tests' own changes come later.
GENERATED_UNTIL = datetime(2024, 11, 15, 12, 0, tzinfo=UTC)

Row = tuple[Any, ...]


def clock() -> datetime:
    """Read the machine's clock."""
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass(frozen=True)
class Rig:
    """A source, a lake, a pointer and a warehouse that has its tables; `runs_on` runs the model's SELECTs."""

    model: Model
    source_url: str
    warehouse_url: str
    ingestion: Objects
    processed: Objects
    pointer: PointerStore
    lag: timedelta = LAG
    runs_on: str = DUCKDB

    def ingest(self) -> StageReport:
        """Poll the source once."""
        return Ingest(self.model, self.source_url, self.ingestion, self.pointer, self.lag, clock).run()

    def transform(self) -> StageReport:
        """Bring the star up to the log."""
        return Transform(self.model, self.ingestion, self.processed, clock, runs_on=self.runs_on).run()

    def load(self) -> StageReport:
        """Bring the warehouse up to the star."""
        return Load(self.model, self.processed, self.warehouse_url).run()

    def run(self) -> list[StageReport]:
        """Run the three stages, one after the other."""
        return [self.ingest(), self.transform(), self.load()]

    def change(self, *statements: str) -> None:
        """Change the source, all in one transaction."""
        with psycopg.connect(self.source_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def source(self, query: str, parameters: Sequence[object] | None = None) -> list[Row]:
        """Ask the source; its times are in UTC."""
        return ask(self.source_url, query, parameters)

    def warehouse(self, query: str, parameters: Sequence[object] | None = None) -> list[Row]:
        """Ask the warehouse; its times are in UTC."""
        return ask(self.warehouse_url, query, parameters)

    def versions(self, fact: str, *key: object) -> list[dict[str, Any]]:
        """Give the versions of one source key as the warehouse has them, or of all keys, oldest first."""
        source_key = _list(self.model.stars[fact].source_key)
        wanted = sql.SQL("({}) = ({})").format(source_key, sql.SQL(", ").join(sql.Placeholder() * len(key)))
        query = sql.SQL("select * from {} where {} order by {}, valid_from").format(
            sql.Identifier(fact), wanted if key else sql.SQL("true"), source_key
        )
        with psycopg.connect(self.warehouse_url) as connection:
            connection.execute("set timezone to 'UTC'")
            return connection.cursor(row_factory=dict_row).execute(query, key).fetchall()

    def broken_laws(self) -> dict[str, TableProof]:
        """Give the laws of the warehouse that are broken, the model's own among them."""
        with open_snapshot(self.warehouse_url) as snapshot:
            proofs = [checked(law, snapshot) for law in laws(self.model, snapshot)]
        return {proof.table: proof for proof in proofs if not proof.is_proven}

    def star(self, name: str) -> list[Row]:
        """Give the rows of a table of the lake's star at its newest version, sorted by its key."""
        table = open_table(self.processed, self.model.stars[name].path)
        assert table is not None, f"there is no {name} in the lake"
        with an_engine_for(self.processed) as engine:
            query = f"select * from {table.rows()} order by {names(self.model.stars[name].key)}"
            return engine.execute(Select(query)).fetchall()

    def latest(self, name: str) -> list[dict[str, Any]]:
        """Give the rows of a table of latest, `_hash` included, sorted by key."""
        source = self.model.sources[name]
        table = open_latest_as_of(self.ingestion, source, self.newest().batch)
        assert table is not None, f"there is no {name} in latest"
        with an_engine_for(self.ingestion) as engine:
            query = Select(f"select * from {table.rows} order by {names(source.key)}")
            columns = engine.describe(query)
            return [dict(zip(columns, row, strict=True)) for row in engine.execute(query).fetchall()]

    def newest(self) -> Manifest:
        """Give the newest manifest of the log."""
        manifest = ChangeLog(self.ingestion).newest()
        assert manifest is not None, "there is no batch"
        return manifest

    def manifests(self) -> list[Manifest]:
        """Give all manifests of the log."""
        return list(ChangeLog(self.ingestion).manifests(1, self.newest().batch))

    def lines(self, table: str) -> Iterator[dict[str, Any]]:
        """Read a table's lines out of the log, in the order of the changes; a number that is no integer is an error."""
        for manifest in self.manifests():
            for each in manifest.tables[table].objects:
                for line in self.ingestion.get(each.key).splitlines():
                    yield json.loads(line, parse_float=_refuse)

    def objects(self) -> set[str]:
        """Name everything that lies in the two buckets."""
        stores = {"ingestion": self.ingestion, "processed": self.processed}
        return {f"{name}/{each.key}" for name, objects in stores.items() for each in objects.list()}

    def ledger(self) -> list[int]:
        """Name the batches that the warehouse holds."""
        return [row[0] for row in self.warehouse("select batch from tidemark.batch order by batch")]

    def count(self, relation: str) -> int:
        """Count the rows of a table or view of the warehouse."""
        return int(self.warehouse(f"select count(*) from {relation}")[0][0])

    def warehouse_rows(self) -> dict[str, list[Row]]:
        """Give every row of the warehouse's star as Postgres's own text, sorted."""
        return {name: as_text(self.warehouse_url, f"table {name}") for name in self.model.stars}


@contextmanager
def an_engine_for(objects: Objects) -> Iterator[Engine]:
    """Give an engine that reads a bucket: one for all directories, since opening one takes longer than most reads."""
    if objects.local_path("any") is not None:
        yield _engine_for_directories()
        return
    with open_engine([objects]) as engine:
        yield engine


@functools.cache
def _engine_for_directories() -> Engine:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(open_engine([open_objects(tempfile.gettempdir())]))


def open_rig(model: Model, source_url: str, warehouse_url: str, place: str) -> Rig:
    """Return the pipeline whose lake lies at `place`, with its pointer, which is in Parameter Store if that is S3."""
    return Rig(
        model=model,
        source_url=source_url,
        warehouse_url=warehouse_url,
        ingestion=open_objects(f"{place}/ingestion"),
        processed=open_objects(f"{place}/processed"),
        pointer=open_pointer("ssm:/tidemark/pointer" if place.startswith("s3:") else f"{place}/pointer.json"),
    )


@contextmanager
def rigs(postgres: Postgres, folder: str) -> Iterator[Callable[..., Rig]]:
    """Give what makes pipelines whose databases are dropped at the end of the block.

    `create(template, model="totesys", place=None)` has a copy of the template as its source; its lake lies at `place`
    or in `folder`, with the pointer in Parameter Store if that is S3; its warehouse has tables and no rows.
    """
    databases = []

    def clone(template: str) -> str:
        databases.append(postgres.create(template))
        return postgres.url(databases[-1])

    def create(template: str, *, model: str = "totesys", place: str | None = None) -> Rig:
        loaded = load_model(model)
        return open_rig(loaded, clone(template), clone(warehouse_template(postgres, loaded)), place or folder)

    yield create
    for name in databases:
        postgres.drop(name)


def warehouse_template(postgres: Postgres, model: Model) -> str:
    """Give the database with the tables of a model's warehouse, and no rows."""
    # By the hash: two models of tests may have one name.
    return postgres.template(f"warehouse of {model.hash}", lambda url: init(url, model))


def ask(url: str, query: str, parameters: Sequence[object] | None = None) -> list[Row]:
    """Run a query in a database; times are in UTC."""
    with psycopg.connect(url) as connection:
        connection.execute("set timezone to 'UTC'")
        return connection.execute(query.encode(), parameters).fetchall()


def as_text(url: str, query: str) -> list[Row]:
    """Give what a query yields as Postgres's own text, sorted: numbers are equal in all their digits or they differ."""
    with psycopg.connect(url) as connection:
        connection.execute("set timezone to 'UTC'")
        copy = sql.SQL("copy ({}) to stdout").format(sql.SQL(query.strip()))
        with connection.cursor().copy(copy) as lines:
            text = b"".join(bytes(block) for block in lines).decode()
    return sorted(tuple(line.split("\t")) for line in text.splitlines())


def differences(expected: Sequence[Row], found: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Give the rows that are missing and those that are too many, counting repeats; both empty where all is equal."""
    missing, surplus = list(expected), []
    remaining: dict[Row, int] = {}
    for row in missing:
        remaining[row] = remaining.get(row, 0) + 1
    for row in found:
        if remaining.get(row):
            remaining[row] -= 1
        else:
            surplus.append(row)
    return [row for row, count in remaining.items() for _ in range(count)], surplus


def totesys_script(folder: Path) -> ModuleType:
    """Load the script that lies beside the real rows and replays them."""
    spec = importlib.util.spec_from_file_location("totesys_rows", folder / "totesys.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def real_totesys(folder: Path, *, whole: bool) -> Callable[[str], None]:
    """Return what makes the tables of totesys in a database, and with `whole` puts the real rows into them.

    A table that the model has and the real rows have not is there, and empty.
    """
    script = totesys_script(folder)

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((folder / "schema.sql").read_bytes())
            for statement in split_statements(SCHEMA.read_text("utf-8")):
                _, table = created(statement) or ("", "")
                if connection.execute("select to_regclass(%s) is null", [table]).fetchone() == (True,):
                    connection.execute(statement.encode())
            if whole:
                script.advance(connection, script.FAR)

    return build


def generated_totesys(scale: float) -> Callable[[str], None]:
    """Return what fills a database with generated rows of totesys."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            create_tables(connection)
            fill(connection, until=GENERATED_UNTIL, scale=scale, seed=17)

    return build


def by_key(rows: Sequence[Mapping[str, Any]], *key: str) -> dict[Row, list[Mapping[str, Any]]]:
    """Gather rows that have the same key."""
    found: dict[Row, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in key), []).append(row)
    return found


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _refuse(number: str) -> None:
    raise AssertionError(f"the log holds {number}, a number that readers take for a double")


def work(rig: Rig, seed: int) -> None:
    """Insert, update and delete rows in a totesys source."""
    with psycopg.connect(rig.source_url) as connection:
        activity(connection, rows=40, seed=seed)


def with_batches(rig: Rig, batches: int) -> Rig:
    """Take the baseline and then a batch after each burst of work."""
    for seed in range(batches):
        if seed:
            work(rig, seed)
        rig.run()
    return rig
