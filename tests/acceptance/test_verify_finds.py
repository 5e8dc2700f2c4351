"""`verify` names the keys of whatever was altered, its advice mends that, and load refuses altered rows."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.pipeline import Rig, clock
from tests.support.proof import COPIED, LAWS, keys, proof, unproven, verify
from tests.support.tampering import alter_database, alter_manifest, alter_object, drop, rewrite
from tidemark.errors import DataError
from tidemark.lake.table import open_table
from tidemark.model_reader import load_model
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.warehouse.schema import init


@pytest.fixture
def small(small_totesys: Callable[..., Rig]) -> Rig:
    """A small pipeline after two batches, which a test may change."""
    return small_totesys(2)


def test_a_digit_in_latest_is_found(small: Rig) -> None:
    rewrite(small.ingestion, "latest/payment", "payment_id = 17", payment_amount="'0' || payment_amount")

    found = verify(small)

    payment = proof(found, "source = latest", "payment")
    assert keys(payment) == [("differs", {"payment_id": "17"})]
    assert list(payment.differences[0].values) == ["payment_amount"]
    assert "latest was altered" in payment.cause
    assert payment.advice == "tidemark rebuild latest"
    assert unproven(found) == {("source = latest", "payment")}


def test_a_row_dropped_from_latest_is_found(small: Rig) -> None:
    drop(small.ingestion, "latest/purchase_order", "purchase_order_id = 21")

    found = verify(small)

    assert keys(proof(found, "source = latest", "purchase_order")) == [("missing", {"purchase_order_id": "21"})]
    assert keys(proof(found, "latest = star", "fact_purchase_orders")) == [("surplus", {"purchase_order_id": "21"})]
    assert proof(found, "latest = star", "fact_purchase_orders").cause == "latest was altered: purchase_order"
    assert proof(found, "records = rows", "latest").differences[0].values["rows"] == ("93", "92")


def test_a_digit_in_a_fact_of_the_lake_is_found(small: Rig) -> None:
    rewrite(small.processed, "fact/sales_order", "sales_order_id = 5", units_sold="units_sold + 1")

    found = verify(small)

    assert keys(proof(found, "latest = star", "fact_sales_order")) == [("differs", {"sales_order_id": "5"})]
    warehouse = proof(found, "star = warehouse", "fact_sales_order")
    assert [list(each.values) for each in warehouse.differences] == [["units_sold"]]
    assert warehouse.cause == "the star was altered after it was loaded"
    assert [each.key for each in proof(found, "records = rows", "star").differences] == [
        {"batch": "1", "table": "fact_sales_order"}
    ]


def test_a_moment_in_a_history_of_the_lake_is_found(small: Rig) -> None:
    later = "valid_from + interval 1 microsecond"
    rewrite(small.processed, "fact/payment", "payment_record_id = 40", valid_from=later)

    found = verify(small)

    assert unproven(found) == {("star = warehouse", "fact_payment"), ("records = rows", "star")}
    assert keys(proof(found, "star = warehouse", "fact_payment")) == [("differs", {"payment_record_id": "40"})]


def test_a_version_removed_from_the_lake_is_found(small: Rig) -> None:
    ((record, payment),) = small.warehouse(
        "select payment_record_id, payment_id from fact_payment where valid_to is not null order by 1 limit 1"
    )
    drop(small.processed, "fact/payment", f"payment_record_id = {record}")

    found = verify(small)

    assert ("surplus", {"payment_record_id": str(record)}) in keys(proof(found, "star = warehouse", "fact_payment"))
    assert proof(found, "latest = star", "fact_payment").is_proven, payment
    assert list(proof(found, "records = rows", "star").differences[0].values) == ["rows", "checksum"]


def test_a_value_in_a_dimension_of_the_lake_is_found(small: Rig) -> None:
    rewrite(small.processed, "dimension/staff", "staff_id = 3", first_name="first_name || '.'")

    found = verify(small)

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
    "a row under a number of its own": {"tables and ledger", "intervals", "current versions"},
    "a day of the calendar": {"checks/calendar_days_are_right"},
    "the end of a version": {"intervals"},
}
UNGUARDED = (
    "alter table fact_payment drop constraint fact_payment_pkey",
    "drop index fact_payment_history_key, fact_payment_current_key",
    "drop index fact_purchase_orders_history_key, fact_purchase_orders_current_key",
)


@pytest.mark.parametrize("altered", ALTERED)
def test_what_is_altered_in_the_warehouse_is_found(small: Rig, altered: str) -> None:
    statement, table, key, columns = ALTERED[altered]
    alter_database(small.warehouse_url, *UNGUARDED, statement)

    found = verify(small)

    breaches = {"objects of the model", *BREACHES.get(altered, ())}
    assert unproven(found) == {("star = warehouse", table), *((LAWS, law) for law in breaches)}
    differing = proof(found, "star = warehouse", table)
    assert (differing.count, differing.advice) == (1, "tidemark rebuild warehouse")
    assert keys(differing) == [key] if key else keys(differing)[0][0] == "differs"
    assert list(differing.differences[0].values) == columns


def test_a_reference_to_a_row_that_is_gone_breaks_a_law(small: Rig) -> None:
    keys_off = "alter table fact_payment drop constraint fact_payment_transaction_id_fkey"
    alter_database(small.warehouse_url, keys_off, "delete from dim_transaction where transaction_id = 5")

    found = verify(small)

    assert unproven(found) == {
        ("star = warehouse", "dim_transaction"),
        (LAWS, "references"),
        (LAWS, "objects of the model"),
    }
    references = proof(found, LAWS, "references")
    assert {key["column"] for _, key in keys(references)} == {"transaction_id"}
    assert {key["missing"] for _, key in keys(references)} == {"5"}
    assert references.count == len(small.warehouse("select from fact_payment where transaction_id = 5"))
    assert references.advice == "tidemark rebuild warehouse"


def test_a_check_that_the_sources_rows_break_is_told_apart(small: Rig, tmp_path: Path) -> None:
    model = Path(shutil.copytree(small.model.directory, tmp_path / "model"))
    check = "select staff_id from dim_staff where staff_id < 3 order by staff_id"
    (model / "checks" / "staff_begin_at_3.sql").write_text(check)

    found = verify(replace(small, model=load_model(str(model))))

    assert unproven(found) == {(LAWS, "checks/staff_begin_at_3")}
    broken = proof(found, LAWS, "checks/staff_begin_at_3")
    assert keys(broken) == [("broken", {"staff_id": "1"}), ("broken", {"staff_id": "2"})]
    assert broken.advice == "correct them in the source, or mend checks/staff_begin_at_3.sql in the model"
    assert found.exit_code == 5


def test_a_view_that_shows_what_it_should_not_breaks_a_law(small: Rig) -> None:
    alter_database(
        small.warehouse_url, "create or replace view fact_payment_current as select * from fact_payment limit 1"
    )

    found = verify(small)

    assert unproven(found) == {(LAWS, "current views"), (LAWS, "objects of the model")}
    assert proof(found, LAWS, "current views").advice.startswith("tidemark init")
    replaced = proof(found, LAWS, "objects of the model")
    assert replaced.problem.startswith("tidemark init would run: create or replace view fact_payment_current; comment")
    assert init(small.warehouse_url, small.model)
    assert small.broken_laws() == {}


def test_an_object_of_the_log_that_is_altered_is_found(small: Rig) -> None:
    (written,) = small.manifests()[0].tables["design"].objects
    alter_object(small.ingestion, written.key, b'"design_name":"', b'"design_name": ')
    key = {"batch": "1", "object": written.key}

    found = verify(small, deep=True)

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


def test_a_count_altered_in_a_manifest_is_found(small: Rig) -> None:
    alter_manifest(small.ingestion, 1, lambda content: content["tables"]["payment"].update(rows=1))
    alter_manifest(small.processed, 2, lambda content: content["tables"]["fact_payment"].update(rows=2))

    found = verify(small)

    assert [each.key for each in proof(found, "records = rows", "change log").differences] == [
        {"batch": "1", "table": "payment"},
        {"batch": "2", "table": "payment"},
    ]
    for kind in ("star", "star manifests", "ledger"):
        assert [each.key for each in proof(found, "records = rows", kind).differences] == [
            {"batch": "2", "table": "fact_payment"}
        ]


def test_a_file_that_is_gone_or_broken_is_found(small: Rig) -> None:
    for objects, path in ((small.ingestion, "latest/staff"), (small.processed, "fact/payment")):
        table = open_table(objects, path)
        assert table is not None
        local = objects.local_path(f"{path}/{table.files[0]}")
        assert local is not None
        body = local.read_bytes()
        local.unlink()
        if path.startswith("fact"):
            local.write_bytes(body[: len(body) // 2])

    found = verify(small)

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
