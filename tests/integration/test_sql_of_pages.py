"""The SQL and the Python on the pages about warehouse and lake, and the notebook: all of it runs, and finds rows."""

import base64
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import sqlglot

from tests.support.older_lake import PLAIN, asked_by
from tests.support.pipeline import Rig
from tidemark.glue.entries import Versions, view_entries
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Sql
from tidemark.lake.table import open_table
from tidemark.postgres.statements import split_statements

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "examples" / "ten_questions.ipynb"
QUESTIONS = 10


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page that are written in a language."""
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def rig(small_totesys: Callable[..., Rig]) -> Rig:
    """A pipeline of totesys with inserts, updates and deletes."""
    return small_totesys(2)


@pytest.fixture
def warehouse(rig: Rig) -> Iterator[psycopg.Connection]:
    """A transaction in the warehouse, which is rolled back."""
    with psycopg.connect(rig.warehouse_url, options="-c timezone=UTC") as connection:
        yield connection
        connection.rollback()


def test_the_views_for_bi_tools_are_made_and_show_rows(warehouse: psycopg.Connection) -> None:
    asked = {}
    for statement in (each for block in blocks("bi_tools.md", "sql") for each in split_statements(block)):
        found = warehouse.execute(statement.encode())
        if found.description:
            asked[statement] = found.fetchall()

    views = [row[0] for row in warehouse.execute("select viewname from pg_views where schemaname = 'bi'").fetchall()]
    assert sorted(views) == ["freshness", "order_changes", "payments", "purchases", "sales", "turnover_as_it_stood"]
    assert {view for view in views if not any(f"bi.{view}" in statement for statement in asked)} == set()
    assert [statement for statement, rows in asked.items() if not rows and "as_of('" not in statement] == []
    for view, fact in (("sales", "sales_order"), ("purchases", "purchase_orders"), ("payments", "payment")):
        query = f"select (select count(*) from bi.{view}) = (select count(*) from fact_{fact}_current)"
        assert warehouse.execute(query.encode()).fetchone() == (True,)
    warehouse.execute("set local role analyst")
    assert warehouse.execute("select count(*) > 0 from bi.sales").fetchone() == (True,)


def test_the_queries_of_the_warehouse_page_run(warehouse: psycopg.Connection) -> None:
    queries = [each for block in blocks("warehouse.md", "sql") for each in split_statements(block)]

    assert len(queries) > 1
    assert all(warehouse.execute(query.encode()).description for query in queries)


def test_the_python_of_the_lake_page_runs(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path / "lake")
    # What the page asks by, for which a reader's process begins anew; another test may have left an answer in it.
    duckdb.set_default_connection(duckdb.connect())
    printed = []
    for block in blocks("lake.md", "python"):
        exec(compile(block, "lake.md", "exec"), {})  # noqa: S102 -- it is to run as it stands there
        printed.append(capfd.readouterr().out)

    live = rig.count("fact_sales_order_current")
    by_staff, as_of, versions, log, _ = printed
    assert by_staff.count("\n") > 5
    assert str(live) in as_of
    assert {line.split()[0] for line in versions.splitlines()} == rig.model.stars.keys()
    assert "delete" in log
    assert "update" in log


def test_the_queries_of_the_change_log_page_run(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path / "lake")
    with duckdb.connect() as engine:
        changes, named = [engine.execute(block).description for block in blocks("change_log.md", "sql")]
    for block in blocks("change_log.md", "python"):
        exec(compile(block, "change_log.md", "exec"), {})  # noqa: S102 -- as above

    assert [column[0] for column in changes] == ["_op", "was", "became"]
    assert [column[0] for column in named] == ["batch", "key", "rows", "bytes"]
    assert capfd.readouterr().out.startswith(f"{rig.newest().batch} [")


def test_the_queries_of_other_engines_are_in_their_dialect_and_give_the_warehouses_rows(rig: Rig) -> None:
    asked = {}
    with open_engine([rig.processed]) as engine:
        for star in rig.model.stars.values():
            table = open_table(rig.processed, star.path)
            assert table is not None
            engine.execute(Sql(f"create table {star.name} as select * from {table.rows()}"))
            if star.is_versioned:
                versions = Versions(star.source_key, star.key[0])
                for entry in view_entries("main", star.name, "s3://lake", table.columns, versions):
                    encoded = entry.input["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
                    select = json.loads(base64.b64decode(encoded))["originalSql"]
                    translated = sqlglot.transpile(select, read="athena", write="duckdb")[0]
                    engine.execute(Sql(f"create view {entry.name} as {translated}"))
        for dialect in ("Athena", "Spark", "Trino", "Redshift"):
            for query in blocks("lake.md", f'sql title="{dialect}"'):
                parsed = sqlglot.parse_one(query, read=dialect.lower())
                for named in parsed.find_all(sqlglot.exp.Table):
                    # Spark names a table by its place.
                    named.replace(sqlglot.to_table("_".join(named.name.split("/")[-2:]), alias=named.alias or None))
                asked[query] = engine.execute(Sql(parsed.sql(dialect="duckdb"))).fetchall()

    live = rig.warehouse("select count(*), sum(units_sold) from fact_sales_order_current")[0]
    by_staff, as_of, spark, by_day, redshift = asked.values()
    assert len(by_staff) == 5
    assert as_of == [live[:1]]
    assert spark == redshift == [live]
    assert sum(row[1] for row in by_day) == live[0]


def test_every_table_of_star_and_latest_opens_for_the_first_readers_of_delta(rig: Rig) -> None:
    assert set(asked_by(rig).values()) == {PLAIN}


def test_the_notebook_answers_each_question(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_WAREHOUSE_URL", rig.warehouse_url)
    monkeypatch.chdir(NOTEBOOK.parent)
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in cells:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)  # noqa: S102 -- as a kernel does

    answers = {name: rows for name, rows in names.items() if name.startswith("answer_")}
    assert len(answers) == QUESTIONS
    assert [name for name, rows in answers.items() if not rows] == []
    assert printed.getvalue().count("rows)") == QUESTIONS
    now = rig.warehouse(
        "select currency_code, sum(units_sold * unit_price)::text from fact_sales_order_current"
        " inner join dim_currency using (currency_id) group by currency_code order by currency_code"
    )
    assert [(row[0], row[2]) for row in answers["answer_9"]] == now
    assert any(then != current for _, then, current in answers["answer_9"])


def test_the_notebook_is_committed_without_its_output() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]

    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert sorted(notebook["metadata"]) == ["kernelspec", "language_info"]
