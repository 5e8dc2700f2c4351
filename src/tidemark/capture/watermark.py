"""The watermark: where the next poll's cursor starts.

Every transaction that a snapshot cannot see began at or after the floor, so rows below the floor are complete. The
highest `last_updated` guards against sources whose rows carry old times. The lag guards against stamps that were made
before their transaction began.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MICROSECONDS = 6
DST_MARGIN = timedelta(hours=1)


@dataclass(frozen=True)
class Floor:
    """The oldest moment at which a transaction that the snapshot cannot see may have begun.

    `at` is None when it is unknown; `reason` then says why. `stays` says that a prepared transaction exists: nobody
    records when such a transaction began, so the floor cannot move. `holder_pid` is the process id of the session that
    has held the floor back since `at`.
    """

    at: datetime | None
    reason: str = ""
    stays: bool = False
    holder_pid: int | None = None


@dataclass(frozen=True)
class Span:
    """A range of times of one column: from `first`, included, to `end`, excluded; naive if `type` is timestamp."""

    column: str
    type: str
    first: datetime
    end: datetime


def span_of(column: str, type_name: str, first: datetime, end: datetime, zone: ZoneInfo) -> Span:
    """Give the span of a column of the source between two moments.

    If the column holds no zone and `zone` has daylight saving, the span is an hour longer on both sides.
    """
    if "with time zone" in type_name:
        return Span(column, "timestamptz", first, end)
    return Span(column, "timestamp", cursor_start(first, zone), _cursor_end(end, zone))


def next_watermark(
    floor: Floor,
    highest: datetime | None,
    previous: datetime | None,
    *,
    lag: timedelta,
    precision: int = MICROSECONDS,
) -> datetime | None:
    """Give the watermark that the next poll starts from.

    Args:
        floor: see `Floor`.
        highest: the highest `last_updated` seen so far in any table, UTC; None when there is none.
        previous: the watermark that this poll started from.
        lag: the safety margin, zero or more.
        precision: the decimals of a second that the coarsest cursor column keeps, 0 to 6.

    Returns:
        The watermark in UTC, rounded down to `precision`; None when nothing is known yet (the sweep then finds
        everything).
    """
    if floor.stays:
        return previous
    bounds = [bound for bound in (floor.at, highest) if bound is not None]
    if floor.at is None and highest is None:
        return None
    return round_down(min(bounds) - lag, precision)


def round_down(moment: datetime, precision: int) -> datetime:
    """Cut a moment to `precision` decimals of a second."""
    unit = 10 ** (MICROSECONDS - precision)
    return moment.replace(microsecond=moment.microsecond // unit * unit)


def precision_of(types: Iterable[str]) -> int:
    """Give the decimals of a second that the coarsest of the columns' types keeps: `timestamp(3)` keeps 3."""
    found = MICROSECONDS
    for type_name in types:
        _, opened, rest = type_name.partition("(")
        if opened:
            found = min(found, int(rest.partition(")")[0]))
        elif type_name == "date":
            found = 0
    return found


def cursor_start(watermark: datetime, zone: ZoneInfo) -> datetime:
    """Give the naive local time from which the cursor reads a column that holds no zone.

    If the zone has daylight saving, one hour of local time comes twice, so the cursor starts an hour earlier.
    """
    local = watermark.astimezone(zone).replace(tzinfo=None)
    return local - DST_MARGIN if has_daylight_saving(zone, watermark) else local


def _cursor_end(moment: datetime, zone: ZoneInfo) -> datetime:
    local = moment.astimezone(zone).replace(tzinfo=None)
    return local + DST_MARGIN if has_daylight_saving(zone, moment) else local


def has_daylight_saving(zone: ZoneInfo, around: datetime) -> bool:
    """Say whether the zone's offset changes within the year around a moment."""
    offsets = {(around + timedelta(days=days)).astimezone(zone).utcoffset() for days in range(-180, 181, 15)}
    return len(offsets) > 1


def to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """Read a naive time as local time of the zone; in an hour that comes twice, it means the first."""
    return local.replace(tzinfo=zone).astimezone(UTC)
