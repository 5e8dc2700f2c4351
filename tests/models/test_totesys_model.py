"""The SELECTs of totesys: what they yield, and that they can move to another engine with the same meaning."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg
import pytest
import sqlglot
from sqlglot import exp

from tests.support.pipeline import SCHEMA, real_totesys
from tests.support.selects import present, present_seed
from tidemark.lake.sqltext import Select
from tidemark.model_reader import load_model
from tidemark.star.limits import limits_of
from tidemark.star.star_sql import HISTORY, fitting, judged

MODEL = load_model("totesys")
LIMITS = limits_of(MODEL)
# A plain numeric has any number of digits.
PRESENTED = {"DECIMAL": "decimal(38, 18)"}
ORACLE = Path(__file__).parents[1] / "support" / "totesys_oracle"
# What each SELECT is to yield, as warehouse.sql has it: of a fact all but its surrogate key and its history.
COLUMNS = {
    name: list(LIMITS[name])[1 : -1 - len(HISTORY)] if star.kind == "fact" else list(LIMITS[name])
    for name, star in MODEL.stars.items()
}
# What a SELECT may call, as sqlglot names it: this means in Spark and Trino what it means in DuckDB. Not so isodow,
# which comes out two days late in Spark, nor strftime's %f, of which Trino prints three digits.
CARRIED = {"CAST", "EXTRACT", "PAD", "SUBSTRING", "DATEDIFF", "TIME_TO_STR"}
CARRIED_FORMATS = {"%A", "%B"}

ROWS = """
insert into address values
    (1, '6826 Herzog Via', null, 'Avon', 'New Patienceburgh', '28441', 'Turkey', '1803 637401', now(), now());
insert into department values (2, 'Purchasing', 'Manchester', 'Naomi Lapaglia', now(), now());
insert into currency values (1, 'GBP', now(), now()), (2, 'EUR', now(), now()), (3, 'QQQ', now(), now());
insert into payment_type values (1, 'SALES_RECEIPT', now(), now());
insert into design values (9, now(), 'Wooden', '/lib', 'wooden.json', now());
insert into staff values
    (1, 'Jeremie', 'Franey', 2, 'jeremie@example.com', now(), now()),
    (2, 'No', 'Department', 99, 'no@example.com', now(), now());
insert into counterparty values (18, 'Fahey and Sons', 1, 'Micheal Toy', null, now(), now());
insert into sales_order values
    (1, '2022-11-03 14:20:52.186', '2022-11-04 00:00:00', 9, 1, 18, 84754, 2.43, 3, '2022-11-10', '2022-11-03', 1);
insert into purchase_order values
    (2, '1999-12-31 23:59:59.999999', '2000-02-29 01:02:03.1', 1, 18, 'ZDOI5EA', 371, 361.4, 2, '2022-11-09',
     '2022-11-07', 1);
insert into transaction values (1, 'PURCHASE', null, 2, now(), now());
insert into payment values
    (1, '2022-11-03 14:20:52.000001', null, 1, 18, 9999999999999999.99, 2, 3, true, '2022-11-07', 1, 2);
create table calendar (date_id date);
insert into calendar values ('2024-02-29'), ('2023-01-01'), ('1965-10-04'), ('0001-01-01'), ('9999-12-31');
"""


def source_tables() -> Iterator[str]:
    """Write the source's tables as DuckDB makes them: its columns in the types that the engine presents, no rules."""
    for create in sqlglot.parse(SCHEMA.read_text("utf-8"), read="postgres"):
        if isinstance(create, exp.Create):
            columns = [(each.name, each.args["kind"].this.name) for each in create.find_all(exp.ColumnDef)]
            listed = ", ".join(f"{name} {PRESENTED.get(kind, kind)}" for name, kind in columns)
            yield f"create table {create.this.this.name} ({listed})"


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for seed in MODEL.seeds.values():
            present_seed(connection, seed)
        yield connection


@pytest.fixture
def few_rows(duck: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    for statement in source_tables():
        duck.execute(statement)
    duck.execute(ROWS)
    return duck


def taken(duck: duckdb.DuckDBPyConnection, star: str) -> str:
    """Return a SELECT of what the star takes of a model's SELECT, in the star's types."""
    select = MODEL.stars[star].sql
    found = {row[0]: row[1] for row in duck.execute(f"describe {select}").fetchall()}
    return fitting(judged(Select(select), found, LIMITS[star], {}).rows, found, LIMITS[star], [])


def yielded(duck: duckdb.DuckDBPyConnection, star: str) -> list[tuple[object, ...]]:
    return duck.execute(f"select * from ({taken(duck, star)}) order by 1").fetchall()


def without_comments(text: str) -> str:
    return re.sub(r"--.*", "", text)


def test_each_reference_is_a_column_of_its_fact() -> None:
    for fact in MODEL.facts:
        assert set(fact.references) <= set(COLUMNS[fact.name])


@pytest.mark.parametrize("star", COLUMNS)
def test_a_select_yields_the_columns_of_the_star_in_their_order(few_rows: duckdb.DuckDBPyConnection, star: str) -> None:
    description = few_rows.execute(MODEL.stars[star].sql).description

    assert [column[0] for column in description] == COLUMNS[star]


@pytest.mark.parametrize("dialect", ["spark", "trino"])
@pytest.mark.parametrize("star", COLUMNS)
def test_a_select_is_carried_over(star: str, dialect: str) -> None:
    carried = sqlglot.transpile(
        MODEL.stars[star].sql, read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE
    )

    assert len(carried) == 1
    assert sqlglot.parse_one(carried[0], read=dialect, into=exp.Select).named_selects == COLUMNS[star]


@pytest.mark.parametrize("star", COLUMNS)
def test_a_select_calls_only_what_means_the_same_elsewhere(star: str) -> None:
    tree = sqlglot.parse_one(MODEL.stars[star].sql, read="duckdb")

    called = {function.sql_name() for function in tree.find_all(exp.Func) if not isinstance(function, exp.Connector)}
    formats = {call.text("format") for call in tree.find_all(exp.TimeToStr)}
    parts = {call.name.lower() for call in tree.find_all(exp.Extract)}

    assert called <= CARRIED
    assert formats <= CARRIED_FORMATS
    assert parts <= {"year", "month", "day", "quarter"}


@pytest.mark.parametrize("star", COLUMNS)
def test_a_select_reads_as_the_others_do(star: str) -> None:
    text = MODEL.stars[star].sql
    statement = without_comments(text)

    assert not list(sqlglot.parse_one(text, read="duckdb").find_all(exp.Star))
    assert re.sub(r"'[^']*'", "", statement) == re.sub(r"'[^']*'", "", statement).lower()
    assert not re.search(r"^\s*,", statement, re.MULTILINE)
    assert ";" not in statement


@pytest.mark.parametrize("star", [star.name for star in MODEL.stars.values() if star.kind != "calendar"])
def test_a_select_reads_the_tables_that_the_model_says(star: str) -> None:
    tree = sqlglot.parse_one(MODEL.stars[star].sql, read="duckdb")
    named_here = {cte.alias for cte in tree.find_all(exp.CTE)}

    read = {table.name for table in tree.find_all(exp.Table)} - named_here - set(MODEL.seeds)

    assert read == set(MODEL.stars[star].reads)


def test_a_fact_splits_its_stamps_into_date_and_time_digit_for_digit(few_rows: duckdb.DuckDBPyConnection) -> None:
    assert yielded(few_rows, "fact_sales_order") == [
        (
            1, dt.date(2022, 11, 3), "14:20:52.186000", dt.date(2022, 11, 4), "00:00:00.000000", 1, 18, 84754,
            Decimal("2.43"), 3, 9, dt.date(2022, 11, 3), dt.date(2022, 11, 10), 1,
        )
    ]  # fmt: skip
    assert yielded(few_rows, "fact_purchase_orders") == [
        (
            2, dt.date(1999, 12, 31), "23:59:59.999999", dt.date(2000, 2, 29), "01:02:03.100000", 1, 18, "ZDOI5EA", 371,
            Decimal("361.40"), 2, dt.date(2022, 11, 9), dt.date(2022, 11, 7), 1,
        )
    ]  # fmt: skip


def test_a_fact_takes_a_row_without_a_stamp(few_rows: duckdb.DuckDBPyConnection) -> None:
    assert yielded(few_rows, "fact_payment") == [
        (
            1, dt.date(2022, 11, 3), "14:20:52.000001", None, None, 1, 18, Decimal("9999999999999999.99"), 2, 3, True,
            dt.date(2022, 11, 7),
        )
    ]  # fmt: skip


def test_a_calendar_day_is_described_whatever_its_century(few_rows: duckdb.DuckDBPyConnection) -> None:
    assert yielded(few_rows, "dim_date") == [
        (dt.date(1, 1, 1), 1, 1, 1, 1, "Monday", "January", 1),
        (dt.date(1965, 10, 4), 1965, 10, 4, 1, "Monday", "October", 4),
        (dt.date(2023, 1, 1), 2023, 1, 1, 7, "Sunday", "January", 1),
        (dt.date(2024, 2, 29), 2024, 2, 29, 4, "Thursday", "February", 1),
        (dt.date(9999, 12, 31), 9999, 12, 31, 5, "Friday", "December", 4),
    ]


def test_a_dimension_takes_what_its_joins_find_and_null_for_the_rest(few_rows: duckdb.DuckDBPyConnection) -> None:
    assert yielded(few_rows, "dim_staff") == [
        (1, "Jeremie", "Franey", "Purchasing", "Manchester", "jeremie@example.com"),
        (2, "No", "Department", None, None, "no@example.com"),
    ]
    assert yielded(few_rows, "dim_currency") == [
        (1, "GBP", "Pound Sterling"),
        (2, "EUR", "Euro"),
    ]
    assert yielded(few_rows, "dim_counterparty") == [
        (18, "Fahey and Sons", "6826 Herzog Via", None, "Avon", "New Patienceburgh", "28441", "Turkey", "1803 637401")
    ]


def test_a_currency_with_an_unknown_code_is_not_taken(few_rows: duckdb.DuckDBPyConnection) -> None:
    select = MODEL.stars["dim_currency"].sql
    found = dict(zip(COLUMNS["dim_currency"], ("INTEGER", "VARCHAR", "VARCHAR"), strict=True))
    rows = judged(Select(select), found, LIMITS["dim_currency"], {}).rows
    refused = f"select currency_code, _tidemark_wrong from {rows} where _tidemark_wrong <> ''"

    assert few_rows.execute(refused).fetchall() == [("QQQ", "currency_name is null, and the star has none there")]


def test_a_dimension_with_one_source_takes_its_columns(few_rows: duckdb.DuckDBPyConnection) -> None:
    assert yielded(few_rows, "dim_location") == [
        (1, "6826 Herzog Via", None, "Avon", "New Patienceburgh", "28441", "Turkey", "1803 637401")
    ]
    assert yielded(few_rows, "dim_design") == [(9, "Wooden", "/lib", "wooden.json")]
    assert yielded(few_rows, "dim_payment_type") == [(1, "SALES_RECEIPT")]
    assert yielded(few_rows, "dim_transaction") == [(1, "PURCHASE", None, 2)]


def test_currency_names_hold_each_code_once(few_rows: duckdb.DuckDBPyConnection) -> None:
    codes = few_rows.execute("select code, name from currency_names order by code").fetchall()

    assert len(codes) == len({code for code, _ in codes}) == 178
    assert all(re.fullmatch("[A-Z]{3}", code) and name == name.strip() != "" for code, name in codes)
    assert {"GBP": "Pound Sterling", "JPY": "Yen", "VES": "Bolívar Soberano"}.items() <= dict(codes).items()


def test_the_selects_give_what_plain_sql_over_the_real_rows_gives(
    new_database: Callable[..., str], totesys_rows: Path, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    url = new_database()
    real_totesys(totesys_rows, whole=False)(url)
    with psycopg.connect(url) as source:
        for table in MODEL.sources:
            file = totesys_rows / f"{table}.csv"
            if not file.is_file():
                continue
            header = file.read_text("utf-8").partition("\n")[0]
            with source.cursor().copy(f"copy {table} ({header}) from stdin (format csv, header)") as copy:
                copy.write(file.read_bytes())
        for table in MODEL.sources:
            present(source, duck, table, tmp_path)
        years = " union ".join(
            f"select year({column}) as year from ({taken(duck, fact.name)})"
            for fact in MODEL.facts
            for column, dimension in fact.references.items()
            if dimension == "dim_date"
        )
        duck.execute(
            f"create table calendar as with years as ({years}) "
            "select cast(unnest(range(make_date(year, 1, 1), make_date(year + 1, 1, 1), interval 1 day)) as date) "
            "as date_id from years"
        )

        for star in (path.stem for path in ORACLE.glob("*.sql")):
            expected = source.execute((ORACLE / f"{star}.sql").read_text("utf-8")).fetchall()
            assert yielded(duck, star) == sorted(
                tuple(v.isoformat("microseconds") if isinstance(v, dt.time) else v for v in row) for row in expected
            ), star
