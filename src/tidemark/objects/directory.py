"""Keep objects as files."""

import errno
import os
import shlex
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from tidemark.errors import ConfigError, TransientError
from tidemark.objects.base import CHUNK_BYTES, ObjectMeta, Objects, checked
from tidemark.objects.folders import folders_in, local_places, make_directory, sync_directory


class DirectoryObjects(Objects):
    """Keep each object in a file; the file system must support hard links.

    A file is written under a temporary name and then linked to its own, which fails if that exists: a rename would
    overwrite, and an exclusive open would show readers half a file.
    """

    _TEMPORARY = ".tidemark-tmp"

    def __init__(self, root: Path) -> None:
        self._root = root.expanduser().absolute()

    def local_path(self, key: str) -> Path:
        """Return the file that holds an object."""
        return self._root / checked(key)

    def url(self, key: str) -> str:
        """Return the object's absolute path."""
        return str(self.local_path(key))

    def places(self) -> list[str]:
        """Return the directory, and where its links lead; a table's folder may be such a link, to another disk."""
        above = [self._root, *folders_in(self._root)]
        links = (link for folder in above for link in folders_in(folder) if link.is_symlink())
        return [place for path in (self._root, *links) for place in local_places(path)]

    def storage_options(self) -> dict[str, str]:
        """Return no options, because delta-rs opens a path without any."""
        return {}

    def make_folder(self, key: str) -> None:
        """Make a directory as private as the others; delta-rs would make one by the umask."""
        with self._errors():
            make_directory(self.local_path(key), self._root)

    def remove_leftovers(self, before: datetime, *, dry_run: bool = False) -> int:
        """Remove the temporary files of killed puts."""
        with self._errors():
            files = [path for path in (self._root / self._TEMPORARY).glob("*") if _modified(path) < before]
            for path in files if not dry_run else []:
                path.unlink(missing_ok=True)
        return len(files)

    def _create(self, key: str, body: bytes) -> bool:
        with self._errors(), self._temporary() as path:
            with path.open("wb") as file:
                file.write(body)
                _sync_file(file)
            return self._link(path, key)

    def _replace(self, key: str, body: bytes, media_type: str) -> None:
        del media_type
        target = self.local_path(key)
        with self._errors(), self._temporary() as path:
            path.write_bytes(body)
            make_directory(target.parent, self._root)
            _give_to_group(path, target.parent)
            path.replace(target)

    def _create_from_file(self, key: str, path: Path) -> bool:
        with self._errors():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            try:
                return self._link(path, key)
            except OSError as exc:
                # The file is on another file system, or is somebody else's (fs.protected_hardlinks): only a copy can be
                # linked.
                if exc.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                    raise
            with self._temporary() as copy:
                with path.open("rb") as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target, CHUNK_BYTES)
                    _sync_file(target)
                return self._link(copy, key)

    def _link(self, path: Path, key: str) -> bool:
        target = self.local_path(key)
        make_directory(target.parent, self._root)
        try:
            _give_to_group(path, target.parent)
            target.hardlink_to(path)
        except FileExistsError:
            if target.is_dir():
                raise
            return False
        sync_directory(target.parent)
        return True

    def _chunks(self, key: str) -> Iterator[bytes]:
        with self._errors():
            try:
                file = self.local_path(key).open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as exc:
                raise self._missing(key) from exc
            with file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk

    def _find(self, key: str) -> ObjectMeta | None:
        path = self.local_path(key)
        with self._errors():
            try:
                return _meta(key, path.stat()) if path.is_file() else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _list(self, prefix: str, start_after: str) -> Iterator[ObjectMeta]:
        with self._errors():
            yield from self._walk("", prefix, start_after)

    def _walk(self, above: str, prefix: str, start_after: str) -> Iterator[ObjectMeta]:
        try:
            with os.scandir(self._root / above) as entries:
                # A directory sorts with its slash, as its objects' keys do: a-b comes before a/b.
                found = sorted((above + entry.name + "/" * entry.is_dir(), entry) for entry in entries)
        except FileNotFoundError:
            return
        for key, entry in found:
            if key == f"{self._TEMPORARY}/":
                continue
            if not key.endswith("/"):
                if key.startswith(prefix) and key > start_after:
                    with suppress(FileNotFoundError):
                        yield _meta(key, entry.stat())
            elif key.startswith(prefix[: len(key)]) and key >= start_after[: len(key)]:
                yield from self._walk(key, prefix, start_after)

    def _delete(self, keys: Iterator[str]) -> None:
        with self._errors():
            for key in keys:
                self.local_path(key).unlink(missing_ok=True)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        directory = self._root / self._TEMPORARY
        make_directory(directory, self._root)
        path = directory / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
            message = f"directory {self._root} cannot be used: {exc}"
            raise ConfigError(message, advice="check what lies there") from exc
        except OSError as exc:
            if advice := refusal(exc.errno, str(self._root)):
                message = f"directory {self._root} cannot be used: {exc}"
                raise ConfigError(message, advice=advice) from exc
            if exc.errno in {errno.ENAMETOOLONG, errno.ENOTSUP, errno.ELOOP}:
                message = f"directory {self._root} cannot be used: {exc}"
                raise ConfigError(message, advice="name another directory") from exc
            message = f"directory {self._root} did not work: {exc}"
            raise TransientError(message, advice="check the disk, then run it again") from exc


def refusal(number: int | None, place: str) -> str:
    """Say what to do about a place that the system says is closed to us, by its error's number; empty for others."""
    if number == errno.EROFS:
        return (
            f"{place} lies on a file system that is mounted read-only: mount it for writing, since a run writes there"
        )
    if number in {errno.EACCES, errno.EPERM}:
        user, typed = os.geteuid(), shlex.quote(place)
        return f"give the user of this process (uid {user}) the right to read and write there: chown -R {user} {typed}"
    return ""


def _give_to_group(path: Path, directory: Path) -> None:
    """Give a file that is to be linked into a directory to the group of what is made there, as the system does."""
    status = directory.stat()
    if status.st_mode & stat.S_ISGID and path.stat().st_gid != status.st_gid:
        os.chown(path, -1, status.st_gid)


def _meta(key: str, status: os.stat_result) -> ObjectMeta:
    return ObjectMeta(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _modified(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.max.replace(tzinfo=UTC)


def _sync_file(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
