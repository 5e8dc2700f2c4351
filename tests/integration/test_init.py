"""Creating and upgrading the warehouse's tables."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tidemark.errors import ConfigError
from tidemark.model import Model, find_model, load_model
from tidemark.postgres.statements import split_statements
from tidemark.warehouse.schema import init, plan_init


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the model of totesys whose files a test may change."""
    return Path(shutil.copytree(find_model("totesys"), tmp_path / "model"))


def rewritten(directory: Path, before: str, after: str) -> Model:
    path = directory / "warehouse.sql"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    return load_model(str(directory))


def column_type(url: str, table: str, column: str) -> str | None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attname = %s",
            (table, column),
        ).fetchone()
    return row[0] if row else None


def test_init_makes_everything_and_has_nothing_to_do_the_second_time(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    assert init(url, model)
    assert plan_init(url, model) == []


def test_dry_run_prints_sql_that_another_person_can_run(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    script = ";\n".join(plan_init(url, model)) + ";"
    with psycopg.connect(url) as connection:
        connection.execute(script.encode())
    assert plan_init(url, model) == []


def test_a_dry_run_changes_nothing(new_database: Callable[[], str]) -> None:
    url = new_database()
    plan_init(url, load_model("totesys"))
    with psycopg.connect(url) as connection:
        found = connection.execute("select to_regclass('dim_date'), to_regclass('tidemark.batch')").fetchone()
    assert found == (None, None)


def test_a_new_column_keeps_the_rows(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    with psycopg.connect(url) as connection:
        connection.execute("insert into dim_payment_type values (1, 'CASH')")
    column = "    payment_type_name varchar not null,"
    model = rewritten(copied, column, f"{column}\n    note text,")
    init(url, model)
    assert plan_init(url, model) == []
    with psycopg.connect(url) as connection:
        assert connection.execute("select * from dim_payment_type").fetchall() == [(1, "CASH", None)]


def test_a_new_fact_column_appears_in_view_and_function(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    init(url, rewritten(copied, "    units_sold integer not null,", "    units_sold integer not null,\n    note text,"))
    with psycopg.connect(url) as connection:
        connection.execute("select note from fact_sales_order_current")
        connection.execute("select note from fact_sales_order_as_of(timestamp '2024-01-01')")


def test_a_type_that_widens_is_taken_also_under_a_view(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    init(url, rewritten(copied, "unit_price numeric(10, 2)", "unit_price numeric(12, 2)"))
    assert column_type(url, "fact_sales_order", "unit_price") == "numeric(12,2)"
    assert column_type(url, "fact_sales_order_current", "unit_price") == "numeric(12,2)"


def test_a_type_that_may_lose_values_is_refused(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    model = rewritten(copied, "unit_price numeric(10, 2)", "unit_price numeric(8, 2)")
    with pytest.raises(ConfigError, match=r"fact_sales_order\.unit_price is numeric"):
        init(url, model)
    assert column_type(url, "fact_sales_order", "unit_price") == "numeric(10,2)"


def test_a_dropped_constraint_and_index_are_made_again(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    init(url, model)
    with psycopg.connect(url) as connection:
        connection.execute("alter table fact_payment drop constraint fact_payment_payment_date_fkey")
        index = connection.execute(
            "select indexrelid::regclass::text from pg_index"
            " where indrelid = 'fact_payment'::regclass and not indisprimary"
        ).fetchone()
        assert index is not None
        connection.execute(f"drop index {index[0]}".encode())
    assert len([statement for statement in plan_init(url, model) if "add constraint" in statement]) == 1
    init(url, model)
    assert plan_init(url, model) == []


def test_what_a_person_added_is_left_alone(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    init(url, model)
    with psycopg.connect(url) as connection:
        connection.execute("alter table dim_staff add column nickname text")
        connection.execute("create table notes (note text)")
    assert plan_init(url, model) == []


def test_statements_are_cut_only_between_them() -> None:
    text = "-- a; b\ncreate function f() as $x$ select 1; $x$;\nselect ';', \"a;b\" /* ; */;\n-- the end; really\n"
    assert [statement.split("\n")[-1] for statement in split_statements(text)] == [
        "create function f() as $x$ select 1; $x$",
        "select ';', \"a;b\" /* ; */",
    ]
