"""The lake's tables in the AWS Glue Data Catalog: there by name, with views that give the warehouse's rows."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot

from tests.support.library import LIBRARY, after_two_batches
from tests.support.pipeline import Rig, open_rig
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tidemark.errors import ConfigError, OvertakenError
from tidemark.glue import Registration, RegistrationReport
from tidemark.glue.entries import Versions, entry_name, table_entry, view_entries
from tidemark.glue.steps import steps_for
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Sql
from tidemark.lake.table import open_table
from tidemark.model_reader import load_model

DATABASE = "tidemark"
TABLES = {"fact_loan", "dim_shelf", "latest_loan", "latest_shelf"}
VIEWS = {"fact_loan_history", "fact_loan_current"}


@pytest.fixture
def rig(s3: S3, kept_rig: Callable[..., Rig]) -> Rig:
    """A library after two batches, on S3."""
    return kept_rig("library after two batches", after_two_batches, f"s3://{s3.create_bucket()}")


def register(rig: Rig, s3: S3, *, dry_run: bool = False) -> RegistrationReport:
    return Registration(rig.model, rig.ingestion, rig.processed, s3.client("glue"), DATABASE).run(dry_run=dry_run)


def there(s3: S3) -> Mapping[str, Mapping[str, Any]]:
    return {each["Name"]: each for each in s3.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]}


def definition(view: Mapping[str, Any]) -> Mapping[str, Any]:
    text = view["ViewOriginalText"]
    assert text.startswith("/* Presto View: ")
    assert text.endswith(" */")
    found: Mapping[str, Any] = json.loads(base64.b64decode(text[len("/* Presto View: ") : -len(" */")]))
    return found


def test_tables_and_views_are_there_once_however_often_it_runs(rig: Rig, s3: S3) -> None:
    would = register(rig, s3, dry_run=True)
    assert s3.client("glue").get_databases()["DatabaseList"] == []

    report = register(rig, s3)

    assert report == would
    assert there(s3).keys() == TABLES | VIEWS
    assert {step.name for step in report.steps if step.outcome == "created"} == {DATABASE, *TABLES, *VIEWS}
    fact = there(s3)["fact_loan"]
    assert (fact["TableType"], fact["StorageDescriptor"]["Location"]) == (
        "EXTERNAL_TABLE",
        rig.processed.url("fact/loan"),
    )
    assert fact["Parameters"].items() >= {"table_type": "DELTA", "spark.sql.sources.provider": "delta"}.items()
    assert {each["Name"]: each["Type"] for each in fact["StorageDescriptor"]["Columns"]} == {
        "loan_record_id": "bigint",
        "loan_id": "int",
        "shelf_id": "int",
        "fee": "decimal(10,2)",
        "valid_from": "timestamp",
        "is_deleted": "boolean",
        "batch_id": "bigint",
    }
    assert {step.outcome for step in register(rig, s3).steps} == {"unchanged"}


def test_the_views_give_the_rows_of_the_warehouse(rig: Rig, s3: S3) -> None:
    register(rig, s3)
    columns = "loan_record_id, loan_id, shelf_id, fee, valid_from, is_deleted, batch_id, valid_to"

    table = open_table(rig.processed, "fact/loan")
    assert table is not None
    with open_engine([rig.processed]) as engine, duckdb.connect() as athena:
        rows = engine.execute(Sql(f"select * replace (valid_from::varchar as valid_from) from {table.rows()}")).rows
        athena.execute("set timezone = 'America/New_York'")
        kinds = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
        athena.execute(f"create schema {DATABASE}")
        athena.execute(f"create table {DATABASE}.fact_loan ({kinds.replace('TIMESTAMP', 'TIMESTAMPTZ')})")
        at = list(table.columns).index("valid_from")
        utc = [(*row[:at], f"{row[at]}+00", *row[at + 1 :]) for row in rows]
        athena.executemany(f"insert into {DATABASE}.fact_loan values ({', '.join('?' * len(table.columns))})", utc)
        for view, relation in (("fact_loan_history", "fact_loan"), ("fact_loan_current", "fact_loan_current")):
            said = definition(there(s3)[view])
            (statement,) = sqlglot.transpile(said["originalSql"], read="athena", write="duckdb")
            found = athena.execute(f"select {columns} from ({statement}) order by loan_record_id").fetchall()
            # Athena has milliseconds of a moment.
            in_milliseconds = columns.replace("valid_from", "valid_from::timestamp(3)").replace(
                "valid_to", "valid_to::timestamp(3)"
            )
            assert found == rig.warehouse(f"select {in_milliseconds} from {relation} order by loan_record_id")
            assert [each["name"] for each in said["columns"]] == [
                each["Name"] for each in there(s3)[view]["StorageDescriptor"]["Columns"]
            ]
            assert (said["catalog"], said["schema"]) == ("awsdatacatalog", DATABASE)


def test_a_column_that_came_is_told_and_what_others_noted_stays(rig: Rig, s3: S3) -> None:
    register(rig, s3)
    noted = there(s3)["latest_loan"]
    fields = ("Name", "TableType", "Parameters", "StorageDescriptor", "Description", "PartitionKeys")
    kept = {name: noted[name] for name in fields}
    parameters = {**noted["Parameters"], "note": "ours"}
    s3.client("glue").update_table(DatabaseName=DATABASE, TableInput={**kept, "Parameters": parameters})
    rig.change(
        "alter table loan add column note text", "update loan set note = 'x', changed = now() where loan_id = 21"
    )
    rig.run()

    report = register(rig, s3)

    assert [step.name for step in report.steps if step.outcome == "updated"] == ["latest_loan"]
    found = there(s3)["latest_loan"]
    assert "note" in {each["Name"] for each in found["StorageDescriptor"]["Columns"]}
    assert found["Parameters"]["note"] == "ours"


@pytest.mark.parametrize("parameters", [{}, {"tidemark.lake": "s3://another/lake"}])
def test_an_entry_of_another_hand_is_left_alone_and_nothing_is_written(
    rig: Rig, s3: S3, parameters: Mapping[str, str]
) -> None:
    glue = s3.client("glue")
    glue.create_database(DatabaseInput={"Name": DATABASE})
    glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "dim_shelf", "Parameters": parameters})
    before = there(s3)

    with pytest.raises(ConfigError, match="dim_shelf"):
        register(rig, s3)

    assert there(s3) == before


def test_an_entry_that_another_hand_makes_at_the_same_moment_is_told(rig: Rig, s3: S3) -> None:
    would = register(rig, s3, dry_run=True)
    assert would.count("created") == 1 + len(TABLES | VIEWS)
    glue = s3.client("glue")

    class Overtaken:
        """Glue, in which the first table comes from elsewhere just before it is made."""

        def __getattr__(self, name: str) -> object:
            if name == "create_table":
                glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "dim_shelf"})
            return getattr(glue, name)

    with pytest.raises(OvertakenError, match="dim_shelf"):
        Registration(rig.model, rig.ingestion, rig.processed, Overtaken(), DATABASE).run()


def test_a_lake_in_a_directory_and_a_name_that_athena_refuses_are_refused(
    s3: S3, postgres: Postgres, tmp_path: Path
) -> None:
    directory = open_rig(load_model(str(LIBRARY)), postgres.url(), postgres.url(), str(tmp_path))
    with pytest.raises(ConfigError, match="directory"):
        register(directory, s3)
    with pytest.raises(ConfigError, match="small letters"):
        Registration(directory.model, directory.ingestion, directory.processed, None, "My-Lake").run()


def test_two_tables_that_would_have_one_name_are_named() -> None:
    entries = [table_entry(entry_name(name), "s3://b/t", "s3://b", {}, "") for name in ("public.a-b", "public.a_b")]

    with pytest.raises(ConfigError, match="public_a_b"):
        steps_for(DATABASE, "s3://b", entries, {})


def test_what_glue_leaves_out_because_it_is_empty_is_no_difference() -> None:
    columns = {"id": "INTEGER", "valid_from": "TIMESTAMP"}
    entries = view_entries(DATABASE, "fact_x", "s3://b", columns, Versions(["id"], "id"))
    there = {each.name: json.loads(json.dumps(each.input)) for each in entries}
    for each in there.values():
        del each["PartitionKeys"], each["StorageDescriptor"]["SerdeInfo"], each["StorageDescriptor"]["Location"]

    assert {step.outcome for step in steps_for(DATABASE, "s3://b", entries, there)} == {"unchanged"}
    there["fact_x_current"]["StorageDescriptor"]["Columns"].pop()
    steps = steps_for(DATABASE, "s3://b", entries, there)
    assert [step.name for step in steps if step.outcome == "updated"] == ["fact_x_current"]


def test_the_sql_of_a_view_is_athenas_whatever_a_column_is_called() -> None:
    columns = {'a "quoted" {name}': "VARCHAR", "order": "TIMESTAMP WITH TIME ZONE", "valid_from": "TIMESTAMP"}
    columns |= {"is_deleted": "BOOLEAN", "number": "BIGINT", "price": "DECIMAL(10,2)"}
    versions = Versions(['a "quoted" {name}', "order"], "number")

    for entry in view_entries(DATABASE, "fact_x", "s3://b", columns, versions):
        said = definition(entry.input)
        parsed = sqlglot.parse_one(said["originalSql"], read="athena")
        assert isinstance(parsed, sqlglot.exp.Select)
        assert parsed.named_selects == [*columns, "valid_to"]
        assert [each["type"] for each in said["columns"]] == [
            *("varchar", "timestamp(3) with time zone", "timestamp(3)", "boolean", "bigint", "decimal(10,2)"),
            "timestamp(3)",
        ]
