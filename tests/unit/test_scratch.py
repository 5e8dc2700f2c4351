"""Scratch folders: what a killed process left is removed, and nothing else is, whatever it looks like."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.leftovers import left_behind
from tidemark.lake import scratch
from tidemark.lake.scratch import MARK, UNFINISHED_MARK, Leftovers, remove_leftovers, scratch_folder

SIZE_BYTES = 3_000_000
OWNER = f"""
import sys, tempfile
from tidemark.lake.scratch import scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder("rebuild") as folder:
    (folder / "fact").mkdir()
    (folder / "fact" / "part").write_bytes(bytes({SIZE_BYTES}))
    print(folder, flush=True)
    input()
"""


@contextmanager
def owner(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a process that owns a scratch folder, and give both."""
    command = [sys.executable, "-c", OWNER, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 -- ours
        assert process.stdout
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def removed(place: Path) -> int:
    return remove_leftovers(place, is_local=True).removed


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with owner(tmp_path) as (living, used), owner(tmp_path) as (process, folder):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with caplog.at_level(logging.INFO, "tidemark"):
            found = remove_leftovers(tmp_path, is_local=True)

        assert found == Leftovers(tmp_path, removed=1, size_bytes=SIZE_BYTES)
        assert caplog.messages == [f"removed 1 scratch folders that killed commands left in {tmp_path}: 3.0 MB"]
        assert (folder.exists(), (used / "fact" / "part").exists()) == (False, True)
        living.communicate("\n")
        assert (living.returncode, used.exists()) == (0, False)


def test_a_folder_that_this_process_uses_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("engine") as folder:
        assert (removed(tmp_path), (folder / MARK).exists()) == (0, True)

    assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_interrupted_is_finished_by_the_next(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)
    (folder / "part").unlink()

    assert (removed(tmp_path), folder.exists()) == (1, False)


def test_a_folder_that_is_being_made_stays(tmp_path: Path) -> None:
    bare, unfinished = (left_behind(tmp_path, name=f"tidemark-{name}") for name in ("bare", "unfinished"))
    (bare / MARK).unlink()
    (unfinished / MARK).rename(unfinished / UNFINISHED_MARK)

    assert (removed(tmp_path), bare.exists(), unfinished.exists()) == (0, True, True)


def test_a_mark_is_locked_from_the_moment_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found: list[tuple[int, int]] = []
    lock = fcntl.flock

    def looked_at(descriptor: int, operation: int) -> None:
        if not found:
            found.append((0, 0))
            found[0] = (removed(tmp_path), len(list(tmp_path.glob(f"*/{MARK}"))))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", looked_at)
    with scratch_folder("engine") as folder:
        assert folder.exists()

    assert found[0] == (0, 0)


def test_what_others_planted_stays(tmp_path: Path) -> None:
    precious = left_behind(tmp_path, name="precious")
    (tmp_path / "tidemark-link").symlink_to(precious)
    open_to_others = left_behind(tmp_path, name="tidemark-open", mode=0o777)
    linked = left_behind(tmp_path, name="tidemark-linked")
    (linked / MARK).unlink()
    (linked / MARK).symlink_to(precious / MARK)
    (tmp_path / "tidemark-file").write_text("rows")
    fifo = left_behind(tmp_path, name="tidemark-fifo")
    (fifo / MARK).unlink()
    os.mkfifo(fifo / MARK)

    assert removed(tmp_path) == 0
    assert all((each / "part").exists() for each in (precious, open_to_others, linked, fifo))


def test_links_within_a_folder_are_not_followed(tmp_path: Path) -> None:
    precious = left_behind(tmp_path, name="precious")
    folder = left_behind(tmp_path)
    (folder / "link").symlink_to(precious)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "link").symlink_to(precious)

    assert remove_leftovers(tmp_path, is_local=True).removed == 1
    assert (folder.exists(), (precious / "part").exists()) == (False, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_the_folder_of_another_user_stays(tmp_path: Path) -> None:
    theirs, mark = left_behind(tmp_path), left_behind(tmp_path, name="tidemark-mark")
    os.chown(theirs, 12345, 12345)
    os.chown(mark / MARK, 12345, 12345)

    assert (removed(tmp_path), theirs.exists(), mark.exists()) == (0, True, True)


def test_what_lies_on_a_file_system_of_several_machines_is_named_and_stays(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)

    found = remove_leftovers(tmp_path, is_local=False)

    assert found == Leftovers(tmp_path, unsure=(folder.name,))
    assert folder.exists()


@pytest.mark.parametrize(
    ("mounts", "is_removed"),
    [
        ("1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {place} rw shared:1 - nfs4 host:/tmp rw\n", False),
        ("1 0 0:1 / / rw - nfs4 host:/ rw\n2 1 0:2 / {place} rw - tmpfs none rw\n", True),
        ("1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {place}/below rw - nfs4 host:/tmp rw\n", True),
        ("1 0 0:1 / {place} rw - ext4 /dev/a rw\n2 1 0:2 / {place} rw - fuse.sshfs host:/tmp rw\n", False),
        ("", False),
    ],
)
def test_the_file_system_is_that_of_the_mount_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, mounts: str, is_removed: bool
) -> None:
    place = tmp_path / "with a blank"
    place.mkdir()
    left_behind(place)
    written = tmp_path / "mountinfo"
    written.write_text(mounts.format(place=str(place).replace(" ", r"\040")))
    monkeypatch.setattr(scratch, "MOUNTS", written)

    assert remove_leftovers(place).removed == int(is_removed)


def test_a_full_temporary_directory_is_cleared_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's own search passes over a directory in which nothing can be written.
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", lambda: "/")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = left_behind(tmp_path)

    assert remove_leftovers(is_local=True) == Leftovers(tmp_path, removed=1, size_bytes=4)
    assert not folder.exists()
