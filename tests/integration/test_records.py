"""The record of runs: what each command leaves there, in the warehouse or beside the pointer."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.office import NOBODY, Office
from tests.support.s3 import S3
from tidemark.postgres.queries import query
from tidemark.runs import in_warehouse
from tidemark.runs.run import Run, StageRun, Verified

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_each_command_is_recorded_with_what_it_did(office: Office) -> None:
    codes = [
        office.run(*command.split())
        for command in (
            "init",
            "ingest",
            "run",
            "run --compact-after 0",
            "verify",
            "rebuild latest",
            "rebuild warehouse",
            "compact",
            "backfill --from 2024-11-01 --to 2024-11-08",
            "compact --dry-run",
            "status",
        )
    ]

    found = office.newest()[::-1]
    assert codes == [0] * len(codes)
    assert [(each.command, [stage.stage for stage in each.stages]) for each in found] == [
        ("ingest", ["ingest"]),
        ("run", ["ingest", "transform", "load"]),
        ("run", ["ingest", "transform", "load"]),
        ("verify", ["verify"]),
        ("rebuild latest", ["rebuild latest"]),
        ("rebuild warehouse", ["rebuild warehouse"]),
        ("compact", ["compact"]),
        ("backfill", ["backfill"]),
    ]
    assert {(each.exit_code, each.outcome, each.message) for each in found} == {(0, "ok", "")}
    assert [stage.batches for stage in found[1].stages] == [(), (1,), (1,)]
    assert found[0].rows > 0
    assert found[3].verified is not None
    assert found[3].verified.differences == found[3].verified.skipped == 0
    assert found[3].verified.tables > 0
    assert all(0 < sum(stage.seconds for stage in each.stages) <= each.seconds for each in found)
    assert office.ask("select count(*) from tidemark.run") == [(len(found),)]
    assert office.beside() == []


def test_differences_are_recorded_without_their_rows(office: Office) -> None:
    office.run("init")
    office.run("run")
    office.change("update dim_shelf set label = 'forged'")

    assert office.run("verify") == 5

    found = office.newest()[0]
    assert (found.exit_code, found.outcome) == (5, "DataError")
    assert found.verified is not None
    assert found.verified.differences > 0
    assert found.message.startswith(f"{found.verified.differences} differences (star = warehouse: dim_shelf")
    assert "forged" not in found.encode()


def test_a_run_without_its_warehouse_is_recorded_beside_the_pointer_and_read_with_the_others(office: Office) -> None:
    office.run("init")
    office.run("run")
    office.set("TIDEMARK_WAREHOUSE_URL", NOBODY)

    assert office.run("run", "--attempts", "1") == 3

    assert len(office.beside()) == 1
    away = office.newest()
    assert [(each.exit_code, each.outcome) for each in away] == [(3, "TransientError")]
    assert away[0].message.startswith("the database at 127.0.0.1:9/nobody is away")
    assert [stage.stage for stage in away[0].stages] == ["ingest", "transform"]
    office.set("TIDEMARK_WAREHOUSE_URL", office.warehouse)
    assert [each.outcome for each in office.newest()] == ["TransientError", "ok"]


def test_without_a_warehouse_runs_are_recorded_beside_the_pointer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEMARK_WAREHOUSE_URL")

    assert [office.run("ingest"), office.run("transform"), office.run("compact")] == [0, 0, 0]

    assert [each.command for each in office.newest()] == ["compact", "transform", "ingest"]


def test_with_a_pointer_in_parameter_store_runs_lie_in_the_processed_bucket(
    office: Office, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEMARK_WAREHOUSE_URL")
    for name in ("INGESTION", "PROCESSED"):
        monkeypatch.setenv(f"TIDEMARK_{name}", f"s3://{s3.create_bucket()}")
    monkeypatch.setenv("TIDEMARK_POINTER", "ssm:/tidemark/pointer")

    assert office.run("ingest") == 0

    [found] = office.newest()
    [key] = [each.key for each in office.pipeline.processed.list()]
    assert found.command == "ingest"
    assert key.startswith("runs/")


def test_a_role_that_may_not_write_the_record_leaves_it_beside_the_pointer(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.run("init")
    office.change("alter table tidemark.run add constraint closed check (command = 'none')")
    capsys.readouterr()

    assert office.run("run") == 0

    assert capsys.readouterr().err == ""
    assert [each.outcome for each in office.newest()] == ["ok"]
    assert len(office.beside()) == 1


def test_a_record_that_no_place_takes_changes_neither_exit_code_nor_batch(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.run("init")
    office.change("alter table tidemark.run add constraint closed check (command = 'none')")
    (office.folder / ".tidemark").mkdir(exist_ok=True)
    (office.folder / ".tidemark" / "pointer.json.runs").write_text("in the way")

    assert office.run("run") == 0

    assert "WARNING what this run did could not be recorded" in capsys.readouterr().err
    assert office.ask("select batch from tidemark.batch") == [(1,)]


def test_a_warehouse_of_an_older_tidemark_is_no_fault_and_gets_the_table_by_its_first_run(office: Office) -> None:
    office.run("init")
    office.run("run")
    office.change("drop table tidemark.run")

    assert [office.run("doctor"), office.run("rebuild", "warehouse", "--dry-run")] == [0, 0]
    assert office.newest() == []
    assert office.run("verify") == 0

    assert [each.command for each in office.newest()] == ["verify"]
    assert office.beside() == []


def test_a_mirror_keeps_a_record_without_init(office: Office) -> None:
    office.set("TIDEMARK_MODEL", "mirror")

    assert office.run("run") == 0

    assert [each.command for each in office.newest()] == ["run"]
    assert office.beside() == []


def test_the_table_holds_runs_for_a_time_and_so_many(office: Office) -> None:
    office.run("init")
    ids = [f"00000000-0000-0000-0000-{number:012}" for number in range(6)]
    kept = [
        Run(
            each, "run", NOW - timedelta(days=days), 1.0, 0, "ok", "", (StageRun("load", 0.5, (7,), 3),), Verified(1, 2)
        )
        for each, days in zip(ids, (100, 5, 4, 3, 2, 1), strict=True)
    ]
    for each in kept:
        in_warehouse.keep(office.warehouse, each, oldest=NOW - timedelta(days=90), most=3)
    in_warehouse.keep(office.warehouse, kept[-1], oldest=NOW - timedelta(days=90), most=3)

    # What is too much goes when the next record comes.
    assert in_warehouse.newest(office.warehouse, 10) == kept[:1:-1]


def test_a_rebuild_of_the_warehouse_leaves_the_record_alone(office: Office) -> None:
    office.run("init")
    office.run("run")
    before = office.newest()
    office.change("truncate fact_loan, dim_shelf, tidemark.batch")

    assert office.run("rebuild", "warehouse") == 0

    assert [each.command for each in office.newest()] == ["rebuild warehouse", "run"]
    assert office.newest()[1:] == before


def test_the_warehouse_page_names_every_column_of_the_record() -> None:
    page = (Path(__file__).parents[2] / "docs" / "warehouse.md").read_text("utf-8")
    columns = re.findall(r"^ {4}(\w+) (?!key)", query("runs", "create").as_string(), re.MULTILINE)

    assert len(columns) > 1
    assert [name for name in columns if f"`{name}`" not in page] == []
