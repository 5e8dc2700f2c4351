"""A model without a warehouse.sql, from the first init to a rebuild: its tables follow from the source's columns."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY, MORE, library_template
from tests.support.pipeline import clock
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.capture.source_columns import read_columns
from tidemark.doctor import examine
from tidemark.errors import ConfigError
from tidemark.log.columns import Column
from tidemark.model_source import source_text, write_source
from tidemark.pipeline import Pipeline
from tidemark.settings import Settings
from tidemark.star.limits import limits_of
from tidemark.tables.statements import lacking
from tidemark.warehouse.schema import init, plan_init

DESCRIBED = """
    select relname, attname, format_type(atttypid, atttypmod) || case when attnotnull then '!' else '' end
    from pg_class inner join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    where relname in ('fact_loan', 'dim_shelf') order by relname, attnum
"""


@pytest.fixture
def settings(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Settings:
    """A library's settings, with a model that names no column but keys, and nothing in its warehouse."""
    model = Path(shutil.copytree(LIBRARY, tmp_path / "model"))
    (model / "warehouse.sql").unlink()
    return Settings(
        source_url=new_database(library_template(postgres)),
        warehouse_url=new_database(),
        ingestion=str(tmp_path / "ingestion"),
        processed=str(tmp_path / "processed"),
        pointer=str(tmp_path / "pointer.json"),
        model=str(model),
    )


def run(pipeline: Pipeline) -> None:
    for stage in (pipeline.ingest, pipeline.transform, pipeline.load):
        stage.run()


def change(url: str | None, *statements: str) -> None:
    with psycopg.connect(str(url)) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def described(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with psycopg.connect(pipeline.warehouse_url) as connection:
        for table, column, kind in connection.execute(DESCRIBED):
            found.setdefault(table, {})[column] = kind
    return found


def test_init_run_verify_doctor_and_rebuild_need_no_warehouse_sql(settings: Settings) -> None:
    pipeline = Pipeline(settings, clock)
    assert init(pipeline.warehouse_url, pipeline.whole_model) != []
    assert described(pipeline) == {
        "dim_shelf": {"shelf_id": "integer!", "label": "text!"},
        "fact_loan": {
            "loan_record_id": "bigint!",
            "loan_id": "integer!",
            "shelf_id": "integer!",
            "fee": "numeric(10,2)!",
            "valid_from": "timestamp without time zone!",
            "is_deleted": "boolean!",
            "batch_id": "bigint!",
            "valid_to": "timestamp without time zone",
        },
    }
    run(pipeline)
    change(settings.source_url, *MORE)
    run(pipeline)

    # From here on the log has the columns.
    without = Pipeline(replace(settings, source_url=None), clock)
    assert plan_init(without.warehouse_url, without.whole_model) == []
    assert pipeline.verify.run(deep=True).exit_code == 0
    assert [each for each in examine(lambda: pipeline) if each.outcome == "failure"] == []

    change(settings.warehouse_url, "drop table fact_loan cascade")
    rebuilt = without.rebuild_warehouse(dry_run=False).run()
    assert rebuilt.tables["fact_loan"].missing > 0
    assert pipeline.verify.run().exit_code == 0
    assert without.rebuild(dry_run=True, accepts=False).star().differences == 0


def test_what_the_source_changes_later_changes_no_table_before_somebody_says_so(settings: Settings) -> None:
    pipeline = Pipeline(settings, clock)
    assert lacking(pipeline.whole_model) == []
    init(pipeline.warehouse_url, pipeline.whole_model)
    run(pipeline)
    before, tables = pipeline.whole_model.hash, described(pipeline)
    change(
        settings.source_url,
        "alter table loan alter fee type numeric(14, 2), alter loan_id type bigint, alter fee drop not null, add n int",
        "insert into loan values (400, 7, 2.5, '2024-11-06 09:00'), (401, 7, 12345678901.25, '2024-11-06 09:00')",
    )
    run(pipeline)

    assert plan_init(pipeline.warehouse_url, pipeline.whole_model) == []
    assert (pipeline.whole_model.hash, described(pipeline)) == (before, tables)
    with psycopg.connect(pipeline.warehouse_url) as connection:
        assert connection.execute("select loan_id from fact_loan where loan_id > 399").fetchall() == [(400,)]
    assert pipeline.verify.run(deep=True).exit_code == 0

    write_source(pipeline.model.directory, read_columns(pipeline.source_url, pipeline.model))
    again = Pipeline(settings, clock)
    assert again.model.hash != before
    assert again.rebuild(dry_run=False, accepts=True).star().is_in_place
    again.rebuild_warehouse(dry_run=False).run()
    wider = {"fee": "numeric(14,2)", "loan_id": "bigint!"}
    assert described(again) == {**tables, "fact_loan": tables["fact_loan"] | wider}
    with psycopg.connect(pipeline.warehouse_url) as connection:
        rows = connection.execute("select loan_id from fact_loan where loan_id > 399 order by 1").fetchall()
    assert rows == [(400,), (401,)]


def test_where_nothing_has_the_columns_it_is_said_what_to_do(settings: Settings) -> None:
    pipeline = Pipeline(replace(settings, source_url=None), clock)
    with pytest.raises(ConfigError, match=r"dim_shelf: the columns of the source's shelf are not known") as raised:
        plan_init(pipeline.warehouse_url, pipeline.whole_model)
    assert raised.value.advice.startswith("put a source.toml beside the model.toml, or ")


def test_any_name_makes_a_table_and_a_second_init_has_nothing_to_do(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    names = ["user", "pivot", "Größe", 'a "quoted" name', "100 %", "it's {0}", "CamelCase", "l" * 63]
    source = {"Order": [Column("id", "integer", nullable=False), *(Column(name, "date") for name in names)]}
    key, references = json.dumps("id"), "\n".join(f"{json.dumps(name)} = 'dim_day'" for name in names)
    model = write_model(
        tmp_path / "odd",
        f"""
        [source.Order]
        key = [{key}]
        [star.dim_day]
        kind = "calendar"
        key = ["d"]
        [star.fact_Order]
        kind = "fact"
        key = ["n"]
        driving = "Order"
        source_key = [{key}]
        reads = ["Order"]
        [star.fact_Order.references]
        {references}
        """,
        {
            "source.toml": source_text(source),
            "fact/Order.sql": 'select * from "Order"',
            "dimension/day.sql": "select date_id as d from calendar",
            "warehouse.sql": "",
        },
    )
    url = new_database()

    assert len(init(url, model)) > len(names)
    assert plan_init(url, model) == []
    with psycopg.connect(url) as connection:
        (count,) = connection.execute("select count(*) from pg_constraint where contype = 'f'").fetchone() or (0,)
        columns = connection.execute('select * from "fact_Order"').description or []
    assert count == len(names)
    assert [each.name for each in columns][1:-4] == ["id", *names]
    assert list(limits_of(model)["fact_Order"])[1:-4] == ["id", *names]
