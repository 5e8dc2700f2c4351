"""The memory limit: how much memory the engines of this process use before they spill to disk.

It is a module of its own, like the armed fault: the wiring sets the limit for every part that opens an engine, without
loading an engine itself.
"""

import os
from contextlib import suppress
from pathlib import Path

DEFAULT = "216MB"
DEFAULT_BYTES = 216_000_000
# What a container may use, by cgroup 2 and 1; absent, or no number, where nobody has set that.
LIMITS_OF_CONTAINER = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class _Limit:
    text: str | None = None


def limit_memory(text: str | None) -> None:
    """Set the limit, such as `1GB`, for all engines that are opened from now on; None where nobody has set one."""
    _Limit.text = text


def memory_limit() -> str:
    """Give the limit as DuckDB takes it, such as `216MB`."""
    return _Limit.text or DEFAULT


def more_memory(taken_bytes: int) -> int | None:
    """Say how many bytes an engine may take if `taken_bytes` (0: the limit) are too few; None if it may take no more.

    What cannot be spilled, such as one long row, may need more than the default. So the default gives way, up to three
    quarters of the machine's memory. A limit that somebody has set is kept, whatever it is.
    """
    if _Limit.text is not None:
        return None
    more_bytes = min(2 * (taken_bytes or DEFAULT_BYTES), _memory_of_machine() * 3 // 4)
    return more_bytes if more_bytes > max(taken_bytes, DEFAULT_BYTES) else None


def _memory_of_machine() -> int:
    least_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in LIMITS_OF_CONTAINER:
        with suppress(OSError, ValueError):
            least_bytes = min(least_bytes, int(limit.read_text("ascii")))
    return least_bytes
