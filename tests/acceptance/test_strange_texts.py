"""Text arrives as it is, whatever is in it and however long it is."""

import psycopg

from tests.acceptance.conftest import NewShop
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
    "long " * (4 * MEBIBYTE // 5),
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
