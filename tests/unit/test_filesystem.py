"""How DuckDB reads objects of S3: a small file costs one request, a large one its end and what is wanted of it."""

from dataclasses import dataclass, field

import pytest

from tidemark.errors import TidemarkError
from tidemark.objects import ObjectMissingError
from tidemark.objects.filesystem import END_BYTES, KEPT_BYTES, ObjectFileSystem

PLACE = "s3://bucket/"


@dataclass
class Store:
    """Objects in memory, and how often each was asked for."""

    objects: dict[str, bytes]
    requests: list[str] = field(default_factory=list)

    def get_end(self, key: str, length: int) -> tuple[int, bytes]:
        self.requests.append(key)
        if key not in self.objects:
            message = f"{key} is not there"
            raise ObjectMissingError(message, key=key)
        return len(self.objects[key]), self.objects[key][-length:]

    def get_range(self, key: str, start: int, end: int) -> bytes:
        self.requests.append(key)
        return self.objects[key][start:end]


def opened(**objects: bytes) -> tuple[Store, ObjectFileSystem, list[TidemarkError]]:
    store, failures = Store(objects), list[TidemarkError]()
    return store, ObjectFileSystem({PLACE: store}, failures), failures


def read(files: ObjectFileSystem, name: str, start: int, length: int) -> bytes:
    with files.open(f"{PLACE}{name}") as file:
        file.seek(start)
        return bytes(file.read(length))


def test_a_small_file_is_asked_for_once() -> None:
    store, files, _ = opened(small=bytes(range(200)))

    assert read(files, "small", 0, 4) == b"\0\1\2\3"
    assert read(files, "small", 150, 1000) == bytes(range(150, 200))
    assert store.requests == ["small"]


def test_the_end_of_a_large_file_comes_with_its_size() -> None:
    body = b"begin" + bytes(range(256)) * (2 * END_BYTES // 256)
    store, files, _ = opened(large=body)

    assert read(files, "large", len(body) - 8, 8) == body[-8:]
    assert store.requests == ["large"]
    assert read(files, "large", len(body) - END_BYTES - 3, 8) == body[-END_BYTES - 3 :][:8]
    assert read(files, "large", 0, 5) == b"begin"
    assert store.requests == ["large"] * 3


def test_no_more_is_kept_than_the_memory_for_it() -> None:
    names = [f"f{number}" for number in range(KEPT_BYTES // END_BYTES + 1)]
    store, files, _ = opened(**dict.fromkeys(names, bytes(END_BYTES)))
    for name in names:
        read(files, name, 0, 1)
    store.requests.clear()

    read(files, names[-1], 0, 1)
    read(files, names[0], 0, 1)

    assert store.requests == [names[0]]


def test_an_empty_file_has_no_bytes() -> None:
    _, files, _ = opened(empty=b"")

    assert files.info(f"{PLACE}empty")["size"] == 0
    assert read(files, "empty", 0, 10) == b""


def test_a_missing_file_is_noted() -> None:
    _, files, failures = opened()

    with pytest.raises(ObjectMissingError):
        files.info(f"{PLACE}gone")
    assert len(failures) == 1
