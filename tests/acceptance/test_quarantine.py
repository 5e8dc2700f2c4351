"""A row that the star cannot take is set aside with its reason, and every other row flows."""

import json

from tests.support.quarantine import BAD, NAMELESS, SOON, UNNAMED, Story


def test_each_bad_value_is_set_aside_with_its_reason(story: Story) -> None:
    found = story.steps[1].reasons("fact_sales_order")

    assert found == {(key, 2): reason for key, (_, reason) in BAD.items()} | {(SOON[0], 1): SOON[1]}


def test_only_what_refers_to_a_missing_row_waits(story: Story) -> None:
    assert {json.loads(row.key)["sales_order_id"] for row in story.steps[1].aside if row.waits} == {13, 16, 18}


def test_a_bad_value_in_the_first_batch_leaves_its_row_out_and_no_other(story: Story) -> None:
    first = story.steps[0]

    assert first.reasons("fact_sales_order") == {(SOON[0], 1): SOON[1]}
    assert sorted(first.orders) == list(range(1, 22))


def test_a_dimension_sets_aside_what_it_has_no_name_for(story: Story) -> None:
    assert story.steps[1].reasons("dim_currency") == {(99, 2): UNNAMED}
    assert story.steps[1].reasons("dim_staff") == {(98, 2): NAMELESS}


def test_every_other_row_of_the_batch_flows(story: Story) -> None:
    orders = story.steps[1].orders

    assert [[each["units_sold"] for each in orders[key]][1:] for key in (19, 20, 21)] == [[777]] * 3
    assert {key: len(orders[key]) for key in BAD} == dict.fromkeys(BAD, 1)
    assert [orders[key][0]["valid_to"] for key in BAD] == [None] * len(BAD)


def test_log_and_latest_hold_any_value(story: Story) -> None:
    names = ("created_at", "last_updated", "unit_price", "agreed_delivery_date", "agreed_payment_date")
    second = story.steps[1]
    logged = {line["sales_order_id"]: line for line in list(story.rig.lines("sales_order"))[22 : 22 + len(BAD) + 3]}

    assert {key: tuple(second.latest[key][name] for name in names) for key in second.source} == second.source
    assert {key: tuple(logged[key][name] for name in names) for key in BAD} == {key: second.source[key] for key in BAD}


def test_the_processed_manifest_counts_what_lies_in_quarantine(story: Story) -> None:
    for step in story.steps:
        counted: dict[str, int] = {}
        for row in step.aside:
            counted[row.table] = counted.get(row.table, 0) + 1
        assert counted == step.counts


def test_a_corrected_row_flows_as_a_new_version(story: Story) -> None:
    third = story.steps[2]
    corrected = BAD.keys() - {13, 16, 18}

    assert {key: len(third.orders[key]) for key in corrected} == dict.fromkeys(corrected, 2)
    assert {str(third.orders[key][-1]["unit_price"]) for key in corrected} == {"2.50"}
    # What was wrong stays where it lies.
    assert corrected <= {key for key, _ in third.reasons("fact_sales_order")}


def test_a_dimensions_row_that_is_wrong_again_lies_there_once(story: Story) -> None:
    rows = [row for row in story.steps[2].aside if row.table == "dim_staff"]

    assert [(row.batch, row.reason, row.values["last_name"]) for row in rows] == [(3, NAMELESS, "Roe")]
    assert story.steps[2].reasons("dim_currency") == {(99, 2): UNNAMED}


def test_rows_come_back_with_the_row_that_they_wait_for(story: Story) -> None:
    fourth = story.steps[3]

    for key, staff in ((13, 404), (18, 98)):
        versions = fourth.orders[key]
        assert [(each["units_sold"], each["sales_staff_id"], each["batch_id"]) for each in versions[1:]] == [
            (12345, staff, 4),
            (13, staff, 4),
        ]
        assert [each["valid_to"] for each in versions] == [*(each["valid_from"] for each in versions[1:]), None]
        assert not {(key, 2), (key, 3)} & fourth.reasons("fact_sales_order").keys()
    assert fourth.reasons("dim_staff") == {}
