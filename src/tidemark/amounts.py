"""Amounts as a person reads them, in a terminal and on a page: sizes, and how long something took or is ago."""

from datetime import timedelta

_KIB = 1024


def shown_bytes(size_bytes: int) -> str:
    """Write a size: 3145728 is `3.0 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    return f"{size:.1f} TiB"


def shown_age(age: timedelta) -> str:
    """Write how long ago something was, in its two largest units: `2 h 5 min`."""
    seconds = max(0, int(age.total_seconds()))
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
