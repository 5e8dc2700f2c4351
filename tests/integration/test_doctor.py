"""What doctor finds in real databases."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.drift import build_shop, shop
from tests.support.leftovers import left_behind
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.site import Site, new_site
from tidemark.doctor import Finding, examine
from tidemark.pipeline import wire
from tidemark.settings import Settings
from tidemark.warehouse.schema import init


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


@pytest.fixture
def loaded(small_totesys: Callable[..., Rig], tmp_path: Path) -> Site:
    """A site after its first run."""
    rig = small_totesys(1, str(tmp_path / ".tidemark"))
    return Site(rig.source_url, rig.warehouse_url, tmp_path)


def test_doctor_passes_a_sound_pipeline(loaded: Site, tmp_path: Path) -> None:
    left = left_behind(tmp_path / "temporary", size_bytes=2_000_000)

    found = loaded.json("doctor", TMPDIR=str(left.parent))

    freed = f"removed 1 scratch folders of killed commands from {left.parent}: 2.0 MB"
    assert [each["found"] for each in found["findings"] if each["area"] == "scratch"] == [freed]
    assert not left.exists()
    assert found["failures"] == 0
    assert {each["area"] for each in found["findings"]} == {
        "versions",
        "settings",
        "scratch",
        "model",
        "source",
        "ingestion",
        "processed",
        "pointer",
        "warehouse",
    }
    assert {each["found"] for each in found["findings"] if each["outcome"] == "hint"} == {
        each["found"]
        for each in found["findings"]
        if "no index for the cursor" in each["found"] or "is a superuser" in each["found"]
    }
    assert [path.name for path in (loaded.folder / ".tidemark").rglob("doctor-*")] == []


def test_doctor_says_what_to_grant_and_ends_with_2(site: Site, postgres: Postgres) -> None:
    role = "doctor_reader"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"drop role if exists {role}; create role {role} login connection limit 1".encode())
    try:
        site.query(
            site.source,
            f"grant select on all tables in schema public to {role}; revoke select on payment from {role};"
            "alter table staff enable row level security; alter table design drop constraint design_pkey cascade",
        )
        found = site.json("doctor", expect=2, TIDEMARK_SOURCE_URL=site.source.replace("postgres@", f"{role}@"))
    finally:
        site.query(site.source, f"drop owned by {role}")
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(f"drop role {role}".encode())

    failures = {(each["area"], each["found"]) for each in found["findings"] if each["outcome"] == "failure"}
    advice = " ".join(each["advice"] for each in found["findings"])
    assert ("source", "the role may not read public.payment") in failures
    assert ("source", "a policy hides rows of public.staff from the role") in failures
    assert any("public.design has no unique index over design_id" in text for _, text in failures)
    assert any(area == "warehouse" and "tables are missing" in text for area, text in failures)
    assert f"grant select on public.payment to {role}" in advice
    assert f"grant pg_read_all_stats to {role}" in advice
    assert f"alter role {role} connection limit 2" in advice
    assert "run tidemark init" in advice


def test_doctor_hints_at_prepared_transactions(loaded: Site) -> None:
    loaded.query(loaded.source, "begin; create table held (); prepare transaction 'forgotten'")
    try:
        hints = [each["found"] for each in loaded.json("doctor")["findings"] if each["outcome"] == "hint"]
    finally:
        with psycopg.connect(loaded.source, autocommit=True) as connection:
            connection.execute("rollback prepared 'forgotten'")

    assert any("'forgotten'" in found for found in hints)


def test_doctor_names_every_bad_setting(site: Site) -> None:
    found = site.json("doctor", "--lag", "soon", "--pointer", "ssm:x", expect=2)

    assert [each["area"] for each in found["findings"] if each["outcome"] == "failure"] == ["settings", "settings"]


def failures(source: str, warehouse: str, folder: Path, model: str) -> list[Finding]:
    """Examine a pipeline in this process, and give what is no pass."""
    places = {name: str(folder / name) for name in ("ingestion", "processed", "pointer.json")}
    settings = Settings(
        source, warehouse, places["ingestion"], places["processed"], places["pointer.json"], model=model
    )
    return [each for each in examine(lambda: wire(settings)) if each.outcome != "pass"]


def test_doctor_binds_each_select_against_source_and_warehouse(
    new_database: Callable[..., str], postgres: Postgres, tmp_path: Path
) -> None:
    source = new_database(postgres.template("shop", build_shop))
    folder, warehouse = tmp_path / "shop", new_database()
    init(warehouse, shop(types={"note": "money"}, note="note").write(folder))

    def found(select: str) -> list[str]:
        (folder / "fact" / "purchase.sql").write_text(select)
        wrong = failures(source, warehouse, tmp_path, str(folder))
        return [each.found for each in wrong if each.outcome == "failure"]

    columns = "purchase_id, customer_id, amount, quantity, gift, bought_on"
    assert found(f"select {columns}, note from purchase") == []
    # DuckDB knows no money, so it is the warehouse that says which columns the table has.
    (lacking,) = found(f"select {columns} from purchase")
    assert "fact/purchase.sql does not yield note, which fact_purchase has: add it to the SELECT" in lacking
    assert found(f"select {columns}, note, 1 as more from purchase") == [
        "fact/purchase.sql yields more, which fact_purchase in warehouse.sql does not have"
    ]
    (unbound,) = found(f"select {columns}, ntoe as note from purchase")
    assert 'cannot read the source: Binder Error: Referenced column "ntoe" not found' in unbound
    (unknown,) = found(f"select {columns}, no_such(note) as note from purchase")
    assert "Scalar Function with name no_such does not exist" in unknown


def test_doctor_says_that_the_default_model_is_in_use(
    new_database: Callable[..., str], postgres: Postgres, tmp_path: Path
) -> None:
    source = new_database(postgres.template("shop", build_shop))

    found = failures(source, new_database(), tmp_path, Settings.model)

    assert [each.advice for each in found if "no model is named, so it is 'totesys'" in each.found] == [
        "if the source is another database, name its model: TIDEMARK_MODEL"
    ]
