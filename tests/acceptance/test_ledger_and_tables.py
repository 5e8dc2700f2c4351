"""The ledger says what the tables hold: where somebody changed one of the two, nothing is loaded on top of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.library import after_two_batches, is_whole, next_steps
from tests.support.pipeline import Rig
from tidemark.errors import StateError
from tidemark.load import Load
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.verification.star_warehouse import verify_warehouse
from tidemark.warehouse.schema import init
from tidemark.warehouse.session import ledger, misfit_of

BATCHES = 2
# What a person did to the warehouse, and words of what Tidemark says of it.
HARMS = {
    "drop table fact_loan cascade": "fact_loan is another table",
    "truncate dim_shelf cascade": "dim_shelf is empty",
    "delete from fact_loan where batch_id = 2": "fact_loan ends with version",
    "alter table fact_loan rename to kept; create table fact_loan (like kept including all)": "is another table",
    "delete from tidemark.batch where batch = 1": "the ledger ends with batch 2 and has 1 rows",
    "delete from tidemark.batch where batch = 2": "has rows of batch 2, and the ledger ends with batch 1",
    "truncate tidemark.batch": "the ledger ends with batch 0",
    "drop schema tidemark cascade": "the ledger ends with batch 0",
    "update tidemark.batch set captured_at = captured_at - interval '1 day'": "one of the two was restored",
    "insert into tidemark.batch select 3, pipeline_id, run_id, captured_at, now(), model, row_counts, checksums, tables"
    " from tidemark.batch where batch = 2": "ends with batch 3",
}
# What changes a table without a loss, and what a restored dump does to all oids.
HARMLESS = (
    "cluster fact_loan using fact_loan_pkey; vacuum full dim_shelf",
    "create schema other; alter table fact_loan set schema other; alter table other.fact_loan set schema public",
    "update tidemark.batch set tables = (select jsonb_object_agg(key, value || '{\"oid\": 1}') from jsonb_each(tables))",  # noqa: E501
    "update tidemark.batch set tables = null",
)


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    return kept_rig("library after two batches", after_two_batches)


def harm(rig: Rig, statements: str) -> None:
    with psycopg.connect(rig.warehouse_url, autocommit=True) as connection:
        for statement in statements.split("; "):
            connection.execute(statement.encode())


def rebuilt(rig: Rig, *, dry_run: bool = False) -> int:
    return RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url, dry_run=dry_run).run().batch


def test_tables_that_are_not_those_of_the_ledger_are_refused_until_the_warehouse_is_rebuilt(
    rig: Rig, tmp_path: Path
) -> None:
    rows = rig.warehouse_rows()
    for statement, words in HARMS.items():
        harm(rig, statement)
        if statement.startswith("drop"):
            assert rebuilt(rig, dry_run=True) == BATCHES
            assert "tidemark rebuild warehouse" in next_steps(rig, tmp_path / "lake")[-1] or "schema" in statement
            with pytest.raises(StateError, match="do not belong together"):
                init(rig.warehouse_url, rig.model)
        with pytest.raises(StateError, match=words) as raised:
            rig.load()
        assert "tidemark rebuild warehouse" in raised.value.advice, statement
        assert "tidemark rebuild warehouse" in next_steps(rig, tmp_path / "lake")[-1], statement

        rebuilt(rig)
        if "batch = 2" in statement:
            rig.load()
        assert (rig.warehouse_rows(), rig.ledger()) == (rows, [1, BATCHES]), statement
        harm(rig, "drop table if exists kept cascade")
    rig.run()
    assert is_whole(rig)


def test_verify_does_not_take_a_warehouse_without_a_ledger_for_an_empty_one(rig: Rig) -> None:
    harm(rig, "truncate tidemark.batch")
    with pytest.raises(StateError, match="do not belong together"):
        verify_warehouse(rig.model, rig.processed, rig.warehouse_url)


def test_what_leaves_the_rows_alone_is_no_harm(rig: Rig) -> None:
    for statement in HARMLESS:
        harm(rig, statement)
        assert rig.load().batches == ()
        assert init(rig.warehouse_url, rig.model) == []
    rig.run()
    assert is_whole(rig)


def test_a_search_path_that_leads_past_the_tables_makes_no_second_set(rig: Rig) -> None:
    harm(rig, "create schema other")
    moved = replace(rig, warehouse_url=f"{rig.warehouse_url}&options=-csearch_path%3Dother")

    for work in (
        Load(moved.model, moved.processed, moved.warehouse_url).run,
        lambda: init(moved.warehouse_url, moved.model),
    ):
        with pytest.raises(
            StateError, match=r"was public\.fact_loan for batch 2, and the search_path finds no"
        ) as raised:
            work()
        assert "search_path of the URL" in raised.value.advice
    assert moved.warehouse("select count(*) from pg_class where relnamespace = 'other'::regnamespace") == [(0,)]

    assert rebuilt(moved) == len(rig.ledger())
    assert moved.warehouse_rows() == rig.warehouse_rows()
    with pytest.raises(StateError, match=r"the search_path finds public\.fact_loan"):
        rig.load()


def test_who_may_read_only_the_ledger_or_has_to_wait_is_told_the_rest(rig: Rig) -> None:
    stars = list(rig.model.stars.values())
    harm(rig, "create role ledger_watcher login; grant usage on schema tidemark to ledger_watcher")
    try:
        harm(rig, "grant select on tidemark.batch to ledger_watcher")
        url = f"{rig.warehouse_url}&options=-crole%3Dledger_watcher"
        assert (len(ledger(url)), misfit_of(url, stars)) == (BATCHES, None)
    finally:
        harm(rig, "drop owned by ledger_watcher; drop role ledger_watcher")
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("truncate fact_loan")
        assert misfit_of(rig.warehouse_url, stars) is None
    assert "fact_loan is empty" in str(misfit_of(rig.warehouse_url, stars))
