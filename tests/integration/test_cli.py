"""The command as people run it: a process of its own between two real databases."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.imports import HEAVY, imports_of
from tests.support.leftovers import left_behind
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.site import Site, new_site
from tidemark.model_reader import load_model

STARS = len(load_model("totesys").stars)


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


@pytest.fixture
def loaded(small_totesys: Callable[..., Rig], tmp_path: Path) -> Site:
    """A site after its first run."""
    rig = small_totesys(1, str(tmp_path / ".tidemark"))
    return Site(rig.source_url, rig.warehouse_url, tmp_path)


def test_the_sql_of_a_dry_run_makes_the_warehouse(site: Site) -> None:
    shown = site.run("init", "--dry-run").stdout
    assert site.query(site.warehouse, "select 1 from pg_tables where tablename like 'fact%'") == []

    site.query(site.warehouse, shown)

    assert site.json("init") == {"statements": [], "dry_run": False}
    assert site.run("init", "--dry-run").stdout == ""


def test_a_load_before_init_says_so(site: Site) -> None:
    assert "run tidemark init" in site.json("load", expect=2)["error"]["advice"]


def test_a_run_brings_everything_and_the_next_one_finds_nothing(site: Site) -> None:
    site.run("init")

    first = site.json("run")["stages"]
    left = left_behind(site.folder / "temporary")
    second = site.json("run", TMPDIR=str(left.parent))["stages"]

    assert list(left.parent.iterdir()) == []
    assert [(stage["stage"], stage["batches"]) for stage in first] == [
        ("ingest", [1]),
        ("transform", [1]),
        ("load", [1]),
    ]
    assert [stage["batches"] for stage in second] == [[], [], []]
    assert sum(stage["seconds"] for stage in second) < 2
    counts = "select (select count(*) from sales_order)", "select (select count(*) from fact_sales_order_current)"
    assert site.query(site.source, counts[0]) == site.query(site.warehouse, counts[1])
    assert first[0]["tables"]["sales_order"]["inserted"] == first[2]["tables"]["fact_sales_order"]["rows"]


def test_each_stage_is_a_command_of_its_own(site: Site) -> None:
    site.run("init")

    reports = [site.json(stage)["stages"] for stage in ("ingest", "transform", "load")]

    assert [[report["stage"] for report in of_command] for of_command in reports] == [
        ["ingest"],
        ["transform"],
        ["load"],
    ]
    assert site.run("load").stdout.startswith("load: nothing new")


def test_generated_work_arrives_and_shows_in_the_report(loaded: Site) -> None:
    done = loaded.json("generate", "--rows", "40", "--seed", "7")

    [ingest, transform, load] = loaded.json("run")["stages"]

    for kind in ("inserted", "updated", "deleted"):
        got = {name: table[kind] for name, table in ingest["tables"].items() if table[kind]}
        assert got == {name: count for name, count in done[kind].items() if count}
    assert transform["rows"] == load["rows"]
    shown = loaded.run("generate", "--rows", "10", "--seed", "8").stdout
    assert "sales_order" in shown
    report = loaded.run("run").stdout
    titles = [line.strip() for line in report.splitlines() if ": batch" in line]
    assert titles == ["ingest: batch 3", "transform: batch 3", "load: batch 3"]


def test_status_tells_how_far_everything_is(loaded: Site) -> None:
    loaded.run("generate", "--rows", "20")
    loaded.run("ingest")

    found = loaded.json("status")

    assert [found[place]["batch"] for place in ("log", "pointer", "processed", "warehouse")] == [2, 2, 1, 1]
    assert found["next_steps"][1:] == ["transform: batch 2", "load: only what this run brings"]
    assert len(found["warehouse"]["rows"]) == STARS
    assert found["freshness_seconds"] > 0
    assert found["watermark"]
    assert "transform: batch 2" in loaded.run("status").stdout


def test_status_imports_no_library_that_it_does_without(loaded: Site) -> None:
    urls = {"TIDEMARK_SOURCE_URL": loaded.source, "TIDEMARK_WAREHOUSE_URL": loaded.warehouse}

    shown = imports_of("status", folder=loaded.folder, **urls)
    as_json = imports_of("status", "--json", folder=loaded.folder, **urls)

    assert shown & HEAVY == as_json & HEAVY == {"psycopg"}
    assert "rich" in shown - as_json


def test_a_run_that_finds_nothing_new_loads_no_engine(loaded: Site) -> None:
    urls = {"TIDEMARK_SOURCE_URL": loaded.source, "TIDEMARK_WAREHOUSE_URL": loaded.warehouse}

    loaded.run("run")  # the first poll after a baseline adds up latest
    nothing = imports_of("run", folder=loaded.folder, **urls)
    loaded.run("generate", "--rows", "1")
    something = imports_of("run", "--json", folder=loaded.folder, **urls)

    assert nothing & HEAVY == {"psycopg", "deltalake"}
    # Nor what is told of stages, without its variable.
    assert not any(name.startswith(("openlineage", "opentelemetry")) for name in nothing)
    assert not any(name.startswith("rich.") for name in nothing)
    assert something & HEAVY == {"psycopg", "deltalake", "duckdb"}


def test_status_works_while_source_and_warehouse_are_away(loaded: Site) -> None:
    away = "postgresql://u:s3cr3t@127.0.0.1:1/x"

    found = loaded.json("status", TIDEMARK_SOURCE_URL=away, TIDEMARK_WAREHOUSE_URL=away)
    shown = loaded.run("status", TIDEMARK_SOURCE_URL=away, TIDEMARK_WAREHOUSE_URL=away)

    assert (found["log"]["batch"], found["processed"]["batch"], found["warehouse"]["batch"]) == (1, 1, None)
    assert "source cannot be asked" in shown.stdout
    assert "warehouse cannot be asked" in shown.stdout
    assert "s3cr3t" not in shown.stdout + shown.stderr


def test_history_shows_the_versions_of_a_row_and_what_changed(loaded: Site) -> None:
    loaded.query(
        loaded.source,
        "update sales_order set agreed_delivery_location_id = 1 + agreed_delivery_location_id % 30,"
        " last_updated = now() at time zone 'UTC' where sales_order_id = 17",
    )
    loaded.run("run")
    loaded.query(
        loaded.source,
        "delete from payment where transaction_id in"
        " (select transaction_id from transaction where sales_order_id = 17);"
        "delete from transaction where sales_order_id = 17; delete from sales_order where sales_order_id = 17",
    )
    loaded.run("run")

    found = loaded.json("history", "sales_order", "17")
    shown = loaded.run("history", "fact_sales_order", "17").stdout

    assert [version["is_deleted"] for version in found["versions"]] == [False, False, True]
    assert [version["batch_id"] for version in found["versions"]] == [1, 2, 3]
    assert found["changed"] == [
        [],
        ["last_updated_date", "last_updated_time", "agreed_delivery_location_id"],
        ["is_deleted"],
    ]
    assert "version 3" in shown
    assert "● true" in shown


def test_history_says_what_is_wrong_with_its_arguments(loaded: Site) -> None:
    expected = {
        ("sales_order", "999999"): "no version of fact_sales_order with sales_order_id 999999",
        ("sales_order", "seventeen"): "cannot be a key",
        ("sales_order", "1", "2"): "expected 1, got 2",
        ("staff", "1"): "only facts and dimensions with history keep one",
        ("nothing", "1"): "has no table 'nothing'",
    }

    got = {arguments: loaded.json("history", *arguments, expect=2)["error"]["message"] for arguments in expected}

    assert [arguments for arguments, message in expected.items() if message not in got[arguments]] == []


def test_history_takes_a_key_of_several_columns(new_database: Callable[..., str], tmp_path: Path) -> None:
    clinic = Path(__file__).parents[1] / "models" / "clinic"
    site = Site(new_database(), new_database(), tmp_path)
    for file in ("schema.sql", "rows.sql"):
        site.query(site.source, (clinic / file).read_text("utf-8"))
    site.run("init", "--model", str(clinic))
    site.run("run", "--model", str(clinic))
    fact = next(fact for fact in load_model(str(clinic)).facts if len(fact.source_key) > 1)
    columns = ", ".join(f"{name}::text" for name in fact.source_key)
    key = site.query(site.warehouse, f"select {columns} from {fact.name} limit 1")[0]

    found = site.json("--model", str(clinic), "history", fact.name, *key)

    assert found["key"] == dict(zip(fact.source_key, key, strict=True))
    assert len(found["versions"]) == 1


def test_a_source_that_stays_away_ends_a_run_with_3(site: Site) -> None:
    done = site.run("ingest", "--attempts", "2", expect=3, TIDEMARK_SOURCE_URL="postgresql://u:s3cr3t@127.0.0.1:1/x")

    assert "trying again in 1 s (attempt 1 of 2)" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("error: the database at 127.0.0.1:1/x is away")
    assert done.stdout == ""
    assert "s3cr3t" not in done.stderr
