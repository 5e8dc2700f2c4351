"""A run: one command from its start to its end, or one round of `run --every`; with its form as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

OK = "ok"
# How a run ends beside the families of errors: a signal ended it, much was set aside (--fail-on-quarantine), a mistake.
ENDED, SET_ASIDE, UNEXPECTED = "ended", "quarantine", "unexpected"


@dataclass(frozen=True)
class StageRun:
    """What one stage of a run did: the batches that it finished, and the rows that it moved.

    `warnings` counts what went wrong after it without failing it, such as a page that could not be written.
    """

    stage: str
    seconds: float
    batches: tuple[int, ...] = ()
    rows: int = 0
    warnings: int = 0


@dataclass(frozen=True)
class Verified:
    """What a verification found; `tables` counts each table once for each edge, `skipped` the edges left out."""

    tables: int
    differences: int
    skipped: int = 0


@dataclass(frozen=True)
class Run:
    """One run; `started_at` is in UTC.

    `outcome` is `ok`, the family of the error (`TransientError`), `ended` (by a signal), `quarantine` (much was set
    aside, and the command was told to fail then) or `unexpected`. `message` has no values of rows. `verified` is there
    after a verification. `announced` says what the run told the webhook: `failure`, `recovery` or nothing.
    """

    id: str
    command: str
    started_at: datetime
    seconds: float
    exit_code: int
    outcome: str
    message: str = ""
    stages: tuple[StageRun, ...] = ()
    verified: Verified | None = None
    announced: str = ""

    @property
    def rows(self) -> int:
        """Count the rows that the last stage moved: those that the run brought to its end."""
        return self.stages[-1].rows if self.stages else 0

    def encode(self) -> str:
        """Return the run as JSON."""
        return json.dumps({**asdict(self), "started_at": self.started_at.astimezone(UTC).isoformat()})

    @classmethod
    def decode(cls, text: str | bytes) -> "Run":
        """Return the run that JSON holds, or raise ValueError; unknown members are ignored."""
        members = json.loads(text)
        try:
            return cls.of(members, datetime.fromisoformat(members["started_at"]))
        except (AttributeError, KeyError, TypeError) as exc:
            raise ValueError(f"expected a run, got a document without {exc}") from exc

    @classmethod
    def of(cls, members: Mapping[str, Any], started_at: datetime) -> "Run":
        """Make a run of its members, the stages and what was verified as JSON has them."""
        verified = members["verified"]
        return cls(
            id=str(members["id"]),
            command=str(members["command"]),
            started_at=started_at.astimezone(UTC),
            seconds=float(members["seconds"]),
            exit_code=int(members["exit_code"]),
            outcome=str(members["outcome"]),
            message=str(members["message"]),
            stages=tuple(_stage(each) for each in members["stages"]),
            verified=verified and Verified(verified["tables"], verified["differences"], verified["skipped"]),
            announced=str(members["announced"]),
        )


def _stage(members: Mapping[str, Any]) -> StageRun:
    # Older records have no warnings.
    warnings = members.get("warnings", 0)
    return StageRun(members["stage"], members["seconds"], tuple(members["batches"]), members["rows"], warnings)
