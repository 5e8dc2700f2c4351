"""A whole run for programs: `tidemark.run()` brings the warehouse up to date, once, and returns what it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from tidemark.dashboard.published import published_after
from tidemark.pipeline import Pipeline, wire
from tidemark.report import STAGES, Progress, StageReport, quiet
from tidemark.runs.recording import Recording, recorded
from tidemark.runs.run import Run
from tidemark.runs.watching import Watchers
from tidemark.settings import load


class Given(TypedDict, total=False):
    """The settings by name, each a text as its variable has it (`lag="5s"`)."""

    source_url: str
    warehouse_url: str
    ingestion: str
    processed: str
    pointer: str
    source_secret: str
    warehouse_secret: str
    mask_salt: str
    mask_salt_secret: str
    model: str
    schemas: str
    include: str
    exclude: str
    engine: str
    engine_secret: str
    lag: str
    yield_after: str
    workers: str
    memory_limit: str
    sslrootcert: str
    show_values: str
    dashboard_token: str
    dashboard_page: str
    freshness: str
    webhook_url: str
    webhook_secret: str


@dataclass(frozen=True)
class RunResult:
    """What a run did: the batches that it loaded, the rows that each table of the warehouse got, and its stages."""

    batches: tuple[int, ...]
    rows: Mapping[str, int]
    seconds: float
    stages: tuple[StageReport, ...]


def run(**settings: Unpack[Given]) -> RunResult:
    """Bring the warehouse up to date: ingest, transform, load; each stage is tried once.

    Args:
        settings: win over the environment, and that over `tidemark.toml` in the working directory.

    Returns:
        What the run did.

    Raises:
        TidemarkError: one of its families, see `tidemark.errors`. What is away is a TransientError: try again later.
    """
    flags: Mapping[str, object] = settings
    pipeline = wire(load({name: str(value) for name, value in flags.items()}, directory=Path.cwd()))
    pipeline.require("source", "warehouse")
    return run_stages(pipeline, watchers=pipeline.watchers("run"))


def run_stages(pipeline: Pipeline, progress: Progress = quiet, watchers: Watchers | None = None) -> RunResult:
    """Run the three stages of a pipeline once, and put the run into the record; see `run`."""

    def keep(run: Run, recording: Recording) -> None:
        pipeline.records.keep(run, is_warehouse_away=recording.is_warehouse_away)

    with recorded("run", pipeline.clock, keep, watchers=watchers) as recording:
        reports = []
        for stage in STAGES:
            recording.begin(stage)
            report: StageReport = getattr(pipeline, stage).run(progress)
            recording.finished(report, published_after(pipeline, report))
            reports.append(report)
        seconds = recording.seconds
    loaded = reports[-1]
    return RunResult(loaded.batches, {name: each.rows for name, each in loaded.tables.items()}, seconds, tuple(reports))
