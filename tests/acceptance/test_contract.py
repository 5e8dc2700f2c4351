"""The contract: a source whose tables change their shape while Tidemark follows them."""

import functools
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import NewShop
from tests.support.drift import LATER, counts, current, expected, mended, shop
from tests.support.pipeline import Rig, clock
from tests.support.proof import unproven, verify
from tidemark.errors import ConfigError, ContractError
from tidemark.rebuild import Rebuild
from tidemark.verification.verify import Verify

REORDERED = (
    "rename column quantity to old; alter table purchase add column quantity integer not null default 0;"
    "update purchase set quantity = old; alter table purchase drop column old"
)


def state(rig: Rig) -> tuple[Any, ...]:
    """Give what a poll that writes nothing leaves as it is."""
    pointer = rig.pointer.read()
    assert pointer is not None
    return rig.objects(), pointer.batch, pointer.watermark


# What changes its type, its name or its place as another one here does.
again = functools.partial(pytest.param, marks=pytest.mark.exhaustive)


@pytest.mark.parametrize(
    ("change", "told", "updated"),
    [
        ("add column colour text", "purchase.colour is new (text): taken along", 0),
        ("add column colour text default 'red'", "purchase.colour is new (text): taken along", 3),
        ("drop column note", "purchase.note is gone", 0),
        ("rename column note to remark", "purchase.remark is new (character varying(20)): taken along", 2),
        ('rename column note to "NOTE"', "purchase.NOTE is new (character varying(20)): taken along", 0),
        ("alter column quantity type bigint", "purchase.quantity was integer and is bigint", 0),
        again("alter column quantity type smallint", "purchase.quantity was integer and is smallint", 0),
        again("alter column quantity type numeric", "purchase.quantity was integer and is numeric", 0),
        ("alter column quantity type text", "purchase.quantity was integer and is text", 0),
        ("alter column gift type text", "purchase.gift was boolean and is text", 0),
        # Only text decides whether a row changed: 12.00 has become 12.0000.
        ("alter column amount type numeric(12,4)", "purchase.amount was numeric(10,2) and is numeric(12,4)", 3),
        again("alter column note type text", "purchase.note was character varying(20) and is text", 0),
        ("alter column note type integer using (7)", "purchase.note was character varying(20) and is integer", 2),
        again("alter column purchase_id type bigint", "purchase.purchase_id was integer and is bigint", 0),
        ("alter column purchase_id type text", "purchase.purchase_id was integer and is text", 0),
        # As a table that was made anew has it: the same columns in another order.
        (REORDERED, None, 0),
    ],
)
def test_a_change_of_shape_that_the_model_can_take_is_taken_and_told(
    new_shop: NewShop, caplog: pytest.LogCaptureFixture, change: str, told: str | None, updated: int
) -> None:
    rig = new_shop(after="ingest")

    # Transform has batch 1 before it as well, whose columns are the old ones.
    rig.change(f"alter table purchase {change}")
    with caplog.at_level(logging.WARNING, "tidemark"):
        rig.run()

    assert counts(rig) == (0, updated, 0)
    assert told is None or told in caplog.messages
    assert rig.ledger() == [1, 2]
    assert current(rig) == expected(rig)
    caplog.clear()
    rig.change(f"update purchase set quantity = '4', {LATER} where purchase_id::text = '2'")
    rig.run()
    assert counts(rig) == (0, 1, 0)
    assert current(rig) == expected(rig)
    assert rig.ingest().batches == ()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("change", "mending", "told"),
    [
        (
            "alter table purchase drop column gift",
            "alter table purchase add column gift boolean not null default true",
            "fact/purchase.sql cannot read the source",
        ),
        (
            "alter table purchase rename column amount to price",
            "alter table purchase rename column price to amount",
            '"amount" not found',
        ),
        (
            "alter table purchase alter column quantity type boolean using (quantity > 1)",
            "alter table purchase alter column quantity type integer using (case when quantity then 2 else 1 end)",
            "fact/purchase.sql yields BOOLEAN for quantity, which cannot become the star's BIGINT",
        ),
        (
            "alter table purchase alter column bought_on type timestamp",
            "alter table purchase alter column bought_on type date",
            "yields TIMESTAMP for bought_on, which cannot become the star's DATE",
        ),
        (
            "alter table purchase alter column last_updated type text",
            "alter table purchase alter column last_updated type timestamp(3) using (last_updated::timestamp(3))",
            "purchase.last_updated is text: expected a date or a timestamp",
        ),
        again(
            "alter table purchase rename column last_updated to changed",
            "alter table purchase rename column changed to last_updated",
            "source table 'purchase' has no column ['last_updated']",
        ),
        (
            "alter table purchase rename column purchase_id to id",
            "alter table purchase rename column id to purchase_id",
            "source table 'purchase' has no column ['purchase_id']",
        ),
        (
            "alter table purchase drop constraint purchase_pkey, add primary key (purchase_id, customer_id)",
            "alter table purchase drop constraint purchase_pkey, add primary key (purchase_id)",
            "no unique index over its key ['purchase_id']",
        ),
        ("alter table purchase rename to sale", "alter table sale rename to purchase", "purchase"),
        again(
            "create table kept as table purchase; drop table purchase",
            "alter table kept rename to purchase; alter table purchase add primary key (purchase_id)",
            "purchase",
        ),
    ],
)
def test_a_change_of_shape_that_the_model_cannot_take_writes_nothing_until_it_is_mended(
    new_shop: NewShop, change: str, mending: str, told: str
) -> None:
    rig = new_shop(after="run")
    before = state(rig)
    rig.change(f"update purchase set amount = 6.25, {LATER} where purchase_id = 1", change)
    rig.change("update customer set city = 'Paris' where customer_id = 1")

    for _ in range(2):
        with pytest.raises(ContractError) as caught:
            rig.ingest()
        assert told in caught.value.message
        assert state(rig) == before

    rig.change(mending, "delete from purchase where purchase_id = 3")
    rig.run()
    assert current(rig) == expected(rig)
    assert [row["city"] for row in rig.latest("customer")] == ["Paris", "New York"]


def test_every_broken_term_of_the_contract_is_named(new_shop: NewShop) -> None:
    rig = new_shop(after="ingest")
    rig.change(
        "alter table purchase drop column last_updated", "alter table customer alter column last_updated type text"
    )

    with pytest.raises(ContractError) as caught:
        rig.ingest()

    assert "customer.last_updated is text: expected a date or a timestamp" in caught.value.message
    assert "source table 'purchase' has no column ['last_updated']" in caught.value.message


def test_a_cast_that_the_new_type_does_not_have_is_found_before_anything_is_written(new_shop: NewShop) -> None:
    rig = new_shop(shop(bought_on="cast(bought_on as date)"))
    rig.ingest()
    rig.change("alter table purchase alter column bought_on type timestamp")
    assert rig.ingest().batches == (2,)
    rig.change("alter table purchase alter column bought_on type integer using (5)")

    with pytest.raises(ContractError, match=r"fact/purchase.sql cannot read the source: .*INTEGER -> DATE"):
        rig.ingest()


def test_keys_that_become_texts_go_on_in_the_star_as_numbers(new_shop: NewShop) -> None:
    rig = new_shop(after="run")
    rig.change(
        "alter table purchase alter column customer_id type text",
        "alter table customer alter column customer_id type text",
        "insert into customer values ('9', 'Joan')",
        "insert into purchase values (4, '9', 8, 1, false), (5, 'nobody', 8, 1, false)",
    )

    rig.run()

    assert rig.warehouse("select purchase_id, customer_id from fact_purchase order by 1") == [
        (1, 1),
        (2, 2),
        (3, 2),
        (4, 9),
    ]
    assert rig.ingest().batches == ()


def test_values_that_a_new_type_reads_otherwise_are_changes_of_their_rows(new_shop: NewShop) -> None:
    rig = new_shop(shop(types={"amount": "double precision"}))
    rig.change(
        "alter table purchase alter column amount type real", "update purchase set amount = 0.5 where amount > 9"
    )
    rig.run()

    rig.change("alter table purchase alter column amount type numeric")
    rig.run()

    # 5.1 and 0.99 are other numbers as a real, 0.5 is the same.
    assert counts(rig) == (0, 2, 0)
    assert current(rig, "amount") == [(1, 5.1), (2, 0.5), (3, 0.99)]
    assert unproven(verify(rig, deep=True)) == set()


def test_a_select_that_is_wrong_whatever_the_source_is_is_no_matter_of_the_contract(new_shop: NewShop) -> None:
    with pytest.raises(ConfigError, match=r"fact/purchase.sql: .*nosuch"):
        new_shop(shop(quantity="nosuch(quantity)")).ingest()


def test_a_mistake_in_a_select_is_found_by_the_next_poll_though_the_source_is_as_it_was(
    new_shop: NewShop, tmp_path: Path
) -> None:
    rig = new_shop(after="ingest")
    assert rig.ingest().batches == ()
    wrong = replace(rig, model=shop(quantity="nosuch(quantity)").write(tmp_path / "wrong"))

    for _ in range(2):
        with pytest.raises(ConfigError, match=r"fact/purchase.sql: .*nosuch"):
            wrong.ingest()

    assert rig.ingest().batches == ()


def test_columns_that_the_last_poll_did_not_see_are_bound_though_a_batch_has_them(
    new_shop: NewShop, tmp_path: Path
) -> None:
    rig = new_shop(after="ingest")
    pointer = (tmp_path / "lake" / "pointer.json").read_bytes()
    rig.change("alter table purchase drop column note")
    rig.ingest()
    wrong = replace(rig, model=shop(quantity="quantity + length(note)").write(tmp_path / "wrong"))

    # As after a poll that was killed before it wrote the pointer, and as after a restore of the pointer.
    for _ in range(2):
        (tmp_path / "lake" / "pointer.json").write_bytes(pointer)
        with pytest.raises(ContractError, match="note"):
            wrong.ingest()


def test_after_a_column_was_renamed_a_mended_model_catches_up_with_all_that_came_between(
    new_shop: NewShop, tmp_path: Path
) -> None:
    rig = new_shop(after="run")
    rig.change(f"update purchase set quantity = 5, {LATER} where purchase_id = 1")
    rig.ingest()
    rig.change("alter table purchase rename column amount to price", "insert into purchase values (4, 1, 8, 1, false)")
    with pytest.raises(ContractError):
        rig.run()
    rig.change("delete from purchase where purchase_id = 2")

    rig = mended(rig, shop(amount="price"), tmp_path / "mended")
    rig.run()

    assert rig.ledger() == [1, 2, 3]
    assert current(rig) == expected(rig, "price, quantity::bigint, gift, bought_on")
    # In batch 2 the column had its old name still, by which the mended model does not know it.
    versions = [
        (version["batch_id"], version["quantity"], version["amount"]) for version in rig.versions("fact_purchase", 1)
    ]
    assert [(batch, quantity, str(amount)) for batch, quantity, amount in versions] == [
        (1, 3, "5.10"),
        (2, 5, "None"),
        (3, 5, "5.10"),
    ]


def test_a_poll_that_was_killed_before_latest_had_the_new_type_is_made_good(new_shop: NewShop, tmp_path: Path) -> None:
    rig = new_shop(after="run")
    lake = tmp_path / "lake"
    shutil.copytree(lake / "ingestion" / "latest", tmp_path / "latest")
    pointer = (lake / "pointer.json").read_bytes()
    rig.change(
        "alter table purchase alter column quantity type text",
        "update purchase set quantity = 'many' where purchase_id = 3",
    )
    rig.ingest()
    shutil.rmtree(lake / "ingestion" / "latest")
    shutil.copytree(tmp_path / "latest", lake / "ingestion" / "latest")
    (lake / "pointer.json").write_bytes(pointer)

    rig.run()

    assert [row["quantity"] for row in rig.latest("purchase")] == ["3", "1", "many"]
    assert len(rig.manifests()) == 2
    # The star has no number for "many": that row waits in quarantine, and nothing else does.
    assert current(rig, "quantity") == [(1, 3), (2, 1), (3, 7)]


def test_a_rebuild_gives_the_same_after_all_these_changes(new_shop: NewShop) -> None:
    rig = new_shop(after="run")
    for change in (
        "alter column quantity type bigint, alter column gift type text, add column colour text default 'red'",
        "alter column quantity type text, drop column note",
        "add column note integer",
    ):
        rig.change(f"alter table purchase {change}")
        rig.run()
        rig.change(f"update purchase set amount = amount + 1, {LATER} where purchase_id = 1")
        rig.run()
    rebuild = Rebuild(rig.model, rig.ingestion, rig.processed, clock)

    for report in (rebuild.latest(), rebuild.star()):
        assert (report.differences, report.is_in_place) == (0, True)
    rig.run()
    verify = Verify(rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url, clock)
    proofs = [proof for edge in verify.run(deep=True).edges for proof in edge.tables]
    assert [proof for proof in proofs if not proof.is_proven] == []
    assert current(rig) == expected(rig)
