"""Scratch folders: each belongs to one process and is removed with it, or by a later command if the process was killed.

A lock says whose a folder is: the kernel drops it with the process, whatever ended that. A pid would not do, because
pids are given out again, and another container that shares the temporary directory has others. The lock is part of the
file that marks a folder as ours. This file gets its name only once it is locked, so a folder that is just being made is
never taken for one that nobody owns.
"""

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tidemark.settings import temporary_directory

logger = logging.getLogger(__name__)
PREFIX = "tidemark-"
MEGABYTE = 1_000_000
MARK, UNFINISHED_MARK = ".tidemark-lock", ".tidemark-lock-new"
# On these a lock is seen by every process that sees the file. A network file system may keep it from other machines.
LOCAL_FILE_SYSTEMS = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
MOUNTS = Path("/proc/self/mountinfo")
OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Leftovers:
    """What killed processes left in `place`: how many folders were removed, and the bytes that lay in them.

    `unsure` names folders that a process on another machine may be using, which nothing here can tell.
    """

    place: Path
    removed: int = 0
    size_bytes: int = 0
    unsure: tuple[str, ...] = ()


@contextmanager
def scratch_folder(purpose: str, within: Path | None = None) -> Iterator[Path]:
    """Make a folder that is removed when the block ends; its name says the purpose.

    It lies in the temporary directory, or `within` another folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=within))
    lock = _marked(folder)
    try:
        yield folder
    finally:
        # The mark goes last: if this is interrupted, a later command removes the rest.
        with suppress(OSError):
            _remove(folder)
        if lock is not None:
            os.close(lock)


def remove_leftovers(place: Path | None = None, *, is_local: bool | None = None) -> Leftovers:
    """Remove the scratch folders of this user that no living process owns.

    Args:
        place: where to look; the temporary directory if it is not given, even if it is full.
        is_local: whether the locks there are those of every machine; if it is not given, the file system decides.
    """
    place = place or (Path(tempfile.tempdir) if tempfile.tempdir else temporary_directory())
    if place is None:
        return Leftovers(Path())
    is_local = _is_local(place) if is_local is None else is_local
    removed = size_bytes = 0
    unsure = []
    with suppress(OSError):
        for folder in sorted(place.glob(f"{PREFIX}*")):
            if not is_local:
                unsure += [folder.name] if _is_ours(folder) else []
                continue
            found = _removed_if_left(folder)
            if found is not None:
                removed, size_bytes = removed + 1, size_bytes + found
    if removed:
        shown = (removed, place, size_bytes / MEGABYTE)
        logger.info("removed %d scratch folders that killed commands left in %s: %.1f MB", *shown)
    return Leftovers(place, removed, size_bytes, tuple(unsure))


def _marked(folder: Path) -> int | None:
    """Lock a new folder, and give the descriptor that holds the lock; None where files cannot be locked."""
    unfinished = folder / UNFINISHED_MARK
    lock = None
    try:
        lock = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unfinished.rename(folder / MARK)
    except OSError as exc:
        # Without a mark, nobody but this process removes the folder.
        logger.debug("%s cannot be locked: %s", folder, exc)
        if lock is not None:
            os.close(lock)
        return None
    return lock


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """Open a folder that is ours by owner, rights and kind; None if it is not. A symbolic link is never followed."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(opened)
        yield opened if status.st_uid == os.geteuid() and not status.st_mode & OTHERS_MAY else None
    finally:
        os.close(opened)


@contextmanager
def _mark_of(opened: int | None) -> Iterator[int | None]:
    """Open the mark of a folder; None if there is none that is ours."""
    try:
        mark = None if opened is None else os.open(MARK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened)
    except OSError:
        mark = None
    if mark is None:
        yield None
        return
    try:
        status = os.fstat(mark)
        yield mark if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() else None
    finally:
        os.close(mark)


def _is_ours(folder: Path) -> bool:
    with _opened(folder) as opened, _mark_of(opened) as mark:
        return mark is not None


def _removed_if_left(folder: Path) -> int | None:
    """Remove a folder of ours that nobody has locked, and give the bytes that lay in it; None if it stays."""
    with _opened(folder) as opened, _mark_of(opened) as mark:
        if opened is None or mark is None:
            return None
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        try:
            size_bytes = _size_bytes(opened)
            _empty(opened)
            folder.rmdir()
        except FileNotFoundError:
            # Its owner, or another command, has just removed it.
            return None
        except OSError as exc:
            logger.warning("the scratch folder %s of a killed command could not be removed: %s", folder, exc)
            return None
        return size_bytes


def _remove(folder: Path) -> None:
    with _opened(folder) as opened:
        if opened is not None:
            _empty(opened)
            folder.rmdir()


def _empty(opened: int) -> None:
    """Remove what lies in a folder, by names relative to it, so that nobody can put another folder in its place."""
    for name in sorted(os.listdir(opened), key=lambda name: name == MARK):
        if stat.S_ISDIR(os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=opened)
        else:
            os.unlink(name, dir_fd=opened)


def _size_bytes(opened: int) -> int:
    """Sum the bytes of the files below a folder; a file that has two names counts once."""
    sizes: dict[int, int] = {}
    for _, _, files, folder in os.fwalk(".", dir_fd=opened):
        for name in files:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def _is_local(place: Path) -> bool:
    """Say whether a directory lies on a file system of this machine alone; False if nothing says so."""
    try:
        lines = MOUNTS.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    place, found, longest = place.resolve(), "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        mounted = Path(re.sub(r"\\([0-7]{3})", lambda each: chr(int(each[1], 8)), before.split(" ")[4]))
        # A later mount at the same place hides an earlier one.
        if place.is_relative_to(mounted) and len(mounted.parts) >= longest:
            found, longest = after.split(" ")[0], len(mounted.parts)
    return found in LOCAL_FILE_SYSTEMS
