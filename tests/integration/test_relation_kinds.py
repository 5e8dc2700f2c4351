"""What kinds of relation a poll reads, and what it says of the others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.small_source import SmallSource
from tidemark.errors import ContractError

MODEL = '[source.thing]\nkey = ["id"]\n'
BASE = "create table base (id integer, name text); insert into base values (1, 'a'), (2, 'b')"
MATERIALIZED = "create materialized view thing as select * from base"
SERVER = "create foreign data wrapper w; create server s foreign data wrapper w"
UNIQUE = "create unique index on thing (id)"

OTHERS = [
    (f"{MATERIALIZED} with no data; {UNIQUE}", "materialised view that holds no rows yet"),
    (MATERIALIZED, "no unique index"),
    ("create view thing as select * from base", "is a view: expected a table or a materialised view"),
    (
        f"{SERVER}; create foreign table thing (id integer not null) server s",
        "is a foreign table",
    ),
    ("create sequence thing", "is a sequence"),
    ("create type thing as (id integer)", "is a composite type"),
    ("create index thing on base (id)", "is an index"),
]


@pytest.fixture
def source(new_database: Callable[..., str], tmp_path: Path) -> SmallSource:
    return SmallSource(tmp_path, new_database(), MODEL)


def test_a_materialised_view_with_a_unique_index_is_a_source(source: SmallSource) -> None:
    source.execute(BASE, MATERIALIZED, UNIQUE)
    assert source.counts("thing") == (2, 0, 0)

    source.execute("update base set name = 'c' where id = 2", "insert into base values (3, 'd')")
    assert source.ingest() is None
    source.execute("refresh materialized view thing")

    assert source.counts("thing") == (1, 1, 0)
    assert [row["name"] for row in source.latest("thing")] == ["a", "c", "d"]
    source.execute("insert into base values (null, 'e')", "refresh materialized view concurrently thing")
    with pytest.raises(ContractError, match="unique index over its key"):
        source.ingest()


def test_a_partitioned_table_is_a_source(source: SmallSource) -> None:
    source.execute("create table thing (id integer primary key) partition by range (id)")
    source.execute("create table part partition of thing for values from (0) to (9)", "insert into thing values (1)")

    assert source.counts("thing") == (1, 0, 0)


def test_any_other_kind_of_relation_is_a_broken_contract(source: SmallSource) -> None:
    for statement, found in OTHERS:
        source.execute("drop schema public cascade; create schema public", BASE, statement)
        with pytest.raises(ContractError, match=found):
            source.ingest()
