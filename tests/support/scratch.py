"""Where the tests' many small files lie: in memory, if the machine has room there.

The tests make some hundred thousand files that nobody keeps. On a disk the kernel needs more time for them than the
code under test needs for everything else.
"""

import os
import shutil
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108 -- files in it get names that nobody can foresee, as in /tmp
GIBIBYTE = 1 << 30


def folder_in_memory(room_bytes: int, *, executes: bool = False) -> str | None:
    """Give a folder whose files lie in memory; None if there is none, or none with so much room.

    Args:
        room_bytes: how much must be free.
        executes: whether code is to run out of it.
    """
    if not IN_MEMORY.is_dir() or not os.access(IN_MEMORY, os.W_OK):
        return None
    is_closed = executes and bool(os.statvfs(IN_MEMORY).f_flag & os.ST_NOEXEC)
    return None if is_closed or shutil.disk_usage(IN_MEMORY).free < room_bytes else str(IN_MEMORY)
