"""Objects of the log that are not what their manifests say, and what is said of each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from tidemark.lake.engine import Engine, open_engine
from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry
from tidemark.objects import open_objects
from tidemark.verification.records import object_laws
from tidemark.verification.result import Difference

NOON = datetime(2024, 11, 11, 12, tzinfo=UTC)
BODY = b'{"item_id":1}\n'
WRITTEN = LogObject("baseline/item/1.jsonl", 1, len(BODY), sha256(BODY).hexdigest())
MANIFEST = Manifest(
    1, "run", "pipeline", {}, "1:1:", NOON, None, {"item": TableEntry((), 1, 1, "0", objects=(WRITTEN,))}
)
KEY = {"batch": "1", "object": WRITTEN.key}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine([]) as engine:
        yield engine


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (BODY, []),
        (None, [Difference("missing", KEY)]),
        (
            BODY.replace(b"1", b"2"),
            [Difference("record", KEY, {"sha256": (WRITTEN.sha256, sha256(BODY.replace(b"1", b"2")).hexdigest())})],
        ),
        (
            BODY * 2,
            [
                Difference(
                    "record",
                    KEY,
                    {
                        "bytes": (str(len(BODY)), str(2 * len(BODY))),
                        "sha256": (WRITTEN.sha256, sha256(BODY * 2).hexdigest()),
                    },
                )
            ],
        ),
    ],
    ids=["as it was written", "gone", "altered", "longer"],
)
def test_an_object_must_hold_the_bytes_that_its_manifest_says(
    tmp_path: Path, engine: Engine, body: bytes | None, expected: list[Difference]
) -> None:
    log = ChangeLog(open_objects(str(tmp_path)))
    if body is not None:
        log.objects.put_new(WRITTEN.key, body)

    assert list(object_laws(log, engine, {1: MANIFEST})) == expected
