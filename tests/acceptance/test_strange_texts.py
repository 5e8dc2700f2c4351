"""Text arrives as it is, whatever is in it and however long it is."""

import psycopg

from tests.acceptance.conftest import NewShop, NewSource
from tests.support.drift import LATER, current, expected, shop

MEBIBYTE = 1 << 20
TEXTS = (
    "🚢 grüße 👩🏽‍🚀 ﷽",
    "\u202eשלום עולם مرحبا\u202c",  # noqa: RUF001 -- Hebrew
    r"C:\new\table \\server \' \" \x41",
    """it's "quoted", 'twice' ''and'' ""again"" """,
    "one\ntwo\r\nthree\tfour\rfive ",
    r"\u0000 \0 %00 \N",
    "null",
    "",
    # After an update it is in one line twice, and the line is longer than a reader of JSON expects.
    "long " * (9 * MEBIBYTE // 5),
)


def test_strange_texts_arrive_untouched(new_shop: NewShop) -> None:
    rig = new_shop(shop(note="note", types={"note": "text"}))
    rig.change("alter table purchase alter column note type text")
    rig.run()
    first = 100
    with psycopg.connect(rig.source_url) as source:
        for number, text in enumerate(TEXTS, start=first):
            source.execute("insert into purchase values (%s, 1, 1, 1, false, null, %s)", (number, text))
    rig.run()
    assert current(rig, "note") == expected(rig, "note")
    assert [text for number, text in current(rig, "note") if number >= first] == [*TEXTS]

    # A line that holds a long text twice, as it is and as it was.
    rig.change(f"update purchase set note = note || '.', {LATER} where purchase_id >= {first}")
    rig.run()
    assert current(rig, "note") == expected(rig, "note")
    assert rig.ledger() == [1, 2, 3]


def test_the_first_bytes_of_what_is_read_are_a_text_like_any_other(new_source: NewSource) -> None:
    # U+FEFF is three bytes in UTF-8, which readers of files take for a mark. Rows are read in the order of their keys.
    source = new_source(
        "create table one (code text primary key, n integer);"
        " insert into one values (U&'\\FEFFabc', 1);"
        "create table stamped (code text primary key, note text, last_updated timestamp);"
        " insert into stamped values (U&'\\FEFFabc', U&'\\FEFF', '2020-01-01')",
        '[source.one]\nkey = ["code"]\n[source.stamped]\nkey = ["code"]\nupdated = "last_updated"',
    )
    assert source.latest("one") == [{"code": "\ufeffabc", "n": "1"}]
    # The sweep of keys, the cursor, and the full comparison after a column has changed its type.
    for statement in (
        "update one set n = 2; update stamped set note = note || 'x'",
        "update stamped set last_updated = now(), note = U&'\\FEFFy'; update one set n = 3",
        "alter table one alter n type text; alter table stamped alter note type varchar(9); update one set n = code",
    ):
        source.execute(statement)
        assert source.ingest() is not None
        for table in ("one", "stamped"):
            assert source.latest(table) == source.source(table)
    assert source.ingest() is None
