"""Whatever happens in the source, and whenever polls come: latest, lake and warehouse hold what the polls saw."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engines import assert_same_star, by_engines
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tests.support.spark import VERSIONS, spark_of
from tidemark.lake.spark import Spark, started_sail
from tidemark.lake.spark_rows import DUCKDB
from tidemark.log.changelog import ChangeLog
from tidemark.log.pointer import open_pointer
from tidemark.model import Model
from tidemark.objects import open_objects
from tidemark.warehouse.schema import init

SOURCE = """
create table kind (kind_id integer primary key, name text not null);
create table item (
    item_id integer primary key,
    kind_id integer not null references kind,
    amount numeric,
    note text,
    last_updated timestamp
)
"""
MODEL = """
[source.kind]
key = ["kind_id"]

[source.item]
key = ["item_id"]
updated = "last_updated"

[star.dim_kind]
kind = "dimension"
key = ["kind_id"]
reads = ["kind"]

[star.fact_item]
kind = "fact"
key = ["item_record_id"]
driving = "item"
source_key = ["item_id"]
reads = ["item"]
references = { kind_id = "dim_kind" }
"""
WAREHOUSE = """
create table dim_kind (kind_id integer primary key, name varchar not null);

create table fact_item (
    item_record_id bigint primary key,
    item_id integer not null,
    kind_id integer not null references dim_kind,
    amount numeric(12, 3),
    note varchar,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    unique (item_id, valid_from)
);

create or replace function fact_item_as_of(moment timestamp) returns setof fact_item stable language sql as $$
    select * from fact_item where valid_from <= moment and moment < coalesce(valid_to, 'infinity')
$$;
"""
FILES = {
    "warehouse.sql": WAREHOUSE,
    "dimension/kind.sql": "select kind_id, name from kind",
    "fact/item.sql": "select item_id, kind_id, cast(amount as decimal(12, 3)) as amount, note from item",
}

# Keys 1 to 3 are there from the start, so that most changes find a row.
START = """
truncate item, kind;
insert into kind values (1, 'one'), (2, 'two');
insert into item select n, 1, n, 'item', '2020-01-01' from generate_series(1, 3) as n
"""
NOW = "clock_timestamp() at time zone 'UTC'"
KEYS = st.integers(1, 4)
KINDS = st.integers(1, 2)
AMOUNTS = st.sampled_from(["null", "0", "1.0", "1.00", "-1.00", "12.345"])
NOTES = st.sampled_from(["null", "''", "'null'", "'a'", "E'a\\n\"b\",'"])
STAMPS = st.sampled_from(["last_updated", NOW, "'2020-01-01'", "'2020-01-01 00:00:00.000001'", "'2050-01-01'", "null"])
INSERTED = STAMPS.filter(lambda stamp: stamp != "last_updated")
REKEY = "update item set item_id = {0} where item_id = {1} and not exists (select from item where item_id = {0})"
OPERATIONS = st.one_of(
    st.builds(
        "insert into item values ({}, {}, {}, {}, {}) on conflict do nothing".format,
        KEYS,
        KINDS,
        AMOUNTS,
        NOTES,
        INSERTED,
    ),
    st.builds("update item set amount = {}, last_updated = {} where item_id = {}".format, AMOUNTS, STAMPS, KEYS),
    st.builds("update item set note = {}, kind_id = {} where item_id = {}".format, NOTES, KINDS, KEYS),
    st.builds("update item set last_updated = {} where item_id = {}".format, STAMPS, KEYS),
    st.builds("delete from item where item_id = {}".format, KEYS),
    st.builds(REKEY.format, KEYS, KEYS),
    st.builds("update kind set name = 'kind {}' where kind_id = {}".format, st.integers(1, 3), KINDS),
)
# What happens before a poll, and whether the two other stages follow it at once.
BASELINES = st.lists(OPERATIONS, max_size=3)
BATCHES = st.lists(st.tuples(st.lists(OPERATIONS, min_size=1, max_size=5), st.booleans()), min_size=3, max_size=6)

Item = tuple[int, int, Decimal | None, str | None, datetime | None]
Texts = tuple[str | None, ...]
# What happens in the source before a poll, and whether transform and load follow it at once.
Batch = tuple[list[str], bool]
Told = Callable[..., None]


@dataclass
class Version:
    """What a fact's row should be."""

    ordinal: int
    row: Item
    valid_from: datetime
    is_deleted: bool
    batch: int
    valid_to: datetime | None = None

    def in_warehouse(self) -> tuple[Any, ...]:
        """Give the row as the warehouse should have it."""
        return (self.ordinal, *self.row[:4], self.valid_from, self.is_deleted, self.batch, self.valid_to)


@dataclass
class Expected:
    """The history that polls should make of the states that they see, kept in plain Python."""

    seen: dict[int, tuple[Texts, Item]] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    def changes(self, items: dict[int, tuple[Texts, Item]], kinds: dict[int, str]) -> bool:
        """Say whether a poll that sees this state should write a batch; it never sees tables without rows."""
        return {key: texts for key, (texts, _) in items.items()} != {
            key: texts for key, (texts, _) in self.seen.items()
        } or kinds != self.kinds

    def poll(
        self, items: dict[int, tuple[Texts, Item]], kinds: dict[int, str], batch: int, captured_at: datetime
    ) -> None:
        """Take note of what a poll saw."""
        for key in sorted(items.keys() | self.seen.keys()):
            before, now = self.seen.get(key), items.get(key)
            if (before and before[0]) != (now and now[0]):
                row = (now or before or ((), ()))[1]
                self._add(row, captured_at, is_deleted=now is None, batch=batch)  # type: ignore[arg-type]
        self.seen, self.kinds = items, kinds

    def _add(self, row: Item, captured_at: datetime, *, is_deleted: bool, batch: int) -> None:
        stamp = row[4]
        since = captured_at if is_deleted or stamp is None or stamp > captured_at else stamp
        earlier = [version for version in self.versions if version.row[0] == row[0]]
        if earlier:
            last = earlier[-1]
            if since <= last.valid_from:
                since = max(captured_at, last.valid_from + timedelta(microseconds=1))
            last.valid_to = since
        self.versions.append(Version(len(self.versions) + 1, row, since, is_deleted, batch))


@pytest.fixture(scope="module")
def urls(postgres: Postgres, model: Model) -> Iterator[tuple[str, str]]:
    """The source and the warehouse of all examples, each of which empties them first."""
    names = postgres.create(), postgres.create()
    source, warehouse = (postgres.url(name) for name in names)
    with psycopg.connect(source) as connection:
        connection.execute(SOURCE.encode())
    init(warehouse, model)
    yield source, warehouse
    for name in names:
        postgres.drop(name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A fact, and the dimension that it points at."""
    return write_model(tmp_path_factory.mktemp("histories") / "model", MODEL, FILES)


@pytest.fixture(scope="module")
def sail() -> Iterator[str]:
    """The address of one Sail for all examples."""
    with started_sail() as (address, _):
        yield address


def state_of(source: psycopg.Connection) -> tuple[dict[int, tuple[Texts, Item]], dict[int, str]]:
    items = source.execute(
        "select item_id, kind_id, amount, note, last_updated, array[item_id::text, kind_id::text, amount::text, note,"
        " last_updated::text] from item",
    ).fetchall()
    kinds: dict[int, str] = dict(source.execute("select kind_id, name from kind").fetchall())
    return {row[0]: (tuple(row[5]), row[:5]) for row in items}, kinds


@pytest.fixture(scope="module")
def told(urls: tuple[str, str], model: Model, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What runs one history, and makes its star by engines in turn, if any are given."""

    def run(baseline: list[str], batches: list[Batch], *engines: str | Spark) -> None:
        assert_history(urls, model, tmp_path_factory.mktemp("example"), baseline, batches, engines)

    return run


@settings(max_examples=5)
@given(baseline=BASELINES, batches=BATCHES)
def test_any_changes_in_any_batches_become_the_history_that_the_polls_saw(
    told: Told, baseline: list[str], batches: list[Batch]
) -> None:
    told(baseline, batches)


@pytest.mark.exhaustive
@settings(max_examples=40)
@given(baseline=BASELINES, batches=BATCHES)
def test_many_more_changes_in_any_batches_become_the_history_that_the_polls_saw(
    told: Told, baseline: list[str], batches: list[Batch]
) -> None:
    told(baseline, batches)


@settings(max_examples=3)
@given(baseline=BASELINES, batches=BATCHES)
def test_sail_and_duckdb_in_turn_make_the_history_that_duckdb_makes(
    told: Told, sail: str, baseline: list[str], batches: list[Batch]
) -> None:
    told(baseline, batches, sail, DUCKDB)


@pytest.mark.exhaustive
@settings(max_examples=25)
@given(baseline=BASELINES, batches=BATCHES)
def test_sail_and_duckdb_in_turn_make_many_more_histories_that_duckdb_makes(
    told: Told, sail: str, baseline: list[str], batches: list[Batch]
) -> None:
    told(baseline, batches, DUCKDB, sail)


@pytest.fixture(scope="module", params=VERSIONS)
def spark(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | Spark]:
    with spark_of(request.param, tmp_path_factory.mktemp("spark")) as found:
        yield found


@pytest.mark.exhaustive
@settings(max_examples=3)
@given(baseline=BASELINES, batches=BATCHES)
def test_spark_and_duckdb_in_turn_make_the_history_that_duckdb_makes(
    told: Told, spark: str | Spark, baseline: list[str], batches: list[Batch]
) -> None:
    told(baseline, batches, spark, DUCKDB)


def assert_history(
    urls: tuple[str, str],
    model: Model,
    folder: Path,
    baseline: list[str],
    batches: list[Batch],
    engines: Sequence[str | Spark] = (),
) -> None:
    """Run a pipeline through these batches, and compare it with what is expected all along.

    Engines then make the star of the log anew, batch by batch in turn, and the warehouse is loaded from that.
    """
    rig = Rig(
        model,
        *urls,
        open_objects(str(folder / "ingestion")),
        open_objects(str(folder / "processed")),
        open_pointer(str(folder / "pointer.json")),
    )
    expected = Expected()
    empty_warehouse(rig)
    with psycopg.connect(rig.source_url, autocommit=True) as source:
        source.execute(START.encode())
        for operations, goes_on in [(baseline, False), *batches]:
            for operation in operations:
                source.execute(operation.encode())
            state = state_of(source)
            found = rig.ingest().batches

            assert bool(found) == expected.changes(*state)
            if found:
                captured_at = ChangeLog(rig.ingestion).manifest(found[0]).captured_at
                expected.poll(*state, found[0], captured_at.astimezone(UTC).replace(tzinfo=None))
            assert latest_of(rig) == {texts for texts, _ in state[0].values()}
            if goes_on:
                rig.transform()
                rig.load()
    rig.transform()
    rig.load()
    assert_is_loaded(rig, expected)

    if engines:
        other = by_engines(rig, folder / "other", *engines)
        empty_warehouse(rig)
        other.load()
        assert_is_loaded(other, expected)
        assert_same_star(rig, other)


def empty_warehouse(rig: Rig) -> None:
    with psycopg.connect(rig.warehouse_url) as warehouse:
        warehouse.execute("truncate fact_item, dim_kind, tidemark.batch")


def latest_of(rig: Rig) -> set[Texts]:
    names = ("item_id", "kind_id", "amount", "note", "last_updated")
    return {tuple(None if row[name] is None else str(row[name]) for name in names) for row in rig.latest("item")}


def assert_is_loaded(rig: Rig, expected: Expected) -> None:
    wanted = [version.in_warehouse() for version in expected.versions]
    loaded = rig.warehouse("select * from fact_item order by item_record_id")
    assert loaded == wanted
    assert rig.star("fact_item") == [row[:-1] for row in wanted]
    assert dict(rig.warehouse("select kind_id, name from dim_kind")) == expected.kinds
    assert {row[:2] for row in rig.star("dim_kind")} == set(expected.kinds.items())

    histories: dict[int, list[Version]] = {}
    for version in expected.versions:
        histories.setdefault(version.row[0], []).append(version)
    for versions in histories.values():
        # Without a gap, without an overlap: each version ends where the next begins, which is later.
        assert [each.valid_to for each in versions[:-1]] == [each.valid_from for each in versions[1:]]
        assert all(each.valid_from < each.valid_to for each in versions if each.valid_to)
        assert versions[-1].valid_to is None
    # As of its first moment each version is the one to see.
    for version in expected.versions:
        seen = rig.warehouse(
            "select item_record_id from fact_item_as_of(%s) where item_id = %s", [version.valid_from, version.row[0]]
        )
        assert seen == [(version.ordinal,)]
