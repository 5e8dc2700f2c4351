"""Say what can be done with objects, wherever they are kept."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tidemark.errors import ConfigError, StateError
from tidemark.faults import effect_on

CHUNK_BYTES = 1 << 20


class ObjectExistsError(StateError):
    """Say that an object is there already and holds other bytes than those that were to be put."""


class ObjectMissingError(StateError):
    """Say that an object is not there."""


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Hold what a listing says of one object."""

    key: str
    size: int
    last_modified: datetime


class Objects(ABC):
    """Put, get and list objects under one root.

    A key is one or more names with `/` between them; none is empty, `.` or `..`, so that no key leaves the root.
    """

    def put_new(self, key: str, body: bytes) -> None:
        """Put an object that is not there yet.

        If it is there with the same bytes, that is a success: an earlier put of ours arrived, but its answer did not.

        Raises:
            ObjectExistsError: the object holds other bytes.

        """
        with effect_on(checked(key), "file"):
            if not self._create(key, body):
                self._require_same(key, len(body), hashlib.sha256(body).hexdigest())

    def put_file_new(self, key: str, path: Path) -> None:
        """Put a local file as `put_new` does, without holding it in memory.

        In a directory the object may be the same file under a second name: do not write to `path` afterwards.
        """
        with effect_on(checked(key), "file"):
            if not self._create_from_file(key, path):
                self._require_same(key, *measured(path))

    def publish(self, key: str, body: bytes, media_type: str) -> None:
        """Put an object for people to look at, in the place of the one before; nothing that the pipeline reads is one.

        A browser is told the media type, such as `text/html; charset=utf-8`; a directory keeps none.
        """
        self._replace(checked(key), body, media_type)

    def get(self, key: str) -> bytes:
        """Return an object's bytes, or raise `ObjectMissingError`."""
        return b"".join(self._chunks(checked(key)))

    def download(self, key: str, path: Path) -> None:
        """Write an object to a local file, without holding it in memory, or raise `ObjectMissingError`."""
        chunks = self._chunks(checked(key))
        first = next(chunks, b"")
        with path.open("wb") as file:
            file.write(first)
            for chunk in chunks:
                file.write(chunk)

    def exists(self, key: str) -> bool:
        """Tell whether an object is there."""
        return self._find(checked(key)) is not None

    def size(self, key: str) -> int:
        """Return an object's size in bytes, or raise `ObjectMissingError`."""
        found = self._find(checked(key))
        if found is None:
            raise self._missing(key)
        return found.size

    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectMeta]:
        """Yield the objects whose key starts with `prefix` and comes after `start_after`, in the order of their keys.

        The order is by code point, which is S3's UTF-8 order. Objects before `start_after` cost nothing.
        """
        if "/" in prefix:
            checked(prefix.rpartition("/")[0])
        return self._list(prefix, start_after or "")

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there counts as deleted."""
        self._delete(checked(key) for key in keys)

    def make_folder(self, key: str) -> None:
        """Make the folder in which a library is to write; S3 has no folders."""
        checked(key)

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove what killed puts left behind before a moment, and count it; on S3 nobody ever sees half a put."""
        del before, dry_run
        return 0

    @abstractmethod
    def local_path(self, key: str) -> Path | None:
        """Return the file that holds an object, for readers that read files in place; None on S3."""

    @property
    def are_local(self) -> bool:
        """Say whether objects are files of this machine."""
        return self.local_path("probe") is not None

    @abstractmethod
    def url(self, key: str) -> str:
        """Return where an object or a table lies, as delta-rs and DuckDB take it."""

    @abstractmethod
    def places(self) -> Sequence[str]:
        """Return the directories, or the URL, below which all objects lie: each directory also with links followed."""

    @abstractmethod
    def storage_options(self) -> dict[str, str]:
        """Return what delta-rs needs to open `url`; ask anew for each table, since credentials may expire."""

    def _require_same(self, key: str, size_bytes: int, sha256: str) -> None:
        theirs = hashlib.sha256()
        if self.size(key) == size_bytes:
            for chunk in self._chunks(key):
                theirs.update(chunk)
            if theirs.hexdigest() == sha256:
                return
        message = f"{self.url(key)} is there already and holds other bytes"
        raise ObjectExistsError(message, key=key)

    def _missing(self, key: str) -> ObjectMissingError:
        return ObjectMissingError(f"{self.url(key)} is not there", key=key)

    @abstractmethod
    def _create(self, key: str, body: bytes) -> bool: ...

    @abstractmethod
    def _create_from_file(self, key: str, path: Path) -> bool: ...

    @abstractmethod
    def _replace(self, key: str, body: bytes, media_type: str) -> None: ...

    @abstractmethod
    def _chunks(self, key: str) -> Iterator[bytes]: ...

    @abstractmethod
    def _find(self, key: str) -> ObjectMeta | None: ...

    @abstractmethod
    def _list(self, prefix: str, start_after: str) -> Iterator[ObjectMeta]: ...

    @abstractmethod
    def _delete(self, keys: Iterator[str]) -> None: ...


def measured(path: Path) -> tuple[int, str]:
    """Give the size in bytes and the SHA-256 of a local file."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def is_key(key: str) -> bool:
    """Say whether a text is a key that stays below its root, and is the same on S3 and in a directory."""
    return key.isprintable() and not any(name in {"", ".", ".."} for name in key.split("/"))


def checked(key: str) -> str:
    """Return the key; raise `ConfigError` if it would leave its root, or if S3 and directories treat it differently."""
    if not is_key(key):
        message = f"expected a key such as 'changes/table/17.jsonl', got {key!r}"
        raise ConfigError(message, key=key)
    return key
