"""What a poll says before it reads."""

from datetime import UTC, datetime, timedelta

import pytest

from tidemark.capture.watermark import Floor
from tidemark.ingest import _warn_of_floor

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TWO_HOURS_AGO = NOW - timedelta(hours=2)


@pytest.mark.parametrize(
    ("floor", "said"),
    [
        (
            Floor(TWO_HOURS_AGO, holder_pid=4711),
            ["held back since 2026-11-29T10:00:00+00:00 by the session with pid 4711"],
        ),
        (Floor(TWO_HOURS_AGO), ["no session holds it back: the source's clock is behind that of this machine"]),
        (Floor(NOW), []),
    ],
)
def test_a_floor_that_lies_back_is_explained(floor: Floor, said: list[str], caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_floor(floor, NOW)

    assert all(words in message for words, message in zip(said, caplog.messages, strict=True))
