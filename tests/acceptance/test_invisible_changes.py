"""Changes that a poll on `last_updated` alone never sees."""

import pytest

from tests.acceptance.conftest import NewSource

STAMPED = """
create table item (
    item_id integer primary key,
    name text,
    price numeric,
    last_updated timestamp(3) default clock_timestamp()
);
insert into item (item_id, name, price) select n, 'item ' || n, n from generate_series(1, 50) as n
"""
STAMPED_MODEL = """
[source.item]
key = ["item_id"]
updated = "last_updated"
"""
# But for one row, with which the watermark lies far above all the others.
STAMPED_LONG_AGO = STAMPED.replace("clock_timestamp()", "'2020-01-01'") + (
    "; insert into item values (100, 'now', 1, clock_timestamp())"
)
PLAIN = """
create table plain (plain_id integer primary key, name text);
insert into plain select n, 'plain ' || n from generate_series(1, 50) as n
"""
PLAIN_MODEL = """
[source.plain]
key = ["plain_id"]
"""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("insert into item values (101, 'old', 1, now() - interval '2 years')", [("insert", 101)]),
        ("insert into item values (101, 'never', 1, null)", [("insert", 101)]),
        ("insert into item values (101, 'far', 1, now() + interval '2 years')", [("insert", 101)]),
        ("insert into item values (101, 'end', 1, 'infinity')", [("insert", 101)]),
        ("insert into item values (101, 'start', 1, '-infinity')", [("insert", 101)]),
        ("insert into item values (101, 'Caesar', 1, '0044-03-15 BC')", [("insert", 101)]),
        ("update item set name = 'other' where item_id = 7", [("update", 7)]),
        ("update item set last_updated = null where item_id = 7", [("update", 7)]),
        ("update item set name = null where item_id = 7", [("update", 7)]),
        ("update item set last_updated = '2001-01-01' where item_id = 7", [("update", 7)]),
        ("update item set item_id = 77 where item_id = 7", [("delete", 7), ("insert", 77)]),
        # Two rows swap their keys; a unique index is checked row by row, so by way of a third.
        (
            """update item set item_id = -item_id where item_id in (28, 30);
            update item set item_id = 58 + item_id where item_id < 0""",
            [("update", 28), ("update", 30)],
        ),
        (
            "update item set name = case item_id when 28 then 'item 30' else 'item 28' end where item_id in (28, 30)",
            [("update", 28), ("update", 30)],
        ),
        (
            "update item set price = 58 - price where item_id in (28, 30)",
            [("update", 28), ("update", 30)],
        ),
        ("update item set price = -price where item_id = 7", [("update", 7)]),
        ("delete from item where item_id = 7", [("delete", 7)]),
        ("update item set name = name, price = price + 0", []),
        ("delete from item where item_id = 7; insert into item values (7, 'again', 0, now())", [("update", 7)]),
        ("insert into item values (101, 'brief', 1); delete from item where item_id = 101", []),
        ("update item set price = 7.0 where item_id = 7", [("update", 7)]),
        ("update item set price = 'NaN' where item_id = 7", [("update", 7)]),
    ],
)
def test_a_change_that_the_cursor_does_not_see_is_found_at_once(
    new_source: NewSource, change: str, expected: list[tuple[str, int]]
) -> None:
    source = new_source(STAMPED_LONG_AGO, STAMPED_MODEL)

    source.execute(change)
    manifest = source.ingest()

    assert (manifest is not None) == bool(expected)
    if manifest:
        assert [(line["_op"], line["item_id"]) for line in source.changes(2, "item")] == expected
    assert source.latest("item") == source.source("item")
    assert source.ingest() is None


def test_an_update_and_a_delete_between_two_polls_are_a_delete_of_the_last_known_row(new_source: NewSource) -> None:
    source = new_source(STAMPED, STAMPED_MODEL)
    known = source.changes(1, "item")[6]

    source.execute("update item set name = 'seen by nobody', last_updated = now() where item_id = 7")
    source.execute("delete from item where item_id = 7")
    source.ingest()

    assert source.changes(2, "item") == [{**known, "_op": "delete", "_before": known}]
    assert source.latest("item") == source.source("item")


def test_a_table_without_a_column_of_time_is_compared_whole(new_source: NewSource) -> None:
    source = new_source(PLAIN, PLAIN_MODEL)

    source.execute(
        "insert into plain values (101, 'new')",
        "update plain set name = 'changed' where plain_id = 3",
        "delete from plain where plain_id = 4",
    )
    manifest = source.ingest()

    assert manifest is not None
    assert manifest.watermark is None or manifest.highest is None
    assert [(line["_op"], line["plain_id"]) for line in source.changes(2, "plain")] == [
        ("update", 3),
        ("delete", 4),
        ("insert", 101),
    ]
    assert source.latest("plain") == source.source("plain")


def test_a_table_that_is_emptied_and_filled_again_is_right_each_time(new_source: NewSource) -> None:
    source = new_source(STAMPED, STAMPED_MODEL)

    source.execute("delete from item")
    emptied = source.counts("item")
    source.execute("insert into item values (7, 'first', 1)")
    filled = source.counts("item")

    assert (emptied, filled) == ((0, 0, 50), (1, 0, 0))
    assert source.latest("item") == source.source("item")


KEYS_ONLY = STAMPED_MODEL + 'sweep = "keys"\n'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete from item where item_id = 7", (0, 0, 1)),
        ("insert into item values (101, 'old', 1, '2001-01-01')", (1, 0, 0)),
        ("update item set name = 'other', last_updated = '2001-01-01' where item_id = 7", (0, 1, 0)),
        ("update item set name = 'other', last_updated = null where item_id = 7", (0, 1, 0)),
        ("update item set item_id = 77 where item_id = 7", (1, 0, 1)),
        ("update item set name = 'other' where item_id = 7", (0, 0, 0)),
    ],
)
def test_a_sweep_of_keys_finds_all_but_updates_that_leave_the_stamp_alone(
    new_source: NewSource, change: str, expected: tuple[int, int, int]
) -> None:
    source = new_source(STAMPED_LONG_AGO, KEYS_ONLY)

    source.execute(change)

    assert source.counts("item") == expected
    assert (source.latest("item") == source.source("item")) == (expected != (0, 0, 0))


def test_a_row_that_a_sweep_of_keys_has_missed_is_right_once_it_is_stamped(new_source: NewSource) -> None:
    source = new_source(STAMPED, KEYS_ONLY)
    source.execute("update item set name = 'first' where item_id = 7")
    source.ingest()
    # The next poll knows again the rows that this one's cursor reads.
    source.ingest()

    source.execute("update item set price = 0, last_updated = clock_timestamp() where item_id = 7")

    assert source.counts("item") == (0, 1, 0)
    assert source.latest("item") == source.source("item")


def test_a_change_of_every_row_without_a_stamp_is_found(new_source: NewSource) -> None:
    source = new_source(
        STAMPED + "; insert into item select n, 'x', n from generate_series(51, 20000) as n", STAMPED_MODEL
    )

    source.execute("update item set price = price + 0.5")

    assert source.counts("item") == (0, 20_000, 0)
    assert source.latest("item") == source.source("item")
    assert source.ingest() is None
