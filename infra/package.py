"""Build the zips of the Lambda functions and of the job on EMR Serverless: `make package`.

Each holds the pinned libraries and the source of Tidemark.

pip downloads the wheels and checks their hashes. Their files go into the zip with the compressed bytes that they have
in the wheel, in sorted order and with a fixed time. So the same inputs give the same bytes, whatever zlib a machine
has, and an unchanged function is not deployed again.
"""

import argparse
import hashlib
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCE = REPOSITORY / "src" / "tidemark"
WHEELS = REPOSITORY / "build" / "wheels"

FUNCTIONS = ("ingest", "transform", "load")
# What EMR Serverless runs on Spark, by the Python that its releases bring beside their own 3.9.
JOB = "job"
JOB_RUNTIME = "python3.11"
# On Amazon Linux 2023. Runtimes before python3.12 have glibc 2.26, for which DuckDB has no wheel.
RUNTIMES = ("python3.12", "python3.13")
# That of Amazon Linux 2023, on which EMR's releases stand too.
GLIBC = 34
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

MIB = 2**20
# Lambda takes 262144000 bytes, which is 250 MiB.
LIMIT_MIB = 240
# The first moment that a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)
READABLE_BY_ALL = 0o100644 << 16
UNIX = 3
# In a zip's local header: the lengths of the name and the extra field. The compressed bytes come after these two.
LENGTHS = struct.Struct("<26xHH")

# The command line, the embedded server, and what only these two need: no function has a use for it.
NOT_PACKED = ("__main__.py", "cli", "embedded", "sql/demo.sql")
# What the dashboard gives to browsers: of that, load needs what its one page is made of.
SERVED = ("dashboard/static", "dashboard/templates")
NOT_ON_THE_PAGE = ("dashboard/static/dashboard.js", "dashboard/static/htmx.LICENSE", "dashboard/static/htmx.min.js")
CERTIFICATES = "rds-ca.pem"
RECORD = "packages.json"


class PackageError(Exception):
    """A package cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """What a package runs on, in Lambda's words: `python3.13`, and `x86_64` or `arm64`."""

    runtime: str = "python3.13"
    architecture: str = "x86_64"

    def __str__(self) -> str:
        return f"{self.runtime}-{self.architecture}"

    @property
    def platforms(self) -> list[str]:
        """Name every platform whose wheels run there: pip compares names literally, and a wheel may name only one."""
        machine = MACHINES[self.architecture]
        names = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)]
        return [*names, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]


@dataclass(frozen=True)
class Part:
    """A file of a package: its path in the zip, what it belongs to, its size in bytes, and how it is packed."""

    path: str
    owner: str
    size: int
    crc: int
    compression: int
    packed: Callable[[], bytes]


@dataclass(frozen=True)
class Extras:
    """What a user adds: the directory of a model of their own, and a file of certificate authorities."""

    model: Path | None = None
    certificates: Path | None = None


def requirements(name: str) -> Path:
    """Return the file that pins the libraries of a package."""
    return REPOSITORY / "requirements" / f"{name}.txt"


def download(target: Target, names: Sequence[str] = FUNCTIONS) -> Path:
    """Return a directory with the wheels of these packages for a target; download them if they are not there yet.

    The directory's name holds the hash of the requirements. The directory appears only when it is complete.
    """
    pinned = [requirements(name) for name in names]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in pinned)).hexdigest()
    wheels = WHEELS / f"{target}-{digest[:12]}"
    if wheels.is_dir():
        return wheels
    WHEELS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WHEELS) as unfinished:
        downloaded = Path(unfinished) / "wheels"
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--disable-pip-version-check"),
            *("--no-input", "--require-hashes", "--no-deps", "--only-binary=:all:"),
            *("--implementation=cp", f"--python-version={target.runtime.removeprefix('python')}"),
            *(f"--platform={platform}" for platform in target.platforms),
            *(f"--requirement={file}" for file in pinned),
            f"--dest={downloaded}",
        ]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 -- our own arguments
            raise PackageError(f"pip could not download the wheels for {target}; it says above why")
        try:
            downloaded.rename(wheels)
        except OSError:
            # Another build was faster.
            if not wheels.is_dir():
                raise
    return wheels


def chosen_wheels(name: str, wheels: Path) -> list[Path]:
    """Return the wheels that a package's requirements name by their hash.

    Raises:
        PackageError: one of the libraries has no wheel there, or another wheel than the pinned one.

    """
    pinned = requirements(name).read_text("utf-8")
    found = [wheel for wheel in sorted(wheels.glob("*.whl")) if f"sha256:{_sha256(wheel)}" in pinned]
    expected = pinned.count("==")
    if len(found) != expected:
        message = f"{requirements(name).name} pins {expected} libraries, and {wheels} holds {len(found)} of them"
        raise PackageError(f"{message}: remove that directory, it will be made again")
    return found


def contents(name: str, target: Target, extras: Extras | None = None) -> list[Part]:
    """Return the files of a function's or the job's package, sorted.

    Raises:
        PackageError: two files have the same path, an extra is not what it should be, or Lambda does not take so much.

    """
    parts = [*_file_parts(SOURCE, "tidemark", _left_out(name)), *_extra_parts(extras or Extras())]
    wheels = download(target, (JOB,) if name == JOB else FUNCTIONS)
    parts += (part for wheel in chosen_wheels(name, wheels) for part in _wheel_parts(wheel))
    parts.sort(key=lambda part: part.path)
    for one, other in pairwise(parts):
        if one.path == other.path:
            raise PackageError(f"{one.path} comes from {one.owner} and from {other.owner}; rename one of them")
    if name != JOB:
        check_size(name, parts)
    return parts


def _left_out(name: str) -> tuple[str, ...]:
    """Name what a package has no use for; the job is the command line."""
    served = NOT_ON_THE_PAGE if name == "load" else SERVED
    return served if name == JOB else (*NOT_PACKED, *served)


def check_size(function: str, parts: Sequence[Part]) -> None:
    """Raise a PackageError if all files together are larger than Lambda takes, less a small reserve."""
    size = sum(part.size for part in parts) / MIB
    if size > LIMIT_MIB:
        message = f"{function}: {size:.1f} MiB unpacked, expected at most {LIMIT_MIB} (Lambda takes 250)"
        raise PackageError(f"{message}; the largest are {_largest(parts)}: go back to smaller versions, or drop one")


def write(parts: Sequence[Part], path: Path) -> None:
    """Write a zip, which appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for part in parts:
            _append(archive, file, part)
    unfinished.replace(path)


def build(name: str, target: Target, folder: Path, extras: Extras | None = None) -> str:
    """Build `<folder>/<name>.zip` and return a message about it.

    Raises:
        PackageError: it cannot be built.

    """
    parts = contents(name, target, extras)
    path = folder / f"{name}.zip"
    write(parts, path)
    unpacked = sum(part.size for part in parts) / MIB
    zipped = path.stat().st_size / MIB
    of = "" if name == JOB else f" of {LIMIT_MIB}"
    sizes = f"{zipped:.1f} MiB, {unpacked:.1f}{of} MiB unpacked"
    return f"{path}: {target.runtime} on {target.architecture}, {sizes}\n  {_largest(parts)}"


def write_record(target: Target, folder: Path, *, certificates: bool, job: bool = False) -> None:
    """Write down for Terraform the packages' target and hashes, by which it sees that a package is an older one.

    `certificates` says whether they hold certificate authorities, `job` whether the job's is among them.
    """
    names = [f"{name}.zip" for name in (*FUNCTIONS, *([JOB] if job else []))]
    made = {"runtime": target.runtime, "architecture": target.architecture, "certificates": certificates}
    hashes = {name: _sha256(folder / name) for name in names}
    (folder / RECORD).write_text(json.dumps(made | {"packages": hashes}, indent=2) + "\n", "utf-8")


def _append(archive: zipfile.ZipFile, file: BinaryIO, part: Part) -> None:
    """Append a file with its compressed bytes, for which `zipfile` has no call; it writes the directory later."""
    packed = part.packed()
    entry = zipfile.ZipInfo(part.path, EPOCH)
    entry.create_system, entry.external_attr = UNIX, READABLE_BY_ALL
    entry.compress_type, entry.compress_size = part.compression, len(packed)
    entry.file_size, entry.CRC = part.size, part.crc
    entry.header_offset = file.tell()
    file.write(entry.FileHeader() + packed)
    archive.filelist.append(entry)
    archive.start_dir = file.tell()


def _wheel_parts(wheel: Path) -> Iterator[Part]:
    """Yield the files that an installation of a wheel would put beside the other libraries.

    Its list of files, which would be wrong, and its commands are left out.
    """
    owner = wheel.name.split("-")[0]
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in entries:
        top, _, rest = entry.filename.partition("/")
        if top.endswith(".data"):
            if not rest.startswith(("scripts/", "headers/")):
                raise PackageError(f"{wheel.name} holds {entry.filename}: say here where it goes")
        elif not (top.endswith(".dist-info") and rest == "RECORD"):
            packed = partial(_packed, wheel, entry)
            yield Part(entry.filename, owner, entry.file_size, entry.CRC, entry.compress_type, packed)


def _packed(wheel: Path, entry: zipfile.ZipInfo) -> bytes:
    with wheel.open("rb") as file:
        file.seek(entry.header_offset)
        name, extra = LENGTHS.unpack(file.read(LENGTHS.size))
        file.seek(name + extra, 1)
        return file.read(entry.compress_size)


def _file_part(file: Path, path: str, owner: str) -> Part:
    content = file.read_bytes()
    return Part(path, owner, len(content), zlib.crc32(content), zipfile.ZIP_STORED, lambda: content)


def _file_parts(folder: Path, prefix: str, without: Sequence[str] = ()) -> Iterator[Part]:
    """Yield the files of a directory, except those in `without`, hidden files, and what Python itself made there."""
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        is_left_out = any(path.is_relative_to(each) for each in without)
        is_made = any(name.startswith(".") or name == "__pycache__" for name in path.parts)
        if file.is_file() and not is_left_out and not is_made:
            yield _file_part(file, f"{prefix}/{path.as_posix()}", Path(prefix).name)


def _extra_parts(extras: Extras) -> Iterator[Part]:
    if extras.model is not None:
        model = extras.model.resolve()
        if not (model / "model.toml").is_file():
            raise PackageError(
                f"expected the directory of a model as MODEL, got {extras.model}, which has no model.toml"
            )
        if (SOURCE / "models" / model.name).exists():
            raise PackageError(f"a model {model.name} comes with Tidemark; give yours another name than {extras.model}")
        yield from _file_parts(model, f"tidemark/models/{model.name}")
    if extras.certificates is not None:
        file = extras.certificates
        if not file.is_file() or b"-----BEGIN CERTIFICATE-----" not in file.read_bytes():
            raise PackageError(f"expected a file of PEM certificates as SSLROOTCERT, got {file}")
        yield _file_part(file, CERTIFICATES, CERTIFICATES)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _largest(parts: Sequence[Part], shown: int = 5) -> str:
    sizes: dict[str, int] = {}
    for part in parts:
        sizes[part.owner] = sizes.get(part.owner, 0) + part.size
    largest = sorted(sizes, key=lambda owner: -sizes[owner])[:shown]
    return ", ".join(f"{owner} {sizes[owner] / MIB:.1f}" for owner in largest) + " MiB"


def main() -> None:
    """Build the packages that the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the packages of the Lambda functions and the job.")
    parser.add_argument("--runtime", default=Target.runtime, choices=RUNTIMES)
    parser.add_argument("--architecture", default=Target.architecture, choices=tuple(MACHINES))
    parser.add_argument("--model", type=Path, help="the directory of a model to put beside those that ship")
    parser.add_argument("--sslrootcert", type=Path, help=f"certificate authorities, for /var/task/{CERTIFICATES}")
    parser.add_argument("--job", action="store_true", help="build the package of the job on EMR Serverless too")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="where the packages go")
    given = parser.parse_args()
    target, extras = Target(given.runtime, given.architecture), Extras(given.model, given.sslrootcert)
    try:
        for function in FUNCTIONS:
            print(build(function, target, given.output, extras), flush=True)
        if given.job:
            print(build(JOB, replace(target, runtime=JOB_RUNTIME), given.output, extras), flush=True)
        write_record(target, given.output, certificates=extras.certificates is not None, job=given.job)
    except PackageError as exc:
        sys.exit(f"package: {exc}")


if __name__ == "__main__":
    main()
