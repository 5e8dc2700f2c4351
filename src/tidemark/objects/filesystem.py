"""Let DuckDB read objects of S3 in place, through the same client and credentials as everything else.

DuckDB's own S3 support is an extension that it downloads, which a machine without internet cannot; obstore's file
system gives short reads, which DuckDB takes for the end of the file.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from tidemark.errors import TidemarkError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LITERAL = re.compile(r"\[([\[*?])\]")
# How much of a file's end comes with its size: the whole of a small file, the footer of a large one.
END_BYTES = 64 << 10
# How much of that is kept for the next statement that reads the file.
KEPT_BYTES = 16 << 20


class RangeReader(Protocol):
    """Read parts of objects by their URL."""

    def get_end(self, key: str, length: int) -> tuple[int, bytes]:
        """Return the object's size and its last bytes, `length` of them at most."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to but not including `end`."""


class ObjectFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Show several stores as one read-only file system.

    Args:
        roots: the stores by their URLs, each with a slash at its end.
        failures: the list to which the stores' errors are added.
    """

    protocol = "s3"
    cachable = False

    def __init__(self, roots: Mapping[str, RangeReader], failures: list[TidemarkError]) -> None:
        super().__init__()
        self._roots = roots
        # DuckDB asks for a file's size several times, and each statement reads its footer again. No file ever changes.
        self._sizes: dict[str, int] = {}
        self._ends: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self._failures = failures

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        """Note an error in `failures` before it goes through DuckDB, which keeps only its text."""
        try:
            yield
        except TidemarkError as exc:
            self._failures.append(exc)
            raise

    def find_object(self, path: str) -> tuple[RangeReader, str]:
        """Split a path into its store and the object's key."""
        url = f"{self.protocol}://{self._strip_protocol(path)}"
        for root in sorted(self._roots, key=len, reverse=True):
            if url.startswith(root):
                return self._roots[root], url.removeprefix(root)
        raise FileNotFoundError(url)

    def info(self, path: str, **_: Any) -> dict[str, Any]:  # noqa: ANN401 -- fsspec's signature
        """Return what fsspec wants to know of a file."""
        name = self._strip_protocol(path)
        if name not in self._sizes:
            store, key = self.find_object(path)
            with self.noting_failures():
                size, end = store.get_end(key, END_BYTES)
            self._keep(name, size, end)
        return {"name": name, "size": self._sizes[name], "type": "file"}

    def read(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to but not including `end`, if possible without a request."""
        name = self._strip_protocol(path)
        with self._lock:
            kept = self._ends.get(name)
            if kept is not None:
                self._ends.move_to_end(name)
                before = self._sizes[name] - len(kept)
                if start >= before:
                    return kept[start - before : end - before]
        store, key = self.find_object(path)
        with self.noting_failures():
            return store.get_range(key, start, end)

    def _keep(self, name: str, size: int, end: bytes) -> None:
        with self._lock:
            self._sizes[name] = size
            self._kept_bytes += len(end) - len(self._ends.pop(name, b""))
            self._ends[name] = end
            while self._kept_bytes > KEPT_BYTES:
                self._kept_bytes -= len(self._ends.popitem(last=False)[1])

    def glob(self, path: str, **_: Any) -> list[str]:  # noqa: ANN401 -- fsspec's signature
        """Return the one file that a pattern stands for, whose special characters are in brackets (see `lake`)."""
        name = LITERAL.sub(r"\1", self._strip_protocol(path))
        return [name] if self.exists(name) else []

    def modified(self, _path: str) -> datetime:
        """Return the same moment for every object, because none is ever written twice."""
        return EPOCH

    def _open(self, path: str, mode: str = "rb", **_: Any) -> "ObjectFile":  # noqa: ANN401 -- fsspec's signature
        return ObjectFile(self, path, mode, cache_type="none", size=self.info(path)["size"])


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]
    """Read an object by ranges."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.read(self.path, start, end)  # type: ignore[no-any-return]
