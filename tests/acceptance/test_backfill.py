"""Backfill: a range of time is read again, what differs becomes a batch, and polls go on as if there had been none."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.drift import build_shop, shop
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tidemark.backfill import Backfill, BackfillReport, TableBackfill
from tidemark.cli import run
from tidemark.errors import ConfigError, ContractError, OvertakenError, StateError

# The rows of the shop are stamped 2024-11-01; these are stamped later, so that a cursor starts behind the others.
RECENT = """
insert into purchase values (4, 1, 8, 1, false, null, null, '2024-11-05'), (5, 1, 9, 2, true, null, null, '2024-11-09')
"""
FIRST, END = datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 11, 6, tzinfo=UTC)


@pytest.fixture
def rig(kept_rig: Callable[..., Rig], tmp_path: Path) -> Rig:
    """A pipeline after one run, whose purchases are swept in every thousandth poll only."""
    folder = tmp_path / "shop"
    model = shop(sweep="sweep_every = 1000\n").write(folder)

    def make(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
        made = create(postgres.template("shop", build_shop), model=str(folder))
        made.change(RECENT)
        made.run()
        # The first poll of all has counted nought.
        made.change("update customer set city = 'Paris' where customer_id = 1")
        made.run()
        return made

    return replace(kept_rig("shop that is seldom swept", make), model=model)


def backfill(
    rig: Rig, *tables: str, first: datetime = FIRST, end: datetime = END, dry_run: bool = False
) -> BackfillReport:
    made = Backfill(rig.model, rig.source_url, rig.ingestion, rig.pointer, clock)
    return made.run(first, end, tables, dry_run=dry_run)


def change_unseen(rig: Rig) -> None:
    """Do what the cursor does not see: in the range an insert, an update, two deletes, a row that leaves it."""
    rig.change(
        "insert into purchase values (6, 2, 1, 1, false, null, null, '2024-11-02')",
        "update purchase set amount = 7.77 where purchase_id = 1",
        "delete from purchase where purchase_id in (2, 4)",
        "update purchase set amount = 3, last_updated = '2024-10-02' where purchase_id = 3",
        "delete from purchase where purchase_id = 5",
    )
    assert rig.ingest().batches == ()


def amounts(rig: Rig) -> list[tuple[Any, ...]]:
    return rig.warehouse(
        "select purchase_id, amount from fact_purchase where valid_to is null and not is_deleted order by purchase_id"
    )


def test_what_differs_in_the_range_becomes_a_batch_and_nothing_beyond_it(rig: Rig) -> None:
    change_unseen(rig)
    before = rig.newest()

    report = backfill(rig, "purchase")

    assert report == BackfillReport(3, {"purchase": TableBackfill(read=3, inserted=1, updated=2, deleted=2)})
    assert {line["purchase_id"]: line["_op"] for line in rig.lines("purchase") if "_op" in line} == {
        1: "update",
        2: "delete",
        3: "update",
        4: "delete",
        6: "insert",
    }
    rig.transform()
    rig.load()
    # Purchase 5 is not in the range.
    assert [(key, str(amount)) for key, amount in amounts(rig)] == [(1, "7.77"), (3, "3.00"), (5, "9.00"), (6, "1.00")]
    assert (rig.newest().watermark, rig.newest().snapshot) == (before.watermark, before.snapshot)


def test_the_next_polls_neither_miss_nor_repeat_what_was_backfilled(rig: Rig) -> None:
    change_unseen(rig)
    rig.change("insert into purchase values (7, 1, 2, 2, false, null, null, now() at time zone 'UTC')")
    backfill(rig)

    manifest = rig.manifests()[-1]
    rig.ingest()

    entry = rig.newest().tables["purchase"]
    assert (entry.inserted, entry.updated, entry.deleted) == (1, 0, 0)
    assert entry.first_ordinal == manifest.tables["purchase"].first_ordinal + 5
    assert backfill(rig).batch is None
    pointer = rig.pointer.read()
    assert pointer is not None
    assert (pointer.batch, pointer.watermark) == (rig.newest().batch, rig.newest().watermark)


def test_a_backfill_twice_writes_one_batch(rig: Rig) -> None:
    change_unseen(rig)
    backfill(rig)
    objects = rig.objects()

    report = backfill(rig)

    assert report.batch is None
    assert {name: (table.inserted, table.updated, table.deleted) for name, table in report.tables.items()} == {
        "customer": (0, 0, 0),
        "purchase": (0, 0, 0),
    }
    assert rig.objects() == objects


def test_a_dry_run_says_the_same_and_writes_nothing(rig: Rig) -> None:
    change_unseen(rig)
    objects, pointer = rig.objects(), rig.pointer.read()

    planned = backfill(rig, dry_run=True)

    assert (rig.objects(), rig.pointer.read()) == (objects, pointer)
    assert planned.batch is None
    assert planned.tables == backfill(rig).tables


def test_the_end_of_the_range_is_not_in_it(rig: Rig) -> None:
    rig.change("update purchase set amount = amount + 1")

    found = backfill(rig, first=FIRST, end=datetime(2024, 11, 5, tzinfo=UTC), dry_run=True)
    longer = backfill(rig, first=FIRST, end=datetime(2024, 11, 5, 0, 0, 1, tzinfo=UTC), dry_run=True)

    assert [each.tables["purchase"].read for each in (found, longer)] == [3, 4]


def test_a_change_of_columns_is_for_a_poll_to_take(rig: Rig) -> None:
    rig.change("alter table purchase add column colour text default 'red'")

    with pytest.raises(ContractError, match="columns of source table 'purchase' have changed"):
        backfill(rig)

    rig.ingest()
    assert backfill(rig).batch is None


def test_a_range_or_table_that_is_none_is_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a range of time"):
        backfill(rig, first=END, end=FIRST)
    with pytest.raises(ConfigError, match="there is no source table 'order'"):
        backfill(rig, "order")
    without = {name: replace(table, created=None, updated=None) for name, table in rig.model.sources.items()}
    with pytest.raises(ConfigError, match="no source table of the model has a created or an updated column"):
        backfill(replace(rig, model=replace(rig.model, sources=without)))
    (tmp_path / "lake" / "pointer.json").unlink()
    with pytest.raises(StateError, match="the pointer does not stand at batch 2"):
        backfill(rig, dry_run=True)


def test_a_poll_that_is_faster_leaves_the_backfill_overtaken(rig: Rig) -> None:
    change_unseen(rig)
    rig.change("insert into purchase values (7, 1, 2, 2, false, null, null, now() at time zone 'UTC')")
    slow = Backfill(rig.model, rig.source_url, rig.ingestion, rig.pointer, clock)

    polls = iter([rig.ingest])

    def poll_first(*_: object) -> None:
        for poll in polls:
            poll()

    with pytest.raises(OvertakenError):
        slow.run(FIRST, END, ["purchase"], progress=poll_first)

    assert backfill(rig).tables["purchase"] == TableBackfill(read=3, inserted=1, updated=2, deleted=2)


def test_the_command_says_how_many_rows_of_each_table_it_read_and_changed(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = tmp_path / "lake"
    (tmp_path / "tidemark.toml").write_text(
        f'source_url = "{rig.source_url}"\ningestion = "{lake}/ingestion"\nprocessed = "{lake}/processed"\n'
        f'pointer = "{lake}/pointer.json"\nmodel = "{tmp_path}/shop"\n'
    )
    monkeypatch.chdir(tmp_path)
    change_unseen(rig)
    span = ("backfill", "--from", "2024-11-01", "--to", "2024-11-06T01:00+01:00", "--table", "purchase")

    assert run([*span, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert run([*span, "--json"]) == 0

    assert "from 2024-11-01 00:00:00 UTC to 2024-11-06 00:00:00 UTC" in shown
    assert "a dry run: 5 changes would become a batch" in shown
    found = json.loads(capsys.readouterr().out)
    purchase = found["tables"]["purchase"]
    assert purchase.pop("bytes") > 0
    assert (found["batch"], purchase) == (3, {"read": 3, "inserted": 1, "updated": 2, "deleted": 2})
    assert run(["backfill", "--from", "soon", "--to", "2024-11-06"]) == ConfigError.exit_code


def test_in_a_zone_with_daylight_saving_the_range_is_an_hour_longer(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    shop().write(folder)
    toml = folder / "model.toml"
    toml.write_text('timezone = "Europe/London"\n' + toml.read_text())
    rig = new_rig(postgres.template("shop", build_shop), model=str(folder))
    rig.ingest()

    midnight = datetime(2024, 11, 1, tzinfo=UTC)
    read = [
        backfill(
            rig, "purchase", first=midnight + timedelta(hours=h), end=midnight + timedelta(hours=h + 1), dry_run=True
        )
        for h in (-3, -2, -1, 0, 1, 2)
    ]

    assert [each.tables["purchase"].read for each in read] == [0, 0, 3, 3, 3, 0]
