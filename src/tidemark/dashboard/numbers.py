"""How values are written for people, and the round numbers of an axis."""

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

# From here on a number is written with a letter for its thousands.
_LETTERS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_SMALLEST_SPAN = 1e-9
_STEPS = (1, 2, 2.5, 5, 10)


def as_number(value: object) -> float | None:
    """Read a value as a number that can be drawn; None for none, and for what is no number or has no end."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return None
    return found if math.isfinite(found) else None


def shown(value: object) -> str:
    """Write a value in full: `1,234.50`, `2024-11-30 12:00:00`, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal | float):
        return f"{value:,}" if as_number(value) is not None else str(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}" if value.year >= _FIRST_OF_FOUR_DIGITS else str(value)
    return str(value)


_FIRST_OF_FOUR_DIGITS = 1000


def plain(value: object) -> str:
    """Write a value in full, a number with its digits alone: it may be a key."""
    is_number = isinstance(value, int | Decimal | float) and not isinstance(value, bool)
    return str(value) if is_number else shown(value)


def short(value: object) -> str:
    """Write a number in few letters: `1.2M`; anything else as `shown` does."""
    number = as_number(value)
    if number is None:
        return shown(value)
    for size, letter in _LETTERS:
        if abs(number) >= size:
            # Three digits, but never with an exponent.
            return f"{number / size:.3g}{letter}" if abs(number) < 99.95 * size else f"{number / size:,.0f}{letter}"
    return f"{number:.3g}" if abs(number) < 1 else f"{number:,.4g}"


def label(value: object) -> str:
    """Write a value of a time axis: a first of a month as `Nov 2024`, a day as it is."""
    if isinstance(value, datetime):
        return f"{value:%d %b %H:%M}"
    if isinstance(value, date):
        return f"{value:%b %Y}" if value.day == 1 else f"{value:%d %b %Y}"
    return shown(value) if not isinstance(value, int) else str(value)


def ticks(highest: float, most: int = 5, lowest: float = 0) -> list[float]:
    """Give round numbers from below the lowest to above the highest, zero among them, at most `most` steps."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    span = highest - lowest
    if span < _SMALLEST_SPAN:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next((each * power for each in _STEPS if span / (each * power) <= most), 10 * power)
    first, last = math.floor(lowest / step), math.ceil(highest / step)
    return [round(number * step, 12) for number in range(first, last + 1)]


def some(labels: Sequence[str], most: int) -> list[int]:
    """Choose which of many labels an axis shows: evenly, the first among them."""
    every = max(1, math.ceil(len(labels) / most))
    return list(range(0, len(labels), every))
