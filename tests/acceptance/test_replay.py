"""The real rows in slices, with a run after each: the end is that of one load, and the history is what the runs saw."""

import datetime as dt
from itertools import pairwise

from tests.support.pipeline import Row, as_text, differences
from tests.support.replay import SLICES, Replay

COLUMNS = "select column_name::text from information_schema.columns where table_name = %s order by ordinal_position"

FACTS = {
    "fact_sales_order": ("sales_order", "sales_order_id"),
    "fact_purchase_orders": ("purchase_order", "purchase_order_id"),
    "fact_payment": ("payment", "payment_id"),
}


def payments_that_were_paid_later(replay: Replay) -> set[int]:
    """Return the payments that one slice inserted unpaid and a later one marked as paid."""
    return {
        int(row["payment_id"])
        for row in replay.payments
        if row["paid"] == "true" and replay.batch_of(row["created_at"]) < replay.batch_of(row["last_updated"])
    }


def test_each_slice_is_a_batch(replay: Replay) -> None:
    assert replay.rig.newest().batch == SLICES
    assert replay.rig.ledger() == list(range(1, SLICES + 1))


def test_the_current_state_is_that_of_one_load(replay: Replay) -> None:
    for star, table in replay.rig.model.stars.items():
        if table.kind == "fact":
            listed = replay.rig.warehouse(COLUMNS, [star])
            names = [name for (name,) in listed if name not in {table.key[0], "batch_id"}]
            query = f"select {', '.join(names)} from {star}_current"
        else:
            query = f"select * from {star}"
        expected = as_text(replay.at_once.warehouse_url, query)
        assert differences(expected, as_text(replay.rig.warehouse_url, query)) == ([], []), star


def test_a_payment_that_was_paid_later_has_two_versions_unpaid_then_paid(replay: Replay) -> None:
    paid_later = payments_that_were_paid_later(replay)
    found = replay.rig.warehouse(
        "select payment_id, array_agg(paid order by valid_from) from fact_payment group by 1 having count(*) > 1"
    )

    assert len(paid_later) == 438
    assert dict(found) == {key: [False, True] for key in paid_later}


def test_no_version_is_without_cause(replay: Replay) -> None:
    paid_later = payments_that_were_paid_later(replay)
    expected: set[Row] = set()
    for row in replay.payments:
        key, created, updated = int(row["payment_id"]), row["created_at"], row["last_updated"]
        if key in paid_later:
            expected.add((key, False, replay.batch_of(created), stamp(created)))
            expected.add((key, True, replay.batch_of(updated), stamp(updated)))
        else:
            expected.add((key, row["paid"] == "true", replay.batch_of(created), stamp(updated)))

    found = replay.rig.warehouse("select payment_id, paid, batch_id, valid_from from fact_payment")
    assert sorted(found) == sorted(expected)
    for fact in ("fact_sales_order", "fact_purchase_orders"):
        assert replay.rig.count(fact) == replay.at_once.count(f"{fact}_current"), fact


def stamp(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_a_version_is_numbered_by_its_place_in_the_log(replay: Replay) -> None:
    for fact, (table, key) in FACTS.items():
        surrogate = replay.rig.model.stars[fact].key[0]
        expected = [(number, line[key]) for number, line in enumerate(replay.rig.lines(table), start=1)]
        assert replay.rig.warehouse(f"select {surrogate}, {key} from {fact} order by 1") == expected, fact


def test_a_history_has_neither_gap_nor_overlap(replay: Replay) -> None:
    for fact, (_, key) in FACTS.items():
        versions = replay.rig.versions(fact)
        for older, newer in pairwise(versions):
            is_same_key = older[key] == newer[key]
            assert older["valid_to"] == (newer["valid_from"] if is_same_key else None)
            assert not is_same_key or older["valid_from"] < newer["valid_from"]
        assert versions[-1]["valid_to"] is None


def test_as_of_shows_the_source_as_it_stood_at_the_end_of_a_slice(replay: Replay) -> None:
    for end in replay.ends[:-1]:
        expected = sorted(
            (int(row["payment_id"]), row["paid"] == "true" and row["last_updated"] <= end)
            for row in replay.payments
            if row["created_at"] <= end
        )
        found = replay.rig.warehouse("select payment_id, paid from fact_payment_as_of(%s) order by 1", [end])
        assert found == expected, end


def test_the_laws_of_the_model_are_kept(replay: Replay) -> None:
    assert replay.rig.broken_laws() == {}
