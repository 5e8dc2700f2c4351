from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.capture.watermark import (
    Floor,
    cursor_start,
    has_daylight_saving,
    next_watermark,
    precision_of,
    round_down,
    to_utc,
)

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- naive bounds
LAGS = st.timedeltas(timedelta(0), timedelta(hours=1))
PRECISIONS = st.integers(0, 6)
ZONES = st.sampled_from(["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]).map(
    ZoneInfo
)
BEFORE = datetime(2024, 1, 1, tzinfo=UTC)


@given(floor=MOMENTS, highest=MOMENTS, previous=MOMENTS, lag=LAGS, precision=PRECISIONS)
def test_the_watermark_lies_at_or_below_floor_and_highest_less_the_lag(
    floor: datetime, highest: datetime, previous: datetime, lag: timedelta, precision: int
) -> None:
    found = next_watermark(Floor(floor), highest, previous, lag=lag, precision=precision)

    assert found is not None
    assert found <= min(floor, highest) - lag
    assert min(floor, highest) - lag - found < timedelta(seconds=1)


@given(highest=MOMENTS, lag=LAGS)
def test_with_an_unknown_floor_the_watermark_is_the_highest_less_the_lag(highest: datetime, lag: timedelta) -> None:
    assert next_watermark(Floor(None, "unknown"), highest, BEFORE, lag=lag) == highest - lag


@given(floor=MOMENTS, lag=LAGS)
def test_without_any_stamp_the_watermark_is_the_floor_less_the_lag(floor: datetime, lag: timedelta) -> None:
    assert next_watermark(Floor(floor), None, BEFORE, lag=lag) == floor - lag


def test_without_floor_and_stamp_there_is_no_watermark() -> None:
    assert next_watermark(Floor(None), None, BEFORE, lag=timedelta(0)) is None


@given(floor=MOMENTS, highest=MOMENTS | st.none(), previous=MOMENTS | st.none(), lag=LAGS)
def test_a_prepared_transaction_keeps_the_watermark_where_it_is(
    floor: datetime, highest: datetime | None, previous: datetime | None, lag: timedelta
) -> None:
    assert next_watermark(Floor(floor, stays=True), highest, previous, lag=lag) == previous


@given(moment=MOMENTS, precision=PRECISIONS)
def test_rounding_down_keeps_so_many_decimals_and_takes_away_the_rest(moment: datetime, precision: int) -> None:
    unit = timedelta(microseconds=10 ** (6 - precision))

    found = round_down(moment, precision)

    assert timedelta(0) <= moment - found < unit
    assert (found - datetime(2000, 1, 1, tzinfo=UTC)) % unit == timedelta(0)
    assert round_down(found, precision) == found


@pytest.mark.parametrize(
    ("types", "precision"),
    [
        ([], 6),
        (["timestamp without time zone"], 6),
        (["timestamp(3) without time zone"], 3),
        (["timestamp(0) with time zone", "timestamp(3) without time zone"], 0),
        (["timestamp with time zone", "timestamp(4) without time zone"], 4),
        (["timestamp(3) without time zone", "date"], 0),
    ],
)
def test_the_coarsest_column_sets_the_precision(types: list[str], precision: int) -> None:
    assert precision_of(types) == precision


@given(watermark=MOMENTS, later=st.timedeltas(timedelta(0), timedelta(days=400)), zone=ZONES)
def test_the_cursor_starts_at_or_before_every_local_time_since_the_watermark(
    watermark: datetime, later: timedelta, zone: ZoneInfo
) -> None:
    start = cursor_start(watermark, zone)

    assert start.tzinfo is None
    assert start <= (watermark + later).astimezone(zone).replace(tzinfo=None)


@given(watermark=MOMENTS)
def test_in_utc_the_cursor_starts_at_the_watermark(watermark: datetime) -> None:
    assert cursor_start(watermark, ZoneInfo("UTC")) == watermark.replace(tzinfo=None)


@pytest.mark.parametrize(("zone", "expected"), [("UTC", False), ("Asia/Kolkata", False), ("Europe/London", True)])
def test_a_zone_has_daylight_saving_if_its_offset_changes_within_the_year(zone: str, *, expected: bool) -> None:
    found = {has_daylight_saving(ZoneInfo(zone), BEFORE + timedelta(days=days)) for days in range(0, 365, 30)}

    assert found == {expected}


@given(moment=MOMENTS, zone=ZONES)
def test_a_local_time_is_read_as_the_moment_it_was_or_the_first_of_two(moment: datetime, zone: ZoneInfo) -> None:
    local = moment.astimezone(zone)

    found = to_utc(local.replace(tzinfo=None, fold=0), zone)

    assert found == moment or (local.fold and found < moment)
    assert found.tzinfo == UTC
