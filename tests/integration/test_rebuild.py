"""`rebuild`: what it makes equals what was there, and mends what was damaged."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.library import after_three_batches, after_two_batches
from tests.support.pipeline import Rig, Row, clock
from tidemark.errors import OvertakenError
from tidemark.lake.engine import open_engine
from tidemark.lake.files import write_file
from tidemark.lake.rebuilt import RebuildReport
from tidemark.lake.scratch import remove_leftovers
from tidemark.lake.sqltext import Select
from tidemark.lake.table import Change, open_table
from tidemark.model_reader import load_model
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.settings import PREFIX
from tidemark.star.star_log import StarLog
from tidemark.verification.verify import Verify

BATCHES = 3
LOANS = "fact/loan"


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline after three batches of inserts, updates and deletes."""
    return kept_rig("library after three batches", after_three_batches)


@pytest.fixture
def rig_of_two(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline after two batches, with changes in the source that no run has seen."""
    return kept_rig("library after two batches", after_two_batches)


def rebuild(rig: Rig, *, accepts: bool = False, dry_run: bool = False) -> Rebuild:
    return Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=accepts, dry_run=dry_run)


def stars(rig: Rig) -> dict[str, list[Row]]:
    return {name: rig.star(name) for name in rig.model.stars}


def latest(rig: Rig) -> dict[str, list[dict[str, object]]]:
    return {name: rig.latest(name) for name in rig.model.sources}


def damaged(rig: Rig, name: str, select: str) -> None:
    """Put the rows of a SELECT over a fact, `{rows}`, in the place of what its table in the lake holds."""
    table = open_table(rig.processed, rig.model.stars[name].path)
    assert table is not None
    with open_engine([rig.processed]) as engine:
        action = write_file(
            engine,
            table,
            Select(select.format(rows=table.rows())),
            batch=table.batch,
            now_milliseconds=1,
            statistics=["batch_id"],
        )
        assert action is not None
        table.commit(Change((action,), tuple(table.files)), batch=table.batch)


def differences_of(rig: Rig) -> int:
    """Count the differences that verify finds, deep."""
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    return Verify(*parts, clock).run(deep=True).count


def counts(report: RebuildReport) -> dict[str, tuple[int, int]]:
    return {name: (each.missing, each.surplus) for name, each in report.tables.items() if each.is_different}


def test_latest_that_is_rebuilt_is_equal_hashes_included(rig: Rig) -> None:
    before = latest(rig)

    report = rebuild(rig).latest()

    assert (report.batch, report.is_in_place, counts(report)) == (BATCHES, True, {})
    assert latest(rig) == before
    assert rig.ingest().batches == ()


def test_a_damaged_latest_is_mended_and_its_hashes_learned_by_the_next_sweep(rig: Rig) -> None:
    before = latest(rig)
    table = open_table(rig.ingestion, "latest/shelf")
    assert table is not None
    with open_engine([rig.ingestion]) as engine:
        select = f"select * replace ('forged' as label) from {table.rows()} where shelf_id > 1"
        action = write_file(
            engine, table, Select(select), batch=table.batch, now_milliseconds=1, statistics=["shelf_id"]
        )
        assert action is not None
        table.commit(Change((action,), tuple(table.files)), batch=table.batch)
    shelves = len(before["shelf"])

    report = rebuild(rig).latest()

    assert counts(report) == {"shelf": (shelves, shelves - 1)}
    assert latest(rig) == {**before, "shelf": [{**row, "_hash": None} for row in before["shelf"]]}
    rig.ingest()
    assert latest(rig) == before


def test_a_latest_whose_delta_log_is_broken_is_put_in_place_only_when_that_is_accepted(rig: Rig) -> None:
    before = latest(rig)
    path = rig.ingestion.local_path("latest/shelf/_delta_log/00000000000000000000.json")
    assert path is not None
    path.unlink()

    held = rebuild(rig).latest()
    report = rebuild(rig, accepts=True).latest()

    assert (held.is_in_place, report.is_in_place) == (False, True)
    assert "latest/shelf" in held.reasons[0]
    assert latest(rig) == {**before, "shelf": [{**row, "_hash": None} for row in before["shelf"]]}
    rig.ingest()
    assert latest(rig) == before


def test_a_poll_that_rebuild_overtakes_loses_no_change(rig_of_two: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = type(rig_of_two.ingestion).put_new

    def after_manifest(self: object, key: str, body: bytes) -> None:
        commit(self, key, body)  # type: ignore[arg-type]
        if key.startswith("batches/"):
            monkeypatch.undo()
            # Latest as of the batch before: the poll's own commits come behind it and are refused.
            for name in rig_of_two.model.sources:
                table = open_table(rig_of_two.ingestion, f"latest/{name}")
                assert table is not None
                table.commit(Change(), batch=table.batch, same_rows=True)

    monkeypatch.setattr(type(rig_of_two.ingestion), "put_new", after_manifest)
    assert rig_of_two.ingest().batches == (3,)

    assert rig_of_two.ingest().batches == ()
    assert counts(rebuild(rig_of_two).latest()) == {}


def test_a_star_that_is_rebuilt_is_equal_surrogate_keys_included(small_totesys: Callable[..., Rig]) -> None:
    rig = small_totesys(2)
    before = stars(rig)

    report = rebuild(rig).star()

    assert (report.batch, report.is_in_place, counts(report)) == (2, True, {})
    assert stars(rig) == before


def test_a_run_goes_on_from_a_star_that_was_rebuilt(rig_of_two: Rig) -> None:
    assert rebuild(rig_of_two).star().is_in_place
    rig_of_two.run()

    assert rig_of_two.broken_laws() == {}
    assert rebuild(rig_of_two).star().differences == 0
    assert RebuildWarehouse(rig_of_two.model, rig_of_two.processed, rig_of_two.warehouse_url).run().differences == 0


def test_a_run_at_work_is_named_before_all_that_could_be_accepted(rig: Rig) -> None:
    last = rig.newest().batch
    rig.change("update loan set fee = fee + 1")
    rig.ingest()
    meanwhile = [rig.transform]

    def run_meanwhile(*_: object) -> None:
        if meanwhile:
            meanwhile.pop()()

    report = rebuild(rig).star(run_meanwhile)

    assert (report.batch, report.is_in_place, report.is_run_at_work) == (last, False, True)
    assert report.reasons[0] == f"a run is at work: it has brought batch {last + 1} meanwhile"
    again = rebuild(rig).star()
    assert (again.is_in_place, again.is_run_at_work) == (True, False)


def test_a_star_of_which_rows_were_forged_or_lost_is_mended(rig: Rig) -> None:
    before = stars(rig)
    damaged(
        rig,
        "fact_loan",
        "select * replace (case loan_record_id when 7 then fee + 1 else fee end as fee)"
        " from {rows} where loan_record_id <> 8",
    )

    shown = rebuild(rig, dry_run=True).star()
    assert (shown.is_in_place, counts(shown)) == (False, {"fact_loan": (2, 1)})
    assert stars(rig) != before

    assert counts(rebuild(rig).star()) == {"fact_loan": (2, 1)}
    assert stars(rig) == before


def test_a_star_of_which_a_file_is_lost_is_mended(rig: Rig) -> None:
    before = stars(rig)
    table = open_table(rig.processed, LOANS)
    assert table is not None
    rig.processed.delete([f"{LOANS}/{table.files[0]}"])

    report = rebuild(rig).star()

    assert "cannot be read" in report.tables["fact_loan"].note
    assert stars(rig) == before


def test_batches_that_are_not_loaded_are_loaded_from_the_rebuilt_star(rig: Rig) -> None:
    warehouse = rig.warehouse_rows()
    _empty_warehouse(rig)
    assert rebuild(rig).star().is_in_place
    # The old files are gone: without the record of the rebuild the manifests would lead to them.
    for star in rig.model.stars.values():
        table = open_table(rig.processed, star.path)
        assert table is not None
        rig.processed.delete(
            each.key
            for each in list(rig.processed.list(f"{star.path}/"))
            if each.key.endswith(".parquet") and each.key.removeprefix(f"{star.path}/") not in table.files
        )

    rig.load()

    assert rig.ledger() == list(range(1, BATCHES + 1))
    assert rig.warehouse_rows() == warehouse
    assert differences_of(rig) == 0


def _empty_warehouse(rig: Rig) -> None:
    with psycopg.connect(rig.warehouse_url, autocommit=True) as connection:
        tables = ", ".join(rig.model.stars)
        connection.execute(f"truncate {tables}, tidemark.batch".encode())


def test_a_star_of_another_model_is_put_in_place_only_when_that_is_accepted(rig: Rig, tmp_path: Path) -> None:
    before = stars(rig)
    folder = tmp_path / "model"
    subprocess.run(["cp", "-r", str(rig.model.directory), str(folder)], check=True)  # noqa: S603, S607 -- our own files
    shelf = folder / "dimension" / "shelf.sql"
    shelf.write_text(shelf.read_text().replace("label", "upper(label) as label", 1))
    other = replace(rig, model=load_model(str(folder)))

    held = rebuild(other).star()
    assert (held.is_in_place, stars(rig)) == (False, before)
    assert held.reasons == (f"another model made the batches 1 to {BATCHES}",)

    assert rebuild(other, accepts=True).star().is_in_place
    assert {row[1] for row in other.star("dim_shelf")} == {row[1].upper() for row in before["dim_shelf"]}
    assert StarLog(rig.processed).manifest(1).model == other.model.hash
    report = RebuildWarehouse(other.model, rig.processed, rig.warehouse_url).run()
    assert set(counts(report)) == {"dim_shelf"}
    assert rig.warehouse("select count(*) from dim_shelf where label <> upper(label)") == [(0,)]
    assert differences_of(other) == 0


def test_a_star_with_a_batch_that_is_half_transformed_is_left_alone(rig_of_two: Rig) -> None:
    rig_of_two.ingest()
    table = open_table(rig_of_two.processed, LOANS)
    assert table is not None
    table.commit(Change(), batch=3)

    held = rebuild(rig_of_two).star()

    assert not held.is_in_place
    assert "run tidemark transform first" in held.reasons[0]
    rig_of_two.transform()
    assert rebuild(rig_of_two).star().is_in_place


def test_a_transform_that_a_rebuild_overtakes_ends_and_the_next_one_goes_on(rig_of_two: Rig) -> None:
    rig_of_two.ingest()
    handle = open_table(rig_of_two.processed, LOANS)
    assert handle is not None
    assert rebuild(rig_of_two).star().is_in_place

    with pytest.raises(OvertakenError):
        handle.commit(Change(), batch=3)
    rig_of_two.transform()
    rig_of_two.load()
    assert rig_of_two.broken_laws() == {}


def test_a_rebuild_that_is_killed_has_done_nothing(rig: Rig, tmp_path: Path) -> None:
    before = rig.objects()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},  # noqa: TID251 -- a child's
        "TIDEMARK_INGESTION": str(tmp_path / "lake" / "ingestion"),
        "TIDEMARK_PROCESSED": str(tmp_path / "lake" / "processed"),
        "TIDEMARK_MODEL": str(rig.model.directory),
        "TMPDIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "tidemark", "rebuild", "star"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as process:  # noqa: S603 -- our own interpreter
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("tidemark-rebuild-*/fact")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

    assert rig.objects() == before
    # The scratch copy is as large as latest and star: whoever comes next clears it away, with both engines' folders.
    assert remove_leftovers(tmp_path, is_local=True).removed == 3
    assert list(tmp_path.glob("tidemark-*")) == []
    assert rebuild(rig).star().differences == 0


def test_a_warehouse_that_is_rebuilt_is_equal_and_no_row_is_touched(rig: Rig) -> None:
    touched = "select xmin::text, ctid::text, * from fact_loan order by loan_record_id"
    before = rig.warehouse(touched)

    report = RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()

    assert (report.batch, report.is_in_place, counts(report)) == (BATCHES, True, {})
    assert rig.warehouse(touched) == before


def test_a_warehouse_that_was_tampered_with_is_put_right(rig: Rig) -> None:
    before = rig.warehouse_rows()
    with psycopg.connect(rig.warehouse_url) as connection:
        for statement in (
            "create role warehouse_analyst",
            "grant select on fact_loan to warehouse_analyst",
            "update fact_loan set fee = fee + 0.01 where loan_record_id = 5",
            "delete from fact_loan where loan_record_id in (1, 2)",
            "update fact_loan set valid_to = now() where loan_record_id = 3",
            "update dim_shelf set label = 'Mallory' where shelf_id = 1",
            "insert into dim_shelf values (999999, 'forged')",
        ):
            connection.execute(statement.encode())
    expected = {"fact_loan": (4, 2), "dim_shelf": (1, 2)}
    try:
        shown = RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url, dry_run=True).run()
        assert not shown.is_in_place
        assert counts(shown) == expected
        assert rig.warehouse_rows() != before

        RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()

        assert rig.warehouse_rows() == before
        [(may,)] = rig.warehouse("select has_table_privilege('warehouse_analyst', 'fact_loan', 'select')")
        assert may
        assert rig.count("fact_loan_current") > 0
        assert rig.broken_laws() == {}
    finally:
        with psycopg.connect(rig.warehouse_url) as connection:
            connection.execute("drop owned by warehouse_analyst; drop role warehouse_analyst")
