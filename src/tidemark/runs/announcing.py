"""What the webhook is told: whether a run is a failure or a recovery that is to be told, and the message about it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from tidemark.runs.health import is_failure
from tidemark.runs.run import OK, Run

Event = Literal["failure", "recovery"]
# The only command of which anybody is told: somebody sits before the others.
ANNOUNCED = "run"
PAUSE = timedelta(hours=1)
# What Slack reads as a link, a mention or a command, and what other chats read as a mention.
ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}


@dataclass(frozen=True)
class Announcement:
    """A message of a pipeline: its number, what it told, and when a failure was told last."""

    number: int
    event: Event
    failed_at: datetime

    def encode(self, run_id: str) -> str:
        """Return the announcement as JSON, with the run that makes it, so that no two runs write the same."""
        return json.dumps({**asdict(self), "failed_at": self.failed_at.isoformat(), "run": run_id}) + "\n"

    @classmethod
    def decode(cls, text: str | bytes) -> "Announcement":
        """Return the announcement that JSON holds, or raise ValueError."""
        try:
            members = json.loads(text)
            event: Event = "failure" if members["event"] == "failure" else "recovery"
            return cls(int(members["number"]), event, datetime.fromisoformat(members["failed_at"]))
        except (KeyError, TypeError) as exc:
            raise ValueError(f"expected an announcement, got a document without {exc}") from exc


@dataclass(frozen=True)
class Subject:
    """Which pipeline a message is about: its model, and its databases as messages name them."""

    model: str
    source: str | None = None
    warehouse: str | None = None


def due(run: Run, last: Announcement | None, now: datetime) -> Announcement | None:
    """Say what is to be told of a `run`, None if nothing is.

    A failure is told, and not again within an hour, even if the pipeline was well in between. The recovery from a
    failure that was told is told once.
    """
    number = last.number + 1 if last else 1
    if run.outcome == OK and last and last.event == "failure":
        return Announcement(number, "recovery", last.failed_at)
    if is_failure(run) and (last is None or now - last.failed_at >= PAUSE):
        return Announcement(number, "failure", now)
    return None


def message(event: Event, run: Run, subject: Subject) -> Mapping[str, object]:
    """Write the document that is posted: Slack and its like show `text`; the other members are for programs."""
    where = f"{subject.source or 'no source'} to {subject.warehouse or 'no warehouse'}, model {subject.model}"
    moment = f"{run.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if event == "failure":
        text = f"Tidemark: the run of {moment} failed ({where}). {run.outcome}: {run.message}"
    else:
        text = f"Tidemark: runs go well again since {moment} ({where})."
    return {
        "text": "".join(ESCAPED.get(letter, letter) for letter in text),
        "event": event,
        "pipeline": asdict(subject),
        "run": json.loads(run.encode()),
    }
