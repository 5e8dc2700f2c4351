"""A row that was set aside takes its place in the history once it is mended, whatever was killed or came in between."""

import json

import pytest

from tests.support.quarantine import BAD, SOON, Story
from tidemark.errors import ConfigError
from tidemark.replay import Replayed


def test_a_transform_that_is_killed_before_its_manifest_does_the_same_again(story: Story) -> None:
    assert story.is_same_again


def test_a_rebuild_fills_and_empties_quarantine_alike(story: Story) -> None:
    assert story.rebuilt_differences == 0


def test_a_replay_that_a_poll_overtakes_harms_nothing(story: Story) -> None:
    assert story.overtaken is not None
    assert story.rig.manifests()[4].replay == {}
    assert story.steps[4].orders[19][-1]["units_sold"] == 5


def test_a_replay_takes_up_what_the_mended_model_can_take(story: Story) -> None:
    last = story.steps[4]
    unpaid, foreign = last.orders[4], last.orders[16]

    assert [(each["agreed_payment_date"] is None, each["batch_id"]) for each in unpaid] == [
        (False, 1),
        (True, 6),
        (False, 3),
    ]
    assert [(each["currency_id"] == 99, each["batch_id"]) for each in foreign] == [(False, 1), (True, 6)]
    assert last.reasons("dim_currency") == {}
    # The others are as wrong as before.
    still = {key for key, _ in last.reasons("fact_sales_order")}
    assert still == BAD.keys() - {4, 13, 16, 18} | {SOON[0]}


def test_a_replay_says_what_it_names_and_names_nothing_twice(story: Story) -> None:
    named = len(story.steps[3].aside)

    assert story.replayed == Replayed(6, {"dim_currency": 1, "fact_sales_order": named - 1})
    assert story.named_again == Replayed(None, {}, (6,))


def test_a_replay_of_what_is_not_there_says_so(story: Story) -> None:
    with pytest.raises(ConfigError, match="no rows with the surrogate keys"):
        story.replay().run("fact_sales_order", (999_999,))
    with pytest.raises(ConfigError, match="no star table"):
        story.replay().run("fact_nothing")
    with pytest.raises(ConfigError, match="not the fact"):
        story.replay().run(None, (1,))


def test_surrogate_keys_are_those_of_the_log(story: Story) -> None:
    keys = [line["sales_order_id"] for line in story.rig.lines("sales_order")]
    last = story.steps[-1]
    loaded = {each["sales_record_id"]: key for key, versions in last.orders.items() for each in versions}
    aside = {
        row.ordinal: json.loads(row.key)["sales_order_id"] for row in last.aside if row.table == "fact_sales_order"
    }

    assert dict(enumerate(keys, start=1)) == loaded | aside
    assert not loaded.keys() & aside.keys()


def test_histories_have_neither_gap_nor_overlap_and_the_laws_hold(story: Story) -> None:
    assert [step.laws for step in story.steps] == [{}] * 5
    for versions in story.steps[-1].orders.values():
        assert [each["valid_to"] for each in versions] == [*(each["valid_from"] for each in versions[1:]), None]
        numbers = [each["sales_record_id"] for each in versions]
        assert numbers == sorted(numbers)
