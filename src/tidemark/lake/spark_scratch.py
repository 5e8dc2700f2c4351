"""Where DuckDB and Spark hand each other files: on a disk that both see, or in a folder of the processed bucket.

Spark reads an address in a statement, so it is one of plain characters: others make it a pattern of file names, or end
a literal.
"""

import logging
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tidemark.errors import ConfigError, TidemarkError
from tidemark.objects import Objects

if TYPE_CHECKING:
    from tidemark.objects.s3 import S3Objects

logger = logging.getLogger(__name__)
PLAIN_PATH = re.compile(r"[\w./@+-]+")
# An address is decoded once more than a path is, and `=` would make a column of a folder's name.
PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9./_-]+")
FOLDER = "tidemark-scratch"
# Spark on EMR and Sail know the first; Spark as Apache releases it knows the second alone.
SCHEMES = ("s3", "s3a")


class Place(ABC):
    """A place for the files of one SELECT after the other; `shown` names it in messages."""

    shown: str

    def __init__(self) -> None:
        self._numbers = count(1)

    @abstractmethod
    def given(self, file: Path) -> str:
        """Let Spark read a Parquet file, and give the address by which it does."""

    @abstractmethod
    def target(self, folder: Path) -> str:
        """Give the address at which Spark is to write rows; `folder` is the scratch folder of the SELECT."""

    @abstractmethod
    def taken(self, target: str, folder: Path) -> list[Path]:
        """Give the Parquet files that Spark wrote at an address, as files of this machine."""

    @abstractmethod
    def clear(self) -> None:
        """Remove what lies there and not in the scratch folder."""


class Disk(Place):
    """The scratch folder itself, which Spark sees under the same path."""

    def __init__(self, scratch: Path | None = None) -> None:
        super().__init__()
        self.shown = f"the scratch directory {scratch or ''}".strip()

    def given(self, file: Path) -> str:
        """Give the file's path."""
        return plain(file)

    def target(self, folder: Path) -> str:
        """Name a folder in the scratch folder."""
        return plain(folder / f"rows-{next(self._numbers):06d}")

    def taken(self, target: str, folder: Path) -> list[Path]:
        """Find the files where Spark wrote them."""
        del folder
        return sorted(Path(target).glob("*.parquet"))

    def clear(self) -> None:
        """Leave all to the owner of the scratch folder."""


class Bucket(Place):
    """A folder of the processed bucket, which belongs to one run."""

    def __init__(self, objects: "S3Objects", scheme: str) -> None:
        super().__init__()
        self._objects = objects
        self._scheme = scheme
        self._folder = f"{FOLDER}/{uuid.uuid4()}"
        self.shown = self._address(self._folder)

    def given(self, file: Path) -> str:
        """Put the file into the bucket."""
        key = f"{self._folder}/{next(self._numbers):06d}.parquet"
        self._objects.upload(key, file)
        return self._address(key)

    def target(self, folder: Path) -> str:
        """Name a folder in the bucket."""
        del folder
        return self._address(f"{self._folder}/rows-{next(self._numbers):06d}")

    def taken(self, target: str, folder: Path) -> list[Path]:
        """Download the files into the scratch folder."""
        key = f"{self._folder}/{target.rpartition('/')[2]}"
        files = []
        for number, each in enumerate(self._objects.list(f"{key}/")):
            if each.key.endswith(".parquet"):
                files.append(folder / f"{target.rpartition('/')[2]}-{number}.parquet")
                self._objects.download(each.key, files[-1])
        return files

    def clear(self) -> None:
        """Remove all that the run has put there and Spark has written; what cannot be removed is left to compact."""
        try:
            self._objects.remove_folder(self._folder)
        except TidemarkError as exc:
            logger.warning("%s could not be removed, so tidemark compact will: %s", self.shown, exc.message)

    def _address(self, key: str) -> str:
        _, separator, rest = self._objects.url(key).partition("://")
        if not PLAIN_ADDRESS.fullmatch(rest):
            message = f"expected a processed bucket whose prefix has letters, digits, and . / _ -, got s3://{rest}"
            raise ConfigError(message, advice="name another prefix, or set TIDEMARK_ENGINE=duckdb")
        return f"{self._scheme}{separator}{rest}"


@contextmanager
def cleared(place: Place) -> Iterator[Place]:
    """Clear a place when the block ends."""
    try:
        yield place
    finally:
        place.clear()


def plain(path: Path) -> str:
    """Give a path as Spark may read it in a statement.

    Raises:
        ConfigError: it would be read as a pattern.
    """
    if not PLAIN_PATH.fullmatch(str(path)):
        message = f"expected a path of letters, digits, and . / @ + _ -, and the scratch directory is {path}"
        raise ConfigError(message, advice="set TMPDIR to such a directory")
    return str(path)


def buckets_of(processed: Objects) -> list[Place]:
    """Give the folder of the processed bucket under each scheme by which a Spark may know it; none of a directory."""
    objects = on_s3(processed)
    return [Bucket(objects, scheme) for scheme in SCHEMES] if objects else []


def remove_old_scratch(processed: Objects, before: datetime, *, dry_run: bool = False) -> int:
    """Remove what killed runs left in the processed bucket before a moment, and count the files."""
    objects = on_s3(processed)
    return objects.remove_folder(FOLDER, before, dry_run=dry_run) if objects else 0


def on_s3(objects: Objects) -> "S3Objects | None":
    """Give objects that are on S3 as such."""
    if objects.are_local:
        return None
    from tidemark.objects.s3 import S3Objects  # noqa: PLC0415 -- it loads boto3

    return objects if isinstance(objects, S3Objects) else None
