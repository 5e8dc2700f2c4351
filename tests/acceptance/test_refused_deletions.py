"""A row that was deleted is gone from the warehouse at once, also when the star cannot take its last values."""

from pathlib import Path

from tests.acceptance.conftest import NewShop
from tests.support.drift import LATER, current, mended, shop
from tests.support.pipeline import Rig
from tests.support.proof import keys, proof, unproven, verify
from tests.support.tampering import drop
from tidemark.replay import Replay
from tidemark.star.quarantine_report import list_set_aside

BAD = f"amount = 'NaN', {LATER}"


def aside(rig: Rig) -> list[tuple[str, int | None]]:
    return [(row.op, row.ordinal) for row in list_set_aside(list(rig.model.stars.values()), rig.processed)]


def versions(rig: Rig, key: int) -> list[tuple[object, ...]]:
    """Give the versions of a purchase: number, amount, whether it is deleted, batch, and whether it is the last."""
    return rig.warehouse(
        "select purchase_record_id, amount::text, is_deleted, batch_id, valid_to is null from fact_purchase"
        " where purchase_id = %s order by valid_from",
        [key],
    )


def test_a_deletion_with_values_that_the_star_cannot_take_ends_the_row_with_its_last_good_values(
    new_shop: NewShop,
) -> None:
    rig = new_shop(shop())
    # The number of the key has other texts in the star.
    rig.change("alter table purchase alter purchase_id type numeric")
    rig.run()
    # The star has known purchase 1, and never knows purchase 4.
    rig.change(f"update purchase set {BAD} where purchase_id = 1", "insert into purchase values (4, 1, 'NaN', 1, true)")
    rig.run()
    assert unproven(verify(rig)) == set()
    rig.change("delete from purchase where purchase_id in (1, 4)")
    rig.run()

    assert current(rig, "amount") == rig.source("select purchase_id, amount from purchase order by 1")
    assert versions(rig, 1) == [(1, "5.10", False, 1, False), (6, "5.10", True, 3, True)]
    assert aside(rig) == [("update", 4), ("insert", 5), ("delete", 6), ("delete", 7)]

    # The row comes and goes again. A replay can take nothing, and has nothing to do for the deletion.
    rig.change("insert into purchase values (1, 1, 7, 1, true)")
    rig.run()
    rig.change("delete from purchase where purchase_id = 1")
    rig.run()
    assert Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run("fact_purchase").batch == 6
    rig.run()
    assert [row[2:] for row in versions(rig, 1)][1:] == [(True, 3, False), (False, 4, False), (True, 5, True)]
    assert aside(rig) == [("update", 4), ("insert", 5), ("delete", 7)]
    assert unproven(verify(rig, deep=True)) == set()


def test_rows_whose_key_got_another_text_in_quarantine_come_back_one_after_the_other(
    new_shop: NewShop, tmp_path: Path
) -> None:
    rig = new_shop(shop(note="note", types={"note": "varchar(3)"}))
    rig.change("alter table purchase alter purchase_id type numeric", "update purchase set note = null")
    rig.run()
    rig.change("update purchase set note = 'long' where purchase_id = 1")
    rig.run()
    rig.change("update purchase set note = 'longer', purchase_id = 1.00 where purchase_id = 1")
    rig.run()
    assert aside(rig) == [("update", 4), ("update", 5)]

    rig = mended(rig, shop(note="note", types={"note": "varchar(9)"}), tmp_path / "mended")
    Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run("fact_purchase")
    rig.run()

    assert aside(rig) == []
    assert [row[0] for row in versions(rig, 1)] == [1, 4, 5]
    assert unproven(verify(rig)) == set()


def test_a_deleted_row_that_is_live_in_the_star_is_found_though_it_lies_in_quarantine(new_shop: NewShop) -> None:
    rig = new_shop(after="run")
    rig.change(f"update purchase set {BAD} where purchase_id = 1")
    rig.run()
    rig.change("delete from purchase where purchase_id = 1")
    rig.run()

    drop(rig.processed, "fact/purchase", "is_deleted")

    assert keys(proof(verify(rig), "latest = star", "fact_purchase")) == [("surplus", {"purchase_id": "1"})]
