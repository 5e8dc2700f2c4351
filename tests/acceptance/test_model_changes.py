"""A model that changes while Tidemark follows its source: more columns, more or fewer tables, another key."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewShop
from tests.support.drift import LATER, counts, current, expected, mended, shop
from tests.support.pipeline import Rig, clock
from tests.support.proof import unproven, verify
from tidemark.compact import Compact
from tidemark.errors import ConfigError, ContractError
from tidemark.model_reader import load_model
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.warehouse.schema import init


def test_a_model_may_know_the_rows_of_a_table_by_another_key(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    rig.change("alter table customer add column code uuid unique not null default gen_random_uuid()")
    rig.run()
    folder = tmp_path / "mended"
    shop().write(folder)
    toml = folder / "model.toml"
    toml.write_text(toml.read_text().replace('key = ["customer_id"]', 'key = ["code"]', 1))
    rig = replace(rig, model=load_model(str(folder)))
    rig.change(
        "alter table customer drop constraint customer_pkey", "update customer set name = 'Ada L' where customer_id = 1"
    )

    rig.run()

    assert counts(rig, "customer") == (0, 1, 0)
    assert rig.ingest().batches == ()
    rig.change("alter table customer add column part integer not null default 1, add unique (code, part)")
    toml.write_text(toml.read_text().replace('key = ["code"]', 'key = ["code", "part"]', 1))
    with pytest.raises(ContractError, match=r"customer.part is in the model's key and was no column yet"):
        replace(rig, model=load_model(str(folder))).ingest()


def test_a_new_column_that_the_model_starts_to_read_is_filled_for_old_rows(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    rig.change(
        "alter table purchase add column colour text default 'red'",
        "update purchase set colour = null where purchase_id = 2",
    )

    rig = mended(rig, shop(colour="colour", types={"colour": "text"}), tmp_path / "mended")
    rig.run()

    assert counts(rig) == (0, 2, 0)
    assert current(rig, "colour") == [(1, "red"), (2, None), (3, "red")]


def test_a_column_that_was_there_for_long_is_filled_by_a_rebuild_of_the_star(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    rig = mended(rig, shop(note="note", types={"note": "text"}), tmp_path / "mended")
    rig.run()
    assert rig.ledger() == [1]

    Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()

    # Surrogate key, the six columns, and then the new one.
    assert [row[-1] for row in sorted(rig.warehouse("select purchase_id, note from fact_purchase"))] == [None] * 3
    assert "for the desk" in {value for row in rig.star("fact_purchase") for value in row}


def test_a_table_that_appears_in_the_source_is_left_alone(new_shop: NewShop) -> None:
    rig = new_shop(after="run")

    rig.change("create table refund (refund_id integer primary key)", "insert into refund values (1)")

    assert rig.ingest().batches == ()


def test_a_table_that_appears_in_the_model_is_read_whole(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(shop(has_customers=False))
    rig.run()
    rig.change(f"update purchase set quantity = 5, {LATER} where purchase_id = 1")
    rig.ingest()

    # Batch 2 is still to be transformed, in which the log did not know the table yet.
    rig = mended(rig, shop(), tmp_path / "mended")
    # At none of these moments is anything wrong: the new tables are on their way.
    for stage in (rig.load, rig.ingest, rig.transform, rig.load):
        stage()
        assert unproven(verify(rig)) == set()
        Compact(rig.model, rig.ingestion, rig.processed, clock, lambda: 1).run(dry_run=True)

    assert rig.ledger() == [1, 2, 3]
    assert counts(rig, "customer") == (2, 0, 0)
    assert rig.warehouse("select customer_id, name from dim_customer order by 1") == [(1, "Ada"), (2, "Grace")]
    assert current(rig) == expected(rig)


def test_a_table_that_comes_back_to_the_model_goes_on_where_it_was(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    alone = replace(rig, model=shop(has_customers=False).write(tmp_path / "alone"))
    alone.change(
        "update customer set city = 'Paris' where customer_id = 1",
        "insert into customer values (3, 'Joan', 'Bath')",
        "delete from customer where customer_id = 2",
        "delete from purchase where customer_id = 2",
    )
    alone.run()
    assert set(rig.newest().tables) == {"purchase"}

    rig.run()

    entry = rig.newest().tables["customer"]
    assert (counts(rig, "customer"), entry.first_ordinal, entry.rows) == ((1, 1, 1), 3, 2)
    assert [(row["customer_id"], row["city"]) for row in rig.latest("customer")] == [(1, "Paris"), (3, "Bath")]
    assert rig.warehouse("select customer_id from dim_customer order by 1") == [(1,), (2,), (3,)]
    assert rig.ingest().batches == ()


def test_a_star_table_over_old_source_tables_is_refused_before_a_row_moves(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    folder = tmp_path / "mended"
    shop().write(folder)
    dimension = '[star.dim_name]\nkind = "dimension"\nkey = ["name"]\nreads = ["customer"]\n'
    for path, more in {
        "model.toml": dimension,
        "warehouse.sql": "create table dim_name (name uuid primary key, city text);",
        "dimension/name.sql": "select name from customer",
    }.items():
        with (folder / path).open("a") as file:
            file.write(more)
    rig.change(f"update customer set name = 'Ada L', {LATER} where customer_id = 1")
    rig.ingest()
    before = rig.objects()

    def with_new_table() -> Rig:
        return replace(rig, model=load_model(str(folder)))

    for bring in (
        with_new_table().transform,
        Rebuild(with_new_table().model, rig.ingestion, rig.processed, clock).star,
    ):
        with pytest.raises(ConfigError) as caught:
            bring()
        assert [each.partition(":")[0] for each in caught.value.problems] == [
            "dimension/name.sql does not yield city, which dim_name has",
            "dim_name.name is uuid, and dimension/name.sql yields text for it",
        ]
    assert rig.objects() == before

    table = folder / "warehouse.sql"
    table.write_text(table.read_text().replace("name uuid primary key, city text", "name text primary key"))
    rig = with_new_table()
    init(rig.warehouse_url, rig.model)
    rig.run()
    Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()

    assert rig.warehouse("select name from dim_name order by name") == [("Ada",), ("Ada L",), ("Grace",)]
