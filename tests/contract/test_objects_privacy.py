"""What Tidemark makes on this machine is its owner's alone, or the group's with which its directory is shared."""

import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemark.cli.privacy import FOR_GROUP, FOR_OWNER, keep_private, share_with_group
from tidemark.doctor import examine
from tidemark.lake.table import create_table
from tidemark.log.pointer import Pointer, open_pointer
from tidemark.objects import is_open, open_objects
from tidemark.pipeline import wire
from tidemark.settings import Settings

GROUP_AND_OTHERS = 0o077


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Gives the process the umask of most machines, by which everyone may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill(lake: Path, scratch: Path) -> None:
    objects = open_objects(str(lake))
    objects.put_new("batches/1.json", b"{}")
    file = scratch / "file"
    file.write_bytes(b"x")
    objects.put_file_new("changes/item/1.jsonl", file)
    create_table(objects, "latest/item", {"id": "BIGINT"})


def below(lake: Path) -> list[Path]:
    return [path for path in lake.rglob("*") if ".tidemark-tmp" not in path.parts]


def test_a_library_closes_its_directories_and_leaves_the_umask_alone(tmp_path: Path) -> None:
    lake, pointer = tmp_path / "new" / "lake", tmp_path / "new" / "pointer.json"
    fill(lake, tmp_path)
    now = datetime(2024, 11, 11, tzinfo=UTC)
    open_pointer(str(pointer)).write(Pointer("12345678-1234-5678-1234-567812345678", 1, None, now))

    folders = [lake.parent, lake, *(path for path in below(lake) if path.is_dir())]
    assert {mode(path) for path in folders} == {0o700}
    assert mode(pointer) == 0o600
    assert os.umask(0o022) == 0o022


def test_the_command_makes_files_that_nobody_else_may_read(tmp_path: Path) -> None:
    keep_private()
    share_with_group(Settings(ingestion=str(tmp_path / "lake")))
    fill(tmp_path / "lake", tmp_path)

    assert [path for path in below(tmp_path / "lake") if mode(path) & GROUP_AND_OTHERS] == []
    assert os.umask(FOR_OWNER) == FOR_OWNER


def test_a_directory_that_somebody_made_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir(mode=0o755)
    fill(tmp_path / "lake", tmp_path)

    assert mode(tmp_path / "lake") == 0o755
    assert {mode(path) for path in (tmp_path / "lake").iterdir()} == {0o700}


def test_a_group_reads_the_star_whose_directory_is_shared_with_it(tmp_path: Path) -> None:
    # Root may give a directory to any group, others only to their own, of which there may be only one.
    groups = [12345] if os.geteuid() == 0 else [each for each in os.getgroups() if each != os.getegid()]
    group = next(iter(groups), os.getegid())
    lake = tmp_path / "lake"
    lake.mkdir()
    os.chown(lake, -1, group)
    lake.chmod(0o2750)
    keep_private()
    share_with_group(Settings(processed=str(lake)))
    fill(lake, tmp_path)

    paths = below(lake)
    assert {path.stat().st_gid for path in paths} == {group}
    assert {mode(path) for path in paths if path.is_dir()} == {0o2750}
    assert {mode(path) for path in paths if path.is_file()} == {0o640}
    assert os.umask(FOR_GROUP) == FOR_GROUP


def test_doctor_says_how_to_close_a_lake_that_everyone_can_read(passable: Path) -> None:
    lake, closed = passable / "it's a lake", passable / "closed"
    (lake / "batches").mkdir(parents=True)
    (passable / "pointer.json").write_text("{}")
    settings = Settings(ingestion=str(lake), processed=str(closed), pointer=str(passable / "pointer.json"))
    found = [each for each in examine(lambda: wire(settings)) if "every user of this machine" in each.found]

    assert [each.area for each in found] == ["ingestion", "pointer"]
    assert {each.outcome for each in found} == {"hint"}
    for each in found:
        subprocess.run(shlex.split(each.advice), check=True)  # noqa: S603 -- doctor's own advice
    assert not is_open(lake)
    assert not is_open(passable / "pointer.json")


@pytest.fixture
def passable() -> Iterator[Path]:
    """Gives a directory that everyone may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_an_older_lake_is_open_until_its_owner_closes_it(passable: Path) -> None:
    lake = passable / "lake"
    (lake / "batches").mkdir(parents=True)
    assert is_open(lake)
    passable.chmod(0o700)
    assert not is_open(lake)
    passable.chmod(0o755)
    lake.chmod(0o700)
    assert not is_open(lake)
    lake.chmod(0o755)
    (lake / "batches").chmod(0o700)
    assert not is_open(lake)
    (lake / "pointer.json").write_text("{}")
    assert is_open(lake / "pointer.json")
    (lake / "pointer.json").chmod(0o640)
    assert not is_open(lake / "pointer.json")
    assert not is_open(passable / "nothing")
