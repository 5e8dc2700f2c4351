"""Directories of this machine: where they lie, who may read them, and how a new one is made.

A directory that Tidemark makes is its owner's alone, and so is everything in it, whatever the modes of the files are: a
process that uses Tidemark as a library has an umask of its own. A directory that somebody else made stays as it is.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

OWNERS = 0o700
# The bit for the group's id says that what is made in a directory belongs to the directory's group.
SHARED = 0o2750
GROUP_READS = 0o2050


def local_places(directory: Path) -> list[str]:
    """Give a directory's path as named, and its path with all links followed if that is another one."""
    return [str(path) for path in dict.fromkeys([directory, directory.resolve()])]


def folders_in(above: Path) -> list[Path]:
    """Give the directories in a directory, and the links to some; none where it cannot be read."""
    with suppress(OSError), os.scandir(above) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]
    return []


def is_shared(directory: Path) -> bool:
    """Say whether somebody shares with a group what is made in a directory: `chmod 2750` does."""
    with suppress(OSError):
        return directory.stat().st_mode & GROUP_READS == GROUP_READS
    return False


def is_open(path: Path) -> bool:
    """Say whether every user of this machine can read a file, or anything directly in a directory."""
    try:
        found = path.resolve()
        read, passed = (list(found.iterdir()), [found, *found.parents]) if found.is_dir() else ([found], found.parents)
        return all(_others(each, stat.S_IXOTH) for each in passed) and any(_others(each, stat.S_IROTH) for each in read)
    except OSError:
        return False


def _others(path: Path, right: int) -> bool:
    return bool(path.stat().st_mode & right)


def make_directory(path: Path, root: Path | None = None) -> None:
    """Make a directory and what is missing above it, durably and each for its owner alone.

    If `root` is shared with a group, those below it are shared with the same group.
    """
    if path.is_dir():
        return
    make_directory(path.parent, root)
    try:
        path.mkdir(mode=OWNERS)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    if root in path.parents and root is not None and is_shared(root):
        path.chmod(SHARED)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a new name durable: on POSIX, a file's fsync does not reach the directory that names the file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
