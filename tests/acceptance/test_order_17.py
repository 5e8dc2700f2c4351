"""An order that is changed, deleted and inserted again can be seen as it was at any time."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.conftest import Place
from tests.support.kept import small_template
from tests.support.pipeline import Rig, rigs
from tests.support.postgres import Postgres

MICROSECOND = dt.timedelta(microseconds=1)
MOVED = (
    "update sales_order set agreed_delivery_location_id = 5, last_updated = current_timestamp where sales_order_id = 17"
)
DELETED = (
    "delete from payment where transaction_id in (select transaction_id from transaction where sales_order_id = 17)",
    "delete from transaction where sales_order_id = 17",
    "delete from sales_order where sales_order_id = 17",
)
INSERTED_AGAIN = """
    insert into sales_order
        (sales_order_id, design_id, staff_id, counterparty_id, units_sold, unit_price, currency_id,
        agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id)
    values (17, 1, 2, 3, 4000, 2.5, 1, '2026-12-01', '2026-12-02', 9)
"""


@dataclass(frozen=True)
class Step:
    """What the warehouse shows of order 17 after a run."""

    versions: list[dict[str, Any]]
    current: list[tuple[Any, ...]]
    laws_broken: dict[str, Any]

    @property
    def locations(self) -> list[int]:
        """Give the delivery location of each version, oldest first."""
        return [version["agreed_delivery_location_id"] for version in self.versions]


@dataclass(frozen=True)
class Story:
    """The pipeline, what became of the order step by step, and the payment that was deleted with it."""

    rig: Rig
    steps: list[Step]
    payment_id: int

    def as_of(self, moment: dt.datetime) -> list[tuple[Any, ...]]:
        """Ask for the delivery location of order 17 at a moment."""
        query = "select agreed_delivery_location_id from fact_sales_order_as_of(%s) where sales_order_id = 17"
        return self.rig.warehouse(query, [moment])


@pytest.fixture(scope="module")
def story(shared_place: Place, postgres: Postgres) -> Iterator[Story]:
    with rigs(postgres, shared_place.url) as create:
        rig = create(small_template(postgres))
        ((payment_id,),) = rig.source(
            "select payment_id from payment inner join transaction using (transaction_id) where sales_order_id = 17"
        )
        rig.change("update sales_order set agreed_delivery_location_id = 3 where sales_order_id = 17")
        steps = []
        for changes in ((), (MOVED,), DELETED, (INSERTED_AGAIN,)):
            rig.change(*changes)
            rig.run()
            current = rig.warehouse("select sales_record_id from fact_sales_order_current where sales_order_id = 17")
            steps.append(Step(rig.versions("fact_sales_order", 17), current, rig.broken_laws()))
        yield Story(rig, steps, payment_id)


def test_a_changed_order_has_two_rows_the_old_one_closed_and_the_new_one_current(story: Story) -> None:
    before, after = story.steps[0], story.steps[1]
    old, new = after.versions

    assert before.locations == [3]
    assert after.locations == [3, 5]
    assert old["sales_order_id"] == new["sales_order_id"] == 17
    assert old["sales_record_id"] != new["sales_record_id"]
    assert (old["valid_to"], new["valid_to"]) == (new["valid_from"], None)
    assert old == before.versions[0] | {"valid_to": new["valid_from"]}
    assert after.current == [(new["sales_record_id"],)]


def test_a_version_begins_when_the_row_was_updated(story: Story) -> None:
    for version in story.steps[1].versions:
        updated = dt.datetime.combine(version["last_updated_date"], version["last_updated_time"])
        assert version["valid_from"] == updated


def test_as_of_gives_each_version_in_its_time(story: Story) -> None:
    first, moved, deleted, again = story.steps[3].versions

    assert story.as_of(first["valid_from"] - MICROSECOND) == []
    assert story.as_of(first["valid_from"]) == [(3,)]
    assert story.as_of(moved["valid_from"] - MICROSECOND) == [(3,)]
    assert story.as_of(moved["valid_from"]) == [(5,)]
    assert story.as_of(deleted["valid_from"] - MICROSECOND) == [(5,)]
    assert story.as_of(deleted["valid_from"]) == []
    assert story.as_of(again["valid_from"] - MICROSECOND) == []
    assert story.as_of(again["valid_from"]) == [(9,)]


def test_a_deleted_order_is_a_third_version_and_no_longer_current(story: Story) -> None:
    step = story.steps[2]
    _, moved, deleted = step.versions

    assert [version["is_deleted"] for version in step.versions] == [False, False, True]
    assert step.locations == [3, 5, 5]
    assert (moved["valid_to"], deleted["valid_to"]) == (deleted["valid_from"], None)
    assert step.current == []
    assert story.as_of(moved["valid_from"] - dt.timedelta(days=1)) == [(3,)]


def test_a_delete_takes_the_time_of_the_poll_that_found_it(story: Story) -> None:
    manifest = story.rig.warehouse("select captured_at at time zone 'UTC' from tidemark.batch where batch = 3")

    assert manifest == [(story.steps[2].versions[2]["valid_from"],)]


def test_the_payment_of_a_deleted_order_is_deleted_and_its_transaction_stays_for_older_facts(story: Story) -> None:
    versions = story.rig.versions("fact_payment", story.payment_id)
    transactions = story.rig.warehouse("select count(*) from dim_transaction where sales_order_id = 17")

    assert [version["is_deleted"] for version in versions] == [False, True]
    assert transactions == [(1,)]


def test_an_order_that_is_inserted_again_is_live_again(story: Story) -> None:
    step = story.steps[3]

    assert [version["is_deleted"] for version in step.versions] == [False, False, True, False]
    assert step.locations == [3, 5, 5, 9]
    assert len({version["sales_record_id"] for version in step.versions}) == 4
    assert [version["batch_id"] for version in step.versions] == [1, 2, 3, 4]
    assert step.versions[2]["valid_to"] == step.versions[3]["valid_from"]
    assert step.current == [(step.versions[3]["sales_record_id"],)]


def test_no_other_order_has_a_second_version(story: Story) -> None:
    others = "select count(*) from fact_sales_order where sales_order_id <> 17"

    assert story.rig.warehouse(others) == [(219,)]
    assert [step.laws_broken for step in story.steps] == [{}, {}, {}, {}]
