"""What doctor finds in real databases."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.site import Site, new_site


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


@pytest.fixture
def loaded(small_totesys: Callable[..., Rig], tmp_path: Path) -> Site:
    """A site after its first run."""
    rig = small_totesys(1, str(tmp_path / ".tidemark"))
    return Site(rig.source_url, rig.warehouse_url, tmp_path)


def test_doctor_passes_a_sound_pipeline(loaded: Site) -> None:
    found = loaded.json("doctor")

    assert found["failures"] == 0
    assert {each["area"] for each in found["findings"]} == {
        "versions",
        "settings",
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
        connection.execute(f"drop role if exists {role}; create role {role} login".encode())
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
