"""The warehouse compares itself with the star: what it needs for that, what it finds, and that nothing stays behind."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.kept import small_template
from tests.support.pipeline import Rig, clock, rigs
from tests.support.postgres import Postgres
from tests.support.tampering import alter_database, rewrite
from tests.support.wires import wire_to
from tidemark.errors import ConfigError, StateError
from tidemark.objects import open_objects
from tidemark.verification.result import Edge, TableProof
from tidemark.verification.star_warehouse import verify_warehouse
from tidemark.verification.verify import Verify

ROLE = "tidemark_analyst"


@pytest.fixture(scope="module")
def made(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A small pipeline after two batches."""
    with rigs(postgres, str(tmp_path_factory.mktemp("lake"))) as create:
        rig = create(small_template(postgres))
        rig.run()
        rig.change("update payment set payment_amount = payment_amount + 1, last_updated = now() where payment_id < 40")
        rig.run()
        yield rig


@pytest.fixture
def rig(made: Rig, postgres: Postgres) -> Iterator[Rig]:
    """The same pipeline with a warehouse of its own, which a test may alter."""
    database = postgres.create(made.warehouse_url.partition("?")[0].rpartition("/")[2])
    yield replace(made, warehouse_url=postgres.url(database))
    postgres.drop(database)


@pytest.fixture
def analyst(rig: Rig, postgres: Postgres) -> Iterator[Rig]:
    """The same pipeline, its warehouse seen by a role that may read it and make temporary tables."""
    statements = (
        f"create role {ROLE} login",
        f"grant usage on schema tidemark to {ROLE}",
        f"grant select on all tables in schema public, tidemark to {ROLE}",
    )
    with psycopg.connect(rig.warehouse_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    yield replace(rig, warehouse_url=rig.warehouse_url.replace("postgres@", f"{ROLE}@", 1))
    for url, statement in ((rig.warehouse_url, f"drop owned by {ROLE}"), (postgres.url(), f"drop role {ROLE}")):
        with psycopg.connect(url) as connection:
            connection.execute(statement.encode())


def prove(rig: Rig) -> Edge:
    return verify_warehouse(rig.model, rig.processed, rig.warehouse_url)


def unproven(edge: Edge) -> list[TableProof]:
    return [table for table in edge.tables if not table.is_proven]


def test_a_role_that_only_reads_proves_all_and_leaves_nothing_behind(analyst: Rig) -> None:
    tables = (
        "select count(*), sum(pg_relation_size(c.oid)) from pg_class as c"
        " where c.relpersistence = 't' or c.relnamespace in ('public'::regnamespace, 'tidemark'::regnamespace)"
    )
    before = analyst.warehouse(tables)

    edge = prove(analyst)

    assert (edge.batch, len(edge.tables), unproven(edge)) == (2, len(analyst.model.stars), [])
    assert all(table.left == table.right is not None for table in edge.tables)
    assert analyst.warehouse(tables) == before


def test_without_the_right_to_make_temporary_tables_the_edge_is_not_verified(analyst: Rig, rig: Rig) -> None:
    database = rig.warehouse("select current_database()")[0][0]
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute(f'revoke temporary on database "{database}" from public'.encode())

    with pytest.raises(ConfigError, match="no temporary table") as refused:
        prove(analyst)

    assert refused.value.advice == f'grant temporary on database "{database}" to "{ROLE}"'


def test_a_server_that_can_only_be_read_is_not_verified_and_its_ledger_is(rig: Rig) -> None:
    with wire_to(rig.warehouse_url) as standby:
        # A server tells each client in its greeting whether it is one.
        standby.alters = lambda block: block.replace(PRIMARY, STANDBY)
        parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, standby.url)
        found = Verify(*parts, clock).run()

    assert (found.count, found.exit_code) == (0, ConfigError.exit_code)
    assert [bool(edge.skipped) for edge in found.edges] == [False, False, True, False, False]
    assert "can only be read" in found.edges[2].skipped
    assert "primary" in found.edges[2].advice


PRIMARY, STANDBY = b"S\0\0\0\x17in_hot_standby\0off\0", b"S\0\0\0\x16in_hot_standby\0on\0"
SWAPPED = """
    update fact_payment set currency_id = case currency_id when 2 then 3 else 2 end
    where payment_record_id in (
        (select min(payment_record_id) from fact_payment where currency_id = 2),
        (select min(payment_record_id) from fact_payment where currency_id = 3)
    )
"""


@pytest.mark.parametrize(
    ("statement", "column"),
    [
        # A numeric's hash leaves out its sign.
        ("update fact_payment set payment_amount = -payment_amount where payment_record_id = 50", "payment_amount"),
        # The sum of a record's hashes stays when rows swap values, but for the seed.
        (SWAPPED, "currency_id"),
        ("update fact_payment set valid_to = null where payment_id = 7", "valid_to"),
        ("update fact_payment set valid_to = valid_from + interval '1 day' where payment_record_id = 60", "valid_to"),
    ],
)
def test_what_a_sum_of_hashes_might_overlook_is_found(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, statement: str, column: str
) -> None:
    monkeypatch.setattr("tidemark.verification.star_warehouse.BUCKETS", 1)
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("drop index fact_payment_current_key")
        connection.execute(statement.encode())

    (payment,) = unproven(prove(rig))

    assert {kind.kind for kind in payment.differences} == {"differs"}
    assert {name for each in payment.differences for name in each.values} == {column}


def test_the_first_differences_come_in_the_order_of_their_keys_and_all_are_counted(rig: Rig) -> None:
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("update fact_payment set paid = not paid where payment_record_id between 3 and 102")

    (payment,) = unproven(prove(rig))

    assert payment.count == 100
    assert [each.key["payment_record_id"] for each in payment.differences] == [str(key) for key in range(3, 23)]
    assert payment.differences[0].values["paid"] in {("true", "false"), ("false", "true")}
    assert payment.cause == "the star or the warehouse was altered"


def test_a_value_that_the_warehouse_cannot_take_hides_nothing_of_the_other_tables(rig: Rig, tmp_path: Path) -> None:
    shutil.copytree(rig.processed.url("x").removesuffix("/x"), tmp_path / "processed")
    rig = replace(rig, processed=open_objects(str(tmp_path / "processed")))
    rewrite(rig.processed, "fact/sales_order", "sales_record_id = 5", created_time="'no time'")
    alter_database(rig.warehouse_url, "update dim_staff set first_name = 'x' where staff_id = 2")

    staff, sales = sorted(unproven(prove(rig)), key=lambda table: table.table)

    assert (staff.table, staff.count) == ("dim_staff", 1)
    assert "invalid input syntax for type time: '…'" in sales.problem
    assert sales.advice == "tidemark rebuild star"


def test_a_column_of_a_type_without_hash_or_order_is_compared_as_text(rig: Rig) -> None:
    with psycopg.connect(rig.warehouse_url) as connection:
        for column in ("sales_order_id", "purchase_order_id"):
            statement = f"alter table dim_transaction alter column {column} type json using to_json({column})"
            connection.execute(statement.encode())
        connection.execute('alter table dim_staff alter column first_name type text collate "POSIX"')
    assert unproven(prove(rig)) == []

    alter_database(
        rig.warehouse_url,
        "update dim_transaction set sales_order_id = '{}' where transaction_id = 3",
        "update dim_staff set first_name = 'x' where staff_id = 2",
    )
    assert [(table.table, table.count) for table in unproven(prove(rig))] == [("dim_staff", 1), ("dim_transaction", 1)]


def test_star_and_warehouse_that_do_not_belong_together_are_not_compared(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="but the star ends with batch 0"):
        prove(replace(rig, processed=open_objects(str(tmp_path))))
