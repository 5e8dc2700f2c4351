"""Metrics of a pipeline as Prometheus's text format has them, for the textfile collector of node_exporter.

Names follow Prometheus's conventions: base units, `_seconds` and `_timestamp_seconds`, `_total` for what only grows.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tidemark.errors import ConfigError
from tidemark.runs.health import Health, is_failure
from tidemark.runs.run import OK, Run

COMMAND = "run"
# Whoever collects the file is another user, and no value of a row is in it.
MODE = 0o644
SUCCESS = "tidemark_run_last_success_timestamp_seconds"
_SUCCESS = re.compile(rf"^{SUCCESS} ([0-9.e+]+)$", re.MULTILINE)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", '"': '\\"'}


@dataclass(frozen=True)
class Measured:
    """What is measured: `batches` by place, `rows` in the warehouse and open rows of `quarantine` by table.

    `success` is when a run ended well, as the file said before. It is needed while the warehouse is away, which has the
    record of that run.
    """

    health: Health | None
    runs: Sequence[Run]
    freshness: timedelta | None
    limit: timedelta
    batches: Mapping[str, int | None] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    quarantine: Mapping[str, int] = field(default_factory=dict)
    success: float | None = None


@dataclass(frozen=True)
class Family:
    """One metric: its name, its type, its help, and its samples, each with labels."""

    name: str
    kind: str
    text: str
    samples: Sequence[tuple[Mapping[str, str], float]]

    def lines(self) -> Iterator[str]:
        """Write the metric, or nothing if it has no sample."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {self.text}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{f'{{{shown}}}' if shown else ''} {value!r}"


def written(measured: Measured) -> str:
    """Write everything that is measured."""
    return "".join(f"{line}\n" for family in _families(measured) for line in family.lines())


def success_before(path: Path) -> float | None:
    """Read out of a file of metrics when a run ended well; None if it does not say."""
    try:
        found = _SUCCESS.search(path.read_text("utf-8"))
        return float(found[1]) if found else None
    except (OSError, ValueError):
        return None


def put_file(path: Path, text: str) -> None:
    """Put a text into a file at once: a reader sees the old one or the new one.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        # Not named as a collector expects it, so that none reads it half written.
        number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), MODE)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as exc:
        message = f"the metrics cannot be written to {path}: {exc.strerror}"
        raise ConfigError(message, advice="name a file in a directory that this user may write") from exc


def _families(measured: Measured) -> Iterator[Family]:
    runs = [run for run in measured.runs if run.command == COMMAND]
    known = [_end(run).timestamp() for run in runs if run.outcome == OK]
    known += [] if measured.success is None else [measured.success]
    yield _single(SUCCESS, "When the last run ended that went well.", [max(known)] if known else [])
    yield from _of_last(runs[:1])
    for stage, (name, text) in {
        "seconds": ("tidemark_stage_duration_seconds", "How long each stage of the last run took."),
        "rows": ("tidemark_stage_rows", "Rows that each stage of the last run moved."),
    }.items():
        samples = [({"stage": each.stage}, getattr(each, stage)) for run in runs[:1] for each in run.stages]
        yield Family(name, "gauge", text, samples)
    yield _gauge("tidemark_batch", "The newest batch in each place.", "place", measured.batches)
    fresh = [] if measured.freshness is None else [measured.freshness.total_seconds()]
    yield _single("tidemark_freshness_seconds", "How old the warehouse's state of the source may be.", fresh)
    limit = [measured.limit.total_seconds()]
    yield _single("tidemark_freshness_limit_seconds", "How old it is allowed to be.", limit)
    yield _gauge("tidemark_quarantined_rows", "Open rows of quarantine, by table.", "table", measured.quarantine)
    rows = [({"table": name}, count) for name, count in measured.rows.items()]
    yield Family("tidemark_loaded_rows_total", "counter", "Rows that all batches brought into each table.", rows)
    colours = (
        {colour: int(measured.health.colour == colour) for colour in ("green", "amber", "red")}
        if measured.health
        else {}
    )
    yield _gauge("tidemark_health", "1 for the colour of the pipeline's health, 0 for the others.", "colour", colours)


def _of_last(last: Sequence[Run]) -> Iterator[Family]:
    ended = [_end(run).timestamp() for run in last]
    yield _single("tidemark_run_last_timestamp_seconds", "When the last run ended.", ended)
    codes = [run.exit_code for run in last]
    yield _single("tidemark_run_last_exit_code", "The exit code of the last run.", codes)
    failed = [int(is_failure(run)) for run in last]
    yield _single("tidemark_run_last_failed", "1 if the last run failed, else 0.", failed)
    seconds = [run.seconds for run in last]
    yield _single("tidemark_run_last_duration_seconds", "How long the last run took.", seconds)


def _single(name: str, text: str, values: Sequence[float]) -> Family:
    """Make a metric without labels, which has one value or none."""
    return Family(name, "gauge", text, [({}, value) for value in values])


def _gauge(name: str, text: str, label: str, values: Mapping[str, int | None]) -> Family:
    return Family(name, "gauge", text, [({label: each}, value) for each, value in values.items() if value is not None])


def _end(run: Run) -> datetime:
    return run.started_at + timedelta(seconds=run.seconds)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
