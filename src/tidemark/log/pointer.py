"""Keep the pointer: how far the last poll came, in a file or in Parameter Store.

It is a cache. The truth is the newest manifest, so losing the pointer costs nothing but a little reading. A pointer
that cannot be read is still an error, because something other than Tidemark wrote it.
"""

import json
import os
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tidemark.errors import ConfigError, StateError, TransientError
from tidemark.faults import effect
from tidemark.objects import make_directory, refusal

_SSM = "ssm:"
# A parameter cannot be empty. Terraform makes it with this text before the first poll, so that it also removes it.
NONE_YET = "{}"
APART = (
    "check TIDEMARK_POINTER and TIDEMARK_INGESTION: do they belong together? If the bucket was lost, restore it from"
    " its older versions or a backup: nothing else holds the history. To begin a new log, delete the pointer, and name"
    " an empty TIDEMARK_PROCESSED and an empty database as the warehouse; then tidemark init and tidemark run"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Hold what the last poll left behind; all times are in UTC.

    `polls` counts the polls, because some tables are not swept in every poll (`sweep_every`). `sums` names the object
    with the sums of latest as of the batch, see `log/sums.py`. `bound` is the digest of the model and the columns of
    which the last poll knew that the SELECTs can read them.
    """

    pipeline_id: str
    batch: int
    watermark: datetime | None
    checked_at: datetime
    polls: int = 0
    sums: str | None = None
    bound: str | None = None

    def encode(self) -> str:
        """Return the pointer as JSON."""
        return json.dumps(asdict(self), default=_encode_time)

    @classmethod
    def decode(cls, text: str) -> "Pointer":
        """Return the pointer that JSON holds, or raise ValueError; unknown members are ignored."""
        members = json.loads(text)
        if not isinstance(members, dict):
            raise ValueError(f"expected a JSON object, got {type(members).__name__}")  # noqa: TRY004 -- as json does
        batch = members.get("batch")
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 0:
            raise ValueError(f"expected a batch number, got {batch!r}")
        watermark = members.get("watermark")
        return cls(
            pipeline_id=str(uuid.UUID(_text(members, "pipeline_id"))),
            batch=batch,
            watermark=None if watermark is None else _decode_time(_text(members, "watermark")),
            checked_at=_decode_time(_text(members, "checked_at")),
            polls=int(members.get("polls", 0)),
            sums=None if members.get("sums") is None else _text(members, "sums"),
            bound=None if members.get("bound") is None else _text(members, "bound"),
        )


def misfit(pointer: Pointer | None, last_batch: int, pipeline_id: str | None, *, has_batch: bool) -> StateError | None:
    """Say why pointer and log do not belong together, None if they do.

    Args:
        pointer: the pointer, if there is one.
        last_batch: the last batch of the log, 0 for none.
        pipeline_id: the pipeline of that batch.
        has_batch: whether the log has the batch that the pointer names.
    """
    if pointer is None:
        return None
    if pointer.batch and not has_batch:
        end = f"ends with batch {last_batch}" if last_batch else "holds no batch"
        message = f"the pointer names batch {pointer.batch}, and the ingestion bucket {end}"
    elif last_batch and pointer.pipeline_id != pipeline_id:
        message = f"the pointer is of pipeline {pointer.pipeline_id}, the manifests are of {pipeline_id}"
    else:
        return None
    return StateError(message, advice=APART)


class PointerStore(Protocol):
    """Read and write one pointer."""

    def read(self) -> Pointer | None:
        """Return the pointer, or None where there is none yet."""

    def write(self, pointer: Pointer) -> None:
        """Put the pointer in the place of the one before."""


def open_pointer(location: str) -> PointerStore:
    """Open `ssm:/path` in Parameter Store, or a file; nothing is read or written yet."""
    if not location.startswith(_SSM):
        return FilePointer(Path(location))
    return ParameterPointer(location.removeprefix(_SSM))


class FilePointer:
    """Keep the pointer in a file, which is replaced whole: a reader sees the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser().absolute()

    def read(self) -> Pointer | None:
        """Return the pointer, or None where there is none yet."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            advice = refusal(exc.errno, str(self._path.parent))
            raise ConfigError(f"the pointer {self._path} cannot be read: {exc}", advice=advice) from exc
        return _decode(text, str(self._path), f"delete {self._path}")

    def write(self, pointer: Pointer) -> None:
        """Put the pointer in the place of the one before."""
        temporary = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}.tmp")
        try:
            make_directory(self._path.parent)
            try:
                with open(temporary, "x", encoding="utf-8", opener=_privately) as file:
                    file.write(pointer.encode() + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                with effect("pointer"):
                    temporary.replace(self._path)
            finally:
                temporary.unlink(missing_ok=True)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
            raise ConfigError(f"the pointer {self._path} cannot be written: {exc}") from exc
        except OSError as exc:
            if advice := refusal(exc.errno, str(self._path.parent)):
                message = f"the pointer {self._path} cannot be written: {exc}"
                raise ConfigError(message, advice=advice) from exc
            message = f"the pointer {self._path} could not be written: {exc}"
            raise TransientError(message, advice="check the disk, then run it again") from exc


class ParameterPointer:
    """Keep the pointer in a parameter of the standard tier, whose limit of 4 KB is far more than it needs."""

    def __init__(self, name: str) -> None:
        # Loading boto3 takes a tenth of a second, which a run on one machine does not need.
        from tidemark.objects.aws_client import open_client, open_session  # noqa: PLC0415

        self._name = name
        self._client = open_client(open_session(), "ssm")

    def read(self) -> Pointer | None:
        """Return the pointer, or None where there is none yet."""
        from tidemark.objects.aws_client import aws_errors  # noqa: PLC0415 -- as above

        with aws_errors(f"parameter {self._name}"):
            try:
                text = self._client.get_parameter(Name=self._name)["Parameter"]["Value"]
            except self._client.exceptions.ParameterNotFound:
                return None
        return _decode(text, f"ssm:{self._name}", f"delete the parameter {self._name}")

    def write(self, pointer: Pointer) -> None:
        """Put the pointer in the place of the one before."""
        from tidemark.objects.aws_client import aws_errors  # noqa: PLC0415 -- as above

        with aws_errors(f"parameter {self._name}"), effect("pointer"):
            self._client.put_parameter(
                Name=self._name, Value=pointer.encode(), Type="String", Tier="Standard", Overwrite=True
            )


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _decode(text: str | bytes, place: str, remedy: str) -> Pointer | None:
    if text == NONE_YET:
        return None
    try:
        return Pointer.decode(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as exc:
        advice = f"it is only a cache: {remedy}, and the next run rebuilds it from the manifests"
        raise StateError(f"the pointer {place} cannot be understood: {exc}", advice=advice) from exc


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise ValueError(f"expected a text as {name}, got {value!r}")  # noqa: TRY004 -- one error for all that is wrong
    return value


def _encode_time(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"expected a time with a zone, got {time!r}")
    return time.astimezone(UTC).isoformat()


def _decode_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"expected a time with a zone, got {text!r}")
    return time.astimezone(UTC)
