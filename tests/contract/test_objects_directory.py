"""What only a directory for objects has to do: list as S3 does, and leave nothing half done."""

import errno
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.objects import KEYS, keys
from tidemark.errors import ConfigError
from tidemark.lake.table import open_table
from tidemark.log.changelog import new_id
from tidemark.log.pointer import Pointer, open_pointer
from tidemark.objects import ObjectExistsError, ObjectMissingError, open_objects


@settings(max_examples=50, deadline=None)
@given(written=st.sets(KEYS, max_size=8), prefix=KEYS, after=KEYS)
def test_a_directory_lists_as_s3_would(written: set[str], prefix: str, after: str) -> None:
    # A file cannot have others below it.
    written = {key for key in written if not any(other.startswith(f"{key}/") for other in written)}
    with tempfile.TemporaryDirectory() as root:
        for key in written:
            (Path(root) / key).parent.mkdir(parents=True, exist_ok=True)
            (Path(root) / key).touch()

        got = keys(open_objects(root), prefix[:1], after)

    assert got == sorted(key for key in written if key.startswith(prefix[:1]) and key > after)


def test_a_directorys_objects_are_readable_in_place(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    objects.put_new("a/b", b"body")

    path = objects.local_path("a/b")

    assert path == tmp_path / "a" / "b"
    assert path.read_bytes() == b"body"
    assert objects.url("a/b") == str(path)


def test_a_relative_directory_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_objects("lake").url("a") == str(tmp_path / "lake" / "a")


def test_a_put_leaves_nothing_else_behind(tmp_path: Path, new_file: Callable[[bytes], Path]) -> None:
    file = new_file(b"file")
    objects = open_objects(str(tmp_path / "lake"))

    objects.put_new("a", b"a")
    objects.put_file_new("b", file)
    with pytest.raises(ObjectExistsError):
        objects.put_new("a", b"b")

    assert [path.name for path in (tmp_path / "lake").rglob("*") if path.is_file()] in (["a", "b"], ["b", "a"])
    assert file.read_bytes() == b"file"


def test_a_half_written_object_is_not_listed(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    objects.put_new("a", b"a")

    (tmp_path / ".tidemark-tmp").mkdir(exist_ok=True)
    (tmp_path / ".tidemark-tmp" / "left-by-a-killed-run").touch()

    assert keys(objects) == ["a"]


def test_a_directory_is_no_object(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    objects.put_new("a/b", b"")

    assert not objects.exists("a")
    assert not objects.exists("a/b/c")
    with pytest.raises(ObjectMissingError):
        objects.get("a")
    with pytest.raises(ObjectMissingError):
        objects.get("a/b/c")
    with pytest.raises(ConfigError, match="cannot be used"):
        objects.put_new("a", b"")
    with pytest.raises(ConfigError, match="cannot be used"):
        objects.put_new("a/b/c", b"")


def test_a_file_on_another_file_system_is_copied(tmp_path: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108 -- a second file system, where there is one
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        memory = tmp_path
    with tempfile.NamedTemporaryFile(dir=memory) as file:
        file.write(b"body")
        file.flush()

        open_objects(str(tmp_path / "lake")).put_file_new("a", Path(file.name))

    assert open_objects(str(tmp_path / "lake")).get("a") == b"body"


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EROFS, "mounted read-only: mount it for writing"), (errno.EACCES, "chown -R"), (errno.EPERM, "chown -R")],
)
def test_a_place_that_takes_nothing_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "place")

    now = datetime(2024, 11, 14, tzinfo=UTC)
    # Root, as which tests may run, is refused nothing.
    monkeypatch.setattr(Path, "mkdir", refuse)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    # delta-rs hands the error on as a text, with the number in it.
    words = f"\x1b[31mPermission denied: {os.strerror(number)} (os error {number})"
    monkeypatch.setattr("tidemark.lake.table.DeltaTable", lambda *_, **__: refuse_in_words(words))
    place = tmp_path / "the lake"

    uses: tuple[Callable[[], object], ...] = (
        lambda: open_objects(str(place)).put_new("a", b""),
        lambda: open_pointer(str(place / "pointer.json")).write(Pointer(new_id(), 1, None, now)),
        lambda: open_pointer(str(place / "pointer.json")).read(),
        lambda: open_table(open_objects(str(place)), "latest/loan"),
    )
    for use in uses:
        with pytest.raises(ConfigError, match=os.strerror(number)) as raised:
            use()
        assert advice in raised.value.advice
        assert (f" '{place}" if advice.startswith("chown") else str(place)) in raised.value.advice
        assert "\x1b" not in raised.value.message


def refuse_in_words(words: str) -> None:
    raise OSError(words)


def test_a_directory_that_cannot_be_used_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be used"):
        open_objects(str(tmp_path / "file")).put_new("a", b"")
