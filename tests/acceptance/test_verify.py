"""`verify` proves that all is equal, and knows what is only pending or set aside."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.drift import LATER, build_shop, shop
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tests.support.proof import COPIED, EDGES, LAWS, keys, proof, unproven, verify
from tests.support.replay import SLICES, Replay
from tests.support.s3 import S3
from tests.support.tampering import drop, rewrite
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.verification.verify import Verify

QUICK_SECONDS = 20


@pytest.fixture
def small(small_totesys: Callable[..., Rig]) -> Rig:
    """A small pipeline after two batches, which a test may change."""
    return small_totesys(2)


# All is equal


@pytest.mark.parametrize("deep", [False, True])
def test_the_replayed_real_rows_are_proven_equal(replay: Replay, deep: bool) -> None:  # noqa: FBT001 -- a case
    found = verify(replay.rig, deep=deep)
    print(f"\nverify of the real rows after {SLICES} batches{', deep' if deep else ''}: {found.seconds:.1f} s")  # noqa: T201

    assert unproven(found) == set()
    assert (found.count, found.exit_code) == (0, 0)
    assert [edge.name for edge in found.edges] == EDGES + (["log = latest", "log = star"] if deep else [])
    assert {edge.batch for edge in found.edges} == {SLICES}
    sources, stars = len(replay.rig.model.sources), len(replay.rig.model.stars)
    assert [len(edge.tables) for edge in found.edges[:3]] == [sources, stars, stars]
    for edge in found.edges[:3]:
        assert all(table.left == table.right is not None for table in edge.tables), edge.name
    assert found.seconds < QUICK_SECONDS or deep


@pytest.mark.exhaustive
def test_a_lake_on_s3_is_proven_equal(small_totesys: Callable[..., Rig], s3: S3) -> None:
    rig = small_totesys(2, place=f"s3://{s3.create_bucket()}")
    rig.change(*CHANGES)

    found = verify(rig, deep=True)

    assert unproven(found) == set()
    assert [edge.skipped for edge in found.edges] == [""] * 7
    assert proof(found, "source = latest", "payment").pending == ALL_KINDS


def test_it_changes_nothing(replay: Replay) -> None:
    objects, rows = replay.rig.objects(), replay.rig.warehouse_rows()

    verify(replay.rig)

    assert replay.rig.objects() == objects
    assert replay.rig.warehouse_rows() == rows


# What came after the last batch is pending


CHANGES = (
    f"insert into department {COPIED.format(table='department', key='department_id', value=901, of=1)}",
    "update staff set last_name = 'Changed', last_updated = now() where staff_id = 3",
    "update staff set email_address = 'quiet@example.com' where staff_id = 4",
    "delete from payment where payment_id = 7",
    "update payment set payment_amount = 1 where payment_id = 8",
    f"insert into payment {COPIED.format(table='payment', key='payment_id', value=99999, of=9)}",
)
ALL_KINDS = {"insert": 1, "update": 1, "delete": 1}


def test_changes_after_the_last_batch_are_pending_and_no_differences(small: Rig) -> None:
    small.change(*CHANGES)

    found = verify(small)

    assert (found.count, found.exit_code) == (0, 0)
    assert proof(found, "source = latest", "department").pending == {"insert": 1}
    assert proof(found, "source = latest", "staff").pending == {"update": 2}
    assert proof(found, "source = latest", "payment").pending == ALL_KINDS
    assert proof(found, "source = latest", "address").pending == {}

    small.run()
    found = verify(small, deep=True)
    assert unproven(found) == set()
    assert proof(found, "source = latest", "staff").pending == {}


def test_beside_pending_changes_an_altered_latest_is_found(small: Rig) -> None:
    small.change(*CHANGES)
    rewrite(small.ingestion, "latest/payment", "payment_id = 5", payment_amount="'0' || payment_amount")

    found = proof(verify(small), "source = latest", "payment")

    assert keys(found) == [("differs", {"payment_id": "5"})]
    assert found.pending == ALL_KINDS


def test_a_row_of_latest_that_was_altered_before_it_changed_in_the_source_is_found(small: Rig) -> None:
    small.change(*CHANGES)
    rewrite(small.ingestion, "latest/payment", "payment_id = 7", payment_amount="'9' || payment_amount")
    rewrite(small.ingestion, "latest/payment", "payment_id = 8", payment_amount="'no number'")

    found = proof(verify(small), "source = latest", "payment")

    assert keys(found) == [("surplus", {"payment_id": "7"}), ("differs", {"payment_id": "8"})]
    assert found.pending == {"insert": 1}


def test_beside_pending_changes_a_row_dropped_from_latest_is_found(small: Rig) -> None:
    small.change(*CHANGES)
    drop(small.ingestion, "latest/payment", "payment_id = 5")

    found = proof(verify(small), "source = latest", "payment")

    assert keys(found) == [("missing", {"payment_id": "5"})]
    assert found.pending == ALL_KINDS
    assert "no longer adds up" in found.cause


def test_an_older_transaction_that_commits_after_the_batch_is_pending(small: Rig) -> None:
    with psycopg.connect(small.source_url) as slow:
        slow.execute("update staff set last_name = 'Late', last_updated = now() - interval '1 hour' where staff_id = 3")
        small.change("update staff set last_name = 'Soon', last_updated = now() where staff_id = 4")
        small.run()

    found = verify(small)

    assert unproven(found) == set()
    assert proof(found, "source = latest", "staff").pending == {"update": 1}


def test_a_batch_that_is_not_transformed_or_loaded_yet_is_no_difference(small: Rig) -> None:
    small.change(*CHANGES)
    small.ingest()
    assert verify(small).count == 0

    small.transform()
    found = verify(small)
    assert (found.count, found.batches) == (0, {"log": 3, "star": 3, "warehouse": 2})


def test_a_place_that_is_not_configured_is_left_out(small: Rig) -> None:
    found = Verify(small.model, small.ingestion, small.processed, small.pointer, None, None, clock).run()

    assert (found.count, found.exit_code) == (0, 0)
    assert [bool(edge.skipped) for edge in found.edges] == [True, False, True, True, False]
    assert found.edges[0].advice == "set TIDEMARK_SOURCE_URL"


def test_a_place_that_is_away_hides_nothing_of_the_others(small: Rig) -> None:
    away = replace(small, source_url="postgresql://nobody@127.0.0.1:1/nowhere")

    found = verify(away)

    assert (found.count, found.exit_code) == (0, 3)
    assert [bool(edge.skipped) for edge in found.edges] == [True, False, False, False, False]


def test_another_source_than_that_of_the_log_is_not_compared(small: Rig) -> None:
    found = verify(replace(small, source_url=small.warehouse_url))

    assert found.exit_code == 6
    assert "the manifests are of" in found.edges[0].skipped


def test_rows_in_quarantine_are_set_aside_and_no_differences(small: Rig) -> None:
    small.change("update sales_order set created_at = 'infinity' where sales_order_id = 9")
    small.run()

    found = verify(small, deep=True)

    assert unproven(found) == set()
    assert proof(found, "latest = star", "fact_sales_order").set_aside == 1


def test_rows_that_come_back_from_quarantine_are_proven_with_the_others(small: Rig) -> None:
    copies = (("currency", "currency_id", 99, 1), ("sales_order", "sales_order_id", 99999, 9))
    small.change(
        *(
            f"insert into {each[0]} {COPIED.format(table=each[0], key=each[1], value=each[2], of=each[3])}"
            for each in copies
        ),
        "update currency set currency_code = 'ZZZ' where currency_id = 99",
        "update sales_order set currency_id = 99 where sales_order_id = 99999",
    )
    small.run()
    found = verify(small, deep=True)
    assert unproven(found) == set()
    assert proof(found, "latest = star", "fact_sales_order").set_aside == 1
    assert proof(found, "latest = star", "dim_currency").set_aside == 1

    small.change("update currency set currency_code = 'CHF', last_updated = now() where currency_id = 99")
    small.run()
    found = verify(small, deep=True)
    assert unproven(found) == set()
    assert proof(found, "latest = star", "fact_sales_order").set_aside == 0


def test_a_star_that_was_rebuilt_while_the_warehouse_lags_behind_is_no_difference(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    shop().write(tmp_path / "shop")
    for path, more in {
        "model.toml": 'bought_on = "dim_date"\n[star.dim_date]\nkind = "calendar"\nkey = ["date_id"]\n',
        "warehouse.sql": "create table dim_date (date_id date primary key);",
        "dimension/date.sql": "select date_id from calendar",
    }.items():
        with (tmp_path / "shop" / path).open("a") as file:
            file.write(more)
    rig = new_rig(postgres.template("shop", build_shop), model=str(tmp_path / "shop"))
    rig.run()
    for name in ("Ada L", "Ada Lovelace"):
        rig.change(f"update customer set name = '{name}', {LATER} where customer_id = 1")
        rig.change(f"update purchase set bought_on = '1852-11-27', {LATER} where purchase_id = 2")
        rig.ingest()
    rig.transform()

    Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    found = verify(rig)
    assert unproven(found) == set()
    assert proof(found, "star = warehouse", "dim_customer").note.startswith(
        "as of batch 3, which the rebuilt star holds"
    )

    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("update dim_customer set name = 'forged' where customer_id = 2")
        connection.execute("delete from dim_date where date_id = '2024-02-29'")
    assert unproven(verify(rig)) == {
        *(("star = warehouse", name) for name in ("dim_customer", "dim_date")),
        (LAWS, "calendar"),
    }
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    rig.load()
    assert unproven(verify(rig)) == set()
