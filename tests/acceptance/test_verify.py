"""`verify` proves that all is equal, knows what is only pending, and finds whatever was altered, by its keys."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig, clock, generated_totesys, open_rig
from tests.support.postgres import Postgres
from tests.support.replay import SLICES, Replay
from tests.support.s3 import S3
from tests.support.tampering import alter_database, alter_manifest, alter_object, drop, rewrite
from tidemark.cli import run
from tidemark.embedded.generator import activity
from tidemark.errors import DataError
from tidemark.model import load_model
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.verification.result import TableProof, Verification
from tidemark.verification.verify import Verify

LAWS = "laws of the warehouse"
EDGES = ["source = latest", "latest = star", "star = warehouse", LAWS, "records = rows"]
QUICK_SECONDS = 20


def verify(rig: Rig, *, deep: bool = False) -> Verification:
    """Verify a pipeline."""
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    return Verify(*parts, clock).run(deep=deep)


def proof(found: Verification, edge: str, table: str) -> TableProof:
    """Give what an edge says of a table."""
    ((proof,),) = ([each for each in one.tables if each.table == table] for one in found.edges if one.name == edge)
    return proof


def unproven(found: Verification) -> set[tuple[str, str]]:
    """Name the tables that differ, each with its edge."""
    return {(edge.name, table.table) for edge in found.edges for table in edge.tables if not table.is_proven}


def keys(proof: TableProof) -> list[tuple[str, dict[str, str | None]]]:
    """Give the kinds and the keys of the differences."""
    return [(each.kind, dict(each.key)) for each in proof.differences]


@pytest.fixture
def rig(replay: Replay, tmp_path: Path) -> Rig:
    """The replayed pipeline with a lake of its own, which a test may alter."""
    shutil.copytree(replay.place, tmp_path / "lake")
    return open_rig(replay.rig.model, replay.rig.source_url, replay.rig.warehouse_url, str(tmp_path / "lake"))


@pytest.fixture
def warehouse(replay: Replay, postgres: Postgres) -> Iterator[Rig]:
    """The replayed pipeline with a warehouse of its own, which a test may alter."""
    database = postgres.create(replay.rig.warehouse_url.partition("?")[0].rpartition("/")[2])
    yield replace(replay.rig, warehouse_url=postgres.url(database))
    postgres.drop(database)


@pytest.fixture
def small(postgres: Postgres, new_rig: Callable[..., Rig]) -> Rig:
    """A small pipeline after two batches, whose source a test may change."""
    rig = new_rig(postgres.template("small_totesys", generated_totesys(scale=0.02)))
    rig.run()
    with psycopg.connect(rig.source_url) as connection:
        activity(connection, rows=40, seed=1)
    rig.run()
    return rig


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


def test_a_lake_on_s3_is_proven_equal(postgres: Postgres, new_rig: Callable[..., Rig], s3: S3) -> None:
    template = postgres.template("small_totesys", generated_totesys(scale=0.02))
    rig = new_rig(template, place=f"s3://{s3.create_bucket()}")
    rig.run()
    rig.change("update staff set last_name = 'Changed', last_updated = now() where staff_id = 3")
    rig.run()
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


COPIED = "select (jsonb_populate_record(t, '{{\"{key}\": {value}}}')).* from {table} as t where {key} = {of}"
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


# Whatever is altered is found


def test_a_digit_in_latest_is_found(rig: Rig) -> None:
    rewrite(rig.ingestion, "latest/payment", "payment_id = 17", payment_amount="'0' || payment_amount")

    found = verify(rig)

    payment = proof(found, "source = latest", "payment")
    assert keys(payment) == [("differs", {"payment_id": "17"})]
    assert list(payment.differences[0].values) == ["payment_amount"]
    assert "latest was altered" in payment.cause
    assert payment.advice == "tidemark rebuild latest"
    assert unproven(found) == {("source = latest", "payment")}


def test_a_row_dropped_from_latest_is_found(rig: Rig) -> None:
    drop(rig.ingestion, "latest/purchase_order", "purchase_order_id = 21")

    found = verify(rig)

    assert keys(proof(found, "source = latest", "purchase_order")) == [("missing", {"purchase_order_id": "21"})]
    assert keys(proof(found, "latest = star", "fact_purchase_orders")) == [("surplus", {"purchase_order_id": "21"})]
    assert proof(found, "latest = star", "fact_purchase_orders").cause == "latest was altered: purchase_order"
    assert proof(found, "records = rows", "latest").differences[0].values["rows"] == ("4649", "4648")


def test_a_digit_in_a_fact_of_the_lake_is_found(rig: Rig) -> None:
    rewrite(rig.processed, "fact/sales_order", "sales_order_id = 5", units_sold="units_sold + 1")

    found = verify(rig)

    assert keys(proof(found, "latest = star", "fact_sales_order")) == [("differs", {"sales_order_id": "5"})]
    warehouse = proof(found, "star = warehouse", "fact_sales_order")
    assert [list(each.values) for each in warehouse.differences] == [["units_sold"]]
    assert warehouse.cause == "the star was altered after it was loaded"
    assert [each.key for each in proof(found, "records = rows", "star").differences] == [
        {"batch": "1", "table": "fact_sales_order"}
    ]


def test_a_moment_in_a_history_of_the_lake_is_found(rig: Rig) -> None:
    later = "valid_from + interval 1 microsecond"
    rewrite(rig.processed, "fact/payment", "payment_record_id = 40", valid_from=later)

    found = verify(rig)

    assert unproven(found) == {("star = warehouse", "fact_payment"), ("records = rows", "star")}
    assert keys(proof(found, "star = warehouse", "fact_payment")) == [("differs", {"payment_record_id": "40"})]


def test_a_version_removed_from_the_lake_is_found(rig: Rig, replay: Replay) -> None:
    ((record, payment),) = replay.rig.warehouse(
        "select payment_record_id, payment_id from fact_payment where valid_to is not null order by 1 limit 1"
    )
    drop(rig.processed, "fact/payment", f"payment_record_id = {record}")

    found = verify(rig)

    assert ("surplus", {"payment_record_id": str(record)}) in keys(proof(found, "star = warehouse", "fact_payment"))
    assert proof(found, "latest = star", "fact_payment").is_proven, payment
    assert list(proof(found, "records = rows", "star").differences[0].values) == ["rows", "checksum"]


def test_a_value_in_a_dimension_of_the_lake_is_found(rig: Rig) -> None:
    rewrite(rig.processed, "dimension/staff", "staff_id = 3", first_name="first_name || '.'")

    found = verify(rig)

    for edge in ("latest = star", "star = warehouse"):
        assert keys(proof(found, edge, "dim_staff")) == [("differs", {"staff_id": "3"})]
        assert proof(found, edge, "dim_staff").advice == "tidemark rebuild star"


SUPERSEDED = "select ctid from fact_payment where valid_to is not null limit 1"
ALTERED = {
    "a cell of a fact": (
        "update fact_payment set payment_amount = payment_amount + 0.01 where payment_record_id = 31",
        "fact_payment",
        ("differs", {"payment_record_id": "31"}),
        ["payment_amount"],
    ),
    "a row that is gone": (
        "delete from fact_sales_order where sales_record_id = 77",
        "fact_sales_order",
        ("missing", {"sales_record_id": "77"}),
        [],
    ),
    "a row that is there twice": (
        "insert into fact_payment select * from fact_payment where payment_record_id = 31",
        "fact_payment",
        ("repeated", {"payment_record_id": "31"}),
        [],
    ),
    "a row under a number of its own": (
        "insert into fact_purchase_orders "
        + COPIED.format(table="fact_purchase_orders", key="purchase_record_id", value=99999, of=5),
        "fact_purchase_orders",
        ("surplus", {"purchase_record_id": "99999"}),
        [],
    ),
    "a cell of a dimension": (
        "update dim_location set phone = phone || '0' where location_id = 12",
        "dim_location",
        ("differs", {"location_id": "12"}),
        ["phone"],
    ),
    "a day of the calendar": (
        "update dim_date set day_of_week = 1 + day_of_week % 7 where date_id = '2024-02-29'",
        "dim_date",
        ("differs", {"date_id": "2024-02-29"}),
        ["day_of_week"],
    ),
    "the end of a version": (
        f"update fact_payment set valid_to = valid_to + interval '1 microsecond' where ctid = ({SUPERSEDED})",
        "fact_payment",
        None,
        ["valid_to"],
    ),
    "a time of day": (
        "update fact_sales_order set created_time = created_time + interval '1 microsecond' where sales_record_id = 8",
        "fact_sales_order",
        ("differs", {"sales_record_id": "8"}),
        ["created_time"],
    ),
}
# What is altered may break laws of the warehouse as well.
BREACHES = {
    "a row that is there twice": {"intervals", "current versions", "current views"},
    "a row under a number of its own": {"intervals", "current versions"},
    "a day of the calendar": {"checks/calendar_days_are_right"},
    "the end of a version": {"intervals"},
}
UNGUARDED = (
    "alter table fact_payment drop constraint fact_payment_pkey",
    "drop index fact_payment_history_key, fact_payment_current_key",
    "drop index fact_purchase_orders_history_key, fact_purchase_orders_current_key",
)


@pytest.mark.parametrize("altered", ALTERED)
def test_what_is_altered_in_the_warehouse_is_found(warehouse: Rig, altered: str) -> None:
    statement, table, key, columns = ALTERED[altered]
    alter_database(warehouse.warehouse_url, *UNGUARDED, statement)

    found = verify(warehouse)

    assert unproven(found) == {("star = warehouse", table), *((LAWS, law) for law in BREACHES.get(altered, ()))}
    differing = proof(found, "star = warehouse", table)
    assert (differing.count, differing.advice) == (1, "tidemark rebuild warehouse")
    assert keys(differing) == [key] if key else keys(differing)[0][0] == "differs"
    assert list(differing.differences[0].values) == columns


def test_a_reference_to_a_row_that_is_gone_breaks_a_law(warehouse: Rig) -> None:
    keys_off = "alter table fact_payment drop constraint fact_payment_transaction_id_fkey"
    alter_database(warehouse.warehouse_url, keys_off, "delete from dim_transaction where transaction_id = 5")

    found = verify(warehouse)

    assert unproven(found) == {("star = warehouse", "dim_transaction"), (LAWS, "references")}
    references = proof(found, LAWS, "references")
    assert {key["column"] for _, key in keys(references)} == {"transaction_id"}
    assert {key["missing"] for _, key in keys(references)} == {"5"}
    assert references.count == len(warehouse.warehouse("select from fact_payment where transaction_id = 5"))
    assert references.advice == "tidemark rebuild warehouse"


def test_a_check_that_the_sources_rows_break_is_told_apart(warehouse: Rig, tmp_path: Path) -> None:
    model = Path(shutil.copytree(warehouse.model.directory, tmp_path / "model"))
    check = "select staff_id from dim_staff where staff_id < 3 order by staff_id"
    (model / "checks" / "staff_begin_at_3.sql").write_text(check)

    found = verify(replace(warehouse, model=load_model(str(model))))

    assert unproven(found) == {(LAWS, "checks/staff_begin_at_3")}
    broken = proof(found, LAWS, "checks/staff_begin_at_3")
    assert keys(broken) == [("broken", {"staff_id": "1"}), ("broken", {"staff_id": "2"})]
    assert broken.advice == "correct them in the source, or mend checks/staff_begin_at_3.sql in the model"
    assert found.exit_code == 5


def test_a_view_that_shows_what_it_should_not_breaks_a_law(warehouse: Rig) -> None:
    alter_database(
        warehouse.warehouse_url, "create or replace view fact_payment_current as select * from fact_payment limit 1"
    )

    found = verify(warehouse)

    assert unproven(found) == {(LAWS, "current views")}
    assert proof(found, LAWS, "current views").advice == "drop the view, then tidemark init"


def test_an_object_of_the_log_that_is_altered_is_found(rig: Rig) -> None:
    (written,) = rig.manifests()[0].tables["design"].objects
    alter_object(rig.ingestion, written.key, b'"design_name":"', b'"design_name": ')
    key = {"batch": "1", "object": written.key}

    found = verify(rig, deep=True)

    assert keys(proof(found, "records = rows", "objects")) == [("record", key)]
    assert found.exit_code == 5


def test_an_altered_object_is_named_by_the_dimension_that_reads_it(small: Rig) -> None:
    small.change("insert into department (department_id, department_name, location, manager) values (9, 'X', 'Y', 'Z')")
    small.run()
    small.change("delete from department where department_id = 9")
    small.run()
    (written,) = small.newest().tables["department"].objects
    assert verify(small).exit_code == 0
    alter_object(small.ingestion, written.key, b'"location":"Y"', b'"location":"N"')

    staff = proof(verify(small), "latest = star", "dim_staff")

    assert staff.problem.startswith("cannot be read")
    assert f"{written.key} was altered" in staff.problem
    assert f"restore {written.key}" in staff.advice


def test_a_count_altered_in_a_manifest_is_found(rig: Rig) -> None:
    alter_manifest(rig.ingestion, 4, lambda content: content["tables"]["payment"].update(rows=1))
    alter_manifest(rig.processed, 5, lambda content: content["tables"]["fact_payment"].update(rows=2))

    found = verify(rig)

    assert [each.key for each in proof(found, "records = rows", "change log").differences] == [
        {"batch": "4", "table": "payment"},
        {"batch": "5", "table": "payment"},
    ]
    for kind in ("star", "star manifests", "ledger"):
        assert [each.key for each in proof(found, "records = rows", kind).differences] == [
            {"batch": "5", "table": "fact_payment"}
        ]


def test_a_file_that_is_gone_or_broken_is_found(rig: Rig) -> None:
    for path in ("latest/staff", "fact/payment"):
        objects = rig.ingestion if path.startswith("latest") else rig.processed
        file = next(each for each in objects.list(f"{path}/") if "_delta_log" not in each.key)
        local = objects.local_path(file.key)
        assert local is not None
        body = local.read_bytes()
        local.unlink()
        if path.startswith("fact"):
            local.write_bytes(body[: len(body) // 2])

    found = verify(rig)

    assert proof(found, "source = latest", "staff").problem.startswith("cannot be read")
    assert proof(found, "star = warehouse", "fact_payment").problem.startswith("cannot be read")
    assert proof(found, "star = warehouse", "fact_sales_order").is_proven
    assert found.exit_code == 5


def test_what_it_advises_mends_what_it_found(small: Rig) -> None:
    rewrite(small.ingestion, "latest/payment", "payment_id = 17", payment_amount="'9' || payment_amount")
    rewrite(small.processed, "fact/sales_order", "sales_order_id = 5 and batch_id = 1", units_sold="units_sold + 1")
    rewrite(small.processed, "dimension/staff", "staff_id = 3", first_name="'other'")
    alter_database(small.warehouse_url, "update fact_payment set paid = not paid where payment_record_id = 3")
    advised = {table.advice for edge in verify(small).edges for table in edge.tables if not table.is_proven}
    assert advised == {"tidemark rebuild latest", "tidemark rebuild star", "tidemark rebuild warehouse"}

    rebuild = Rebuild(small.model, small.ingestion, small.processed, clock)
    assert (rebuild.latest().is_in_place, rebuild.star().is_in_place) == (True, True)
    RebuildWarehouse(small.model, small.processed, small.warehouse_url).run()

    found = verify(small, deep=True)
    assert unproven(found) == set()
    assert found.exit_code == 0


# What a batch's records are for


def test_load_refuses_a_batch_whose_rows_are_not_those_of_its_manifest(small: Rig) -> None:
    small.change("update sales_order set units_sold = 5, last_updated = now() where sales_order_id = 3")
    small.ingest()
    small.transform()
    rewrite(small.processed, "fact/sales_order", "sales_order_id = 3 and batch_id = 3", units_sold="units_sold + 1")
    before = small.warehouse_rows()

    with pytest.raises(DataError, match="not those that its manifest was made of"):
        small.load()

    assert small.warehouse_rows() == before
    assert small.ledger() == [1, 2]


def test_the_ledger_holds_the_checksums_of_the_manifests(small: Rig) -> None:
    for batch, checksums in small.warehouse("select batch, checksums from tidemark.batch"):
        content = json.loads(small.processed.get(f"batches/{batch:010d}.json"))
        assert checksums == {name: entry["checksum"] for name, entry in content["tables"].items()}


# The command


def arguments(rig: Rig, lake: Path) -> list[str]:
    return [
        "verify",
        *("--source-url", rig.source_url, "--warehouse-url", rig.warehouse_url),
        *("--ingestion", str(lake / "ingestion"), "--processed", str(lake / "processed")),
        *("--pointer", str(lake / "pointer.json")),
    ]


def test_the_command_ends_with_0_where_all_is_equal_and_with_5_where_not(
    small: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = arguments(small, tmp_path / "lake")
    assert run(called) == 0
    shown = capsys.readouterr().out
    assert "no difference" in shown
    assert "laws of the warehouse, batch 2: references kept, intervals kept" in shown

    rewrite(small.processed, "dimension/design", "design_id = 2", design_name="'other'")
    assert run(called) == 5
    shown = capsys.readouterr().out
    assert "design_id 2: differs: design_name" in shown
    assert "what to do: tidemark rebuild star" in shown

    alter_database(small.warehouse_url, "update dim_date set quarter = 9 where date_id = '2024-02-29'")
    assert run(called) == 5
    shown = capsys.readouterr().out
    assert "checks/calendar_days_are_right broken" in shown
    assert "checks/calendar_days_are_right: 1 rows break it" in shown
    assert "date_id 2024-02-29" in shown

    assert run([*called, "--json"]) == 5
    document = json.loads(capsys.readouterr().out)
    assert (document["is_proven"], document["batches"]["warehouse"]) == (False, 2)
    assert [edge["name"] for edge in document["edges"]] == EDGES
    assert dt.timedelta(seconds=document["seconds"]) > dt.timedelta(0)
