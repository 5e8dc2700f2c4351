"""What totesys' warehouse.sql makes of an empty PostgreSQL, and that each law sees its breach."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.postgres import Postgres
from tidemark.model_reader import load_model
from tidemark.verification.laws import Law, checked, laws
from tidemark.verification.result import MOST_DIFFERENCES
from tidemark.verification.star_warehouse import WarehouseSnapshot
from tidemark.warehouse.fact_views import generated
from tidemark.warehouse.schema import init

MODEL = load_model("totesys")
HERE = Path(__file__).parent
HISTORY = "valid_from timestamp!, is_deleted boolean!, batch_id bigint!, valid_to timestamp"
STAMPS = "created_date date!, created_time time!, last_updated_date date, last_updated_time time"
# What whoever queries the warehouse relies on: these tables with these columns and types; ! is not null.
COLUMNS = {
    "fact_sales_order": (
        f"sales_record_id bigint!, sales_order_id integer!, {STAMPS}, sales_staff_id integer!, "
        "counterparty_id integer!, units_sold integer!, unit_price numeric(10,2)!, currency_id integer!, "
        "design_id integer!, agreed_payment_date date!, agreed_delivery_date date!, "
        f"agreed_delivery_location_id integer!, {HISTORY}"
    ),
    "fact_purchase_orders": (
        f"purchase_record_id bigint!, purchase_order_id integer!, {STAMPS}, staff_id integer!, "
        "counterparty_id integer!, item_code varchar!, item_quantity integer!, item_unit_price numeric(10,2)!, "
        "currency_id integer!, agreed_delivery_date date!, agreed_payment_date date!, "
        f"agreed_delivery_location_id integer!, {HISTORY}"
    ),
    "fact_payment": (
        f"payment_record_id bigint!, payment_id integer!, {STAMPS}, transaction_id integer!, counterparty_id integer!, "
        "payment_amount numeric(18,2)!, currency_id integer!, payment_type_id integer!, paid boolean!, "
        f"payment_date date!, {HISTORY}"
    ),
    "dim_date": (
        "date_id date!, year integer!, month integer!, day integer!, day_of_week integer!, day_name varchar!, "
        "month_name varchar!, quarter integer!"
    ),
    "dim_staff": (
        "staff_id integer!, first_name varchar!, last_name varchar!, department_name varchar, location varchar, "
        "email_address varchar!"
    ),
    "dim_location": (
        "location_id integer!, address_line_1 varchar!, address_line_2 varchar, district varchar, city varchar!, "
        "postal_code varchar!, country varchar!, phone varchar!"
    ),
    "dim_design": "design_id integer!, design_name varchar!, file_location varchar!, file_name varchar!",
    "dim_currency": "currency_id integer!, currency_code varchar!, currency_name varchar!",
    "dim_counterparty": (
        "counterparty_id integer!, counterparty_legal_name varchar!, counterparty_legal_address_line_1 varchar, "
        "counterparty_legal_address_line_2 varchar, counterparty_legal_district varchar, "
        "counterparty_legal_city varchar, counterparty_legal_postal_code varchar, counterparty_legal_country varchar, "
        "counterparty_legal_phone_number varchar"
    ),
    "dim_payment_type": "payment_type_id integer!, payment_type_name varchar!",
    "dim_transaction": (
        "transaction_id integer!, transaction_type varchar!, sales_order_id integer, purchase_order_id integer"
    ),
}
DESCRIBE = """
    select string_agg(
        attname || ' '
        || case format_type(atttypid, atttypmod)
            when 'character varying' then 'varchar'
            when 'timestamp without time zone' then 'timestamp'
            when 'time without time zone' then 'time'
            else format_type(atttypid, atttypmod)
        end
        || case when attnotnull then '!' else '' end, ', ' order by attnum
    )
    from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped
"""
REFERENCES = """
    select conname, conrelid::regclass::text, confrelid::regclass::text, attname
    from pg_constraint
    inner join pg_attribute on attrelid = conrelid and attnum = conkey[1]
    where contype = 'f' and cardinality(conkey) = 1
"""
# A breach of each law, by someone who has the right to drop what stands in the way.
BREACHES = {
    "references": """
        alter table fact_payment drop constraint fact_payment_transaction_id_fkey; delete from dim_transaction
    """,
    "intervals": "update fact_sales_order set valid_to = '2024-11-12 08:59' where sales_record_id = 1",
    "current versions": "update fact_sales_order set valid_to = '2024-12-01' where sales_record_id = 2",
    "current views": "create or replace view fact_sales_order_current as select * from fact_sales_order",
    "calendar": "delete from dim_date where date_id = '2024-02-29'",
    "checks/calendar_days_are_right": "update dim_date set day_of_week = 0 where date_id = '2024-12-29'",
    "checks/currencies_are_named": """
        alter table dim_currency alter currency_name drop not null; update dim_currency set currency_name = null
    """,
    "checks/joins_find_their_rows": "update dim_counterparty set counterparty_legal_address_line_1 = null",
}


@pytest.fixture(scope="module")
def empty_warehouse_url(postgres: Postgres) -> Iterator[str]:
    name = postgres.create()
    init(postgres.url(name), MODEL)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def empty_warehouse(empty_warehouse_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(empty_warehouse_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def warehouse(empty_warehouse: psycopg.Connection) -> psycopg.Connection:
    empty_warehouse.execute((HERE / "star_rows.sql").read_text("utf-8"))
    return empty_warehouse


def ids(warehouse: psycopg.Connection, query: str) -> list[int]:
    return sorted(row[0] for row in warehouse.execute(query))


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_its_columns_in_order(empty_warehouse: psycopg.Connection, table: str) -> None:
    assert empty_warehouse.execute(DESCRIBE, (table,)).fetchone() == (COLUMNS[table],)


@pytest.mark.parametrize("star", MODEL.stars)
def test_a_table_has_the_models_key(empty_warehouse: psycopg.Connection, star: str) -> None:
    key = empty_warehouse.execute(
        "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and contype = 'p'",
        (star,),
    ).fetchone()

    assert key == (f"{star}_pkey", f"PRIMARY KEY ({', '.join(MODEL.stars[star].key)})")


def test_each_reference_of_the_model_is_a_foreign_key(empty_warehouse: psycopg.Connection) -> None:
    expected = {
        (f"{fact.name}_{column}_fkey", fact.name, dimension, column)
        for fact in MODEL.facts
        for column, dimension in fact.references.items()
    }

    assert set(empty_warehouse.execute(REFERENCES)) == expected


def test_current_shows_live_rows_alone(warehouse: psycopg.Connection) -> None:
    assert ids(warehouse, "select sales_record_id from fact_sales_order_current") == [2]
    assert ids(warehouse, "select purchase_record_id from fact_purchase_orders_current") == [1]
    assert ids(warehouse, "select payment_record_id from fact_payment_current") == [2]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-11-01 09:59:59.999999", []),
        ("2024-11-01 10:00", [1]),
        ("2024-11-12 08:59:59.999999", [1, 2]),
        ("2024-11-12 09:00", [2, 3]),
        ("2024-11-13 07:59:59.999999", [2, 3]),
        ("2024-11-13 08:00", [2]),
        ("infinity", [2]),
    ],
)
def test_as_of_shows_each_version_in_its_time(warehouse: psycopg.Connection, moment: str, expected: list[int]) -> None:
    rows = warehouse.execute("select sales_record_id from fact_sales_order_as_of(%s) order by 1", (moment,))

    assert [row[0] for row in rows] == expected


@pytest.mark.parametrize("fact", [fact.name for fact in MODEL.facts])
def test_as_of_a_null_moment_is_empty(warehouse: psycopg.Connection, fact: str) -> None:
    assert warehouse.execute(f"select * from {fact}_as_of(null)").fetchall() == []


@pytest.mark.parametrize(
    "query",
    [
        "select * from fact_sales_order_as_of('2024-11-12') where sales_order_id = 17",
        "select * from fact_sales_order_current where sales_order_id = 17",
        "select * from fact_sales_order where sales_order_id = 17 order by valid_from",
    ],
)
def test_one_keys_rows_are_found_by_an_index(warehouse: psycopg.Connection, query: str) -> None:
    warehouse.execute("set local enable_seqscan = off")  # the table is too small for an index to be worth it
    plan = "\n".join(row[0] for row in warehouse.execute("explain (costs off) " + query))

    assert "Index Cond: (" in plan
    assert "sales_order_id = 17" in plan


def test_a_key_has_one_current_version_at_most(warehouse: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
        warehouse.execute("update fact_payment set valid_to = null")

    assert raised.value.diag.constraint_name == "fact_payment_current_key"


def test_a_version_ends_after_it_begins(warehouse: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as raised:
        warehouse.execute("update fact_payment set valid_to = valid_from where valid_to is not null")

    assert raised.value.diag.constraint_name == "fact_payment_valid_to_check"


def test_a_fact_cannot_point_at_nothing(warehouse: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as raised:
        warehouse.execute("update fact_sales_order set agreed_delivery_date = '2025-01-01'")

    assert raised.value.diag.constraint_name == "fact_sales_order_agreed_delivery_date_fkey"


def test_a_column_added_later_appears(warehouse: psycopg.Connection) -> None:
    warehouse.execute("alter table fact_payment add column note varchar default 'new'")
    assert set(warehouse.execute("select note from fact_payment_as_of('2024-11-02')")) == {("new",)}

    for statement in (each for made in generated(MODEL) if made.kind != "index" for each in made.statements):
        warehouse.execute(statement.encode())
    assert set(warehouse.execute("select note from fact_payment_current")) == {("new",)}


def test_the_tables_explain_themselves(empty_warehouse: psycopg.Connection) -> None:
    silent = empty_warehouse.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') "
        "and obj_description(oid, 'pg_class') is null"
    )

    assert silent.fetchall() == []


def broken(warehouse: psycopg.Connection) -> dict[str, list[Mapping[str, str | None]]]:
    """Give the rows that break each law, of which there are to be no more than a proof names."""
    snapshot = WarehouseSnapshot(warehouse, "the warehouse")
    proofs = [checked(law, snapshot) for law in laws(MODEL, snapshot)]
    assert [proof for proof in proofs if proof.problem or proof.note or len(proof.differences) != proof.count] == []
    return {proof.table: [each.key for each in proof.differences] for proof in proofs if not proof.is_proven}


def test_each_law_has_its_breach(warehouse: psycopg.Connection) -> None:
    assert [law.name for law in laws(MODEL, WarehouseSnapshot(warehouse, "the warehouse"))] == list(BREACHES)


def test_the_laws_are_kept_where_there_is_nothing(empty_warehouse: psycopg.Connection) -> None:
    assert broken(empty_warehouse) == {}


def test_the_laws_are_kept_by_good_rows(warehouse: psycopg.Connection) -> None:
    assert broken(warehouse) == {}


@pytest.mark.parametrize("law", BREACHES)
def test_a_law_sees_its_breach(warehouse: psycopg.Connection, law: str) -> None:
    for statement in BREACHES[law].split(";"):
        warehouse.execute(statement.encode())

    # A version that ends although none follows leaves a gap behind it as well, and is no longer shown.
    assert broken(warehouse).keys() == ({law, "intervals"} if law == "current versions" else {law})


@pytest.mark.parametrize(
    ("statement", "law", "row"),
    [
        (
            BREACHES["references"],
            "references",
            {"table": "fact_payment", "payment_record_id": "1", "column": "transaction_id", "missing": "1"},
        ),
        (
            BREACHES["intervals"],
            "intervals",
            {
                "table": "fact_sales_order",
                "sales_order_id": "17",
                "valid_from": "2024-11-01 10:00:00",
                "valid_to": "2024-11-12 08:59:00",
                "next_valid_from": "2024-11-12 09:00:00",
            },
        ),
        (
            "insert into dim_date values ('2031-05-05', 2031, 5, 5, 1, 'Monday', 'May', 2)",
            "calendar",
            {"table": "dim_date", "date_id": "2031-05-05", "why": "no fact names its year"},
        ),
        (
            "create or replace view fact_payment_current as select f.* from fact_payment as f, generate_series(1, 2)",
            "current views",
            {"table": "fact_payment", "payment_record_id": "2", "shown": "2"},
        ),
    ],
)
def test_the_rows_that_break_a_law_are_named(
    warehouse: psycopg.Connection, statement: str, law: str, row: dict[str, str]
) -> None:
    for each in statement.split(";"):
        warehouse.execute(each.encode())

    assert row in broken(warehouse)[law]


def test_many_rows_that_break_a_law_are_counted_and_the_first_are_named(warehouse: psycopg.Connection) -> None:
    warehouse.execute("update dim_date set day_of_week = 0")

    snapshot = WarehouseSnapshot(warehouse, "the warehouse")
    (found,) = (checked(law, snapshot) for law in laws(MODEL, snapshot) if law.name == "checks/calendar_days_are_right")

    assert (found.count, len(found.differences)) == (366, MOST_DIFFERENCES)


def test_a_view_that_is_gone_is_noted_and_the_others_are_looked_at(warehouse: psycopg.Connection) -> None:
    warehouse.execute("drop view fact_payment_current")
    warehouse.execute(BREACHES["current views"].encode())

    snapshot = WarehouseSnapshot(warehouse, "the warehouse")
    (found,) = (checked(law, snapshot) for law in laws(MODEL, snapshot) if law.name == "current views")

    assert found.note == "there is no fact_payment_current: tidemark init makes it"
    assert found.count > 0


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ("select nothing from dim_staff", 'cannot be checked: column "nothing" does not exist'),
        ("insert into dim_payment_type values (9, 'x') returning 1", "cannot be checked: syntax error"),
        ("select setval('s', 5)", "cannot be checked: cannot execute setval() in a read-only transaction"),
        ("select 1 from", "cannot be checked: syntax error"),
    ],
)
def test_a_check_that_cannot_be_run_is_a_problem_and_writes_nothing(
    warehouse: psycopg.Connection, check: str, problem: str
) -> None:
    warehouse.execute("create sequence s")

    found = checked(Law("checks/mine", [sql.SQL(check)]), WarehouseSnapshot(warehouse, "the warehouse"))

    assert (found.problem.startswith(problem), found.is_proven) == (True, False), found.problem
    assert warehouse.execute("select is_called from s").fetchone() == (False,)
