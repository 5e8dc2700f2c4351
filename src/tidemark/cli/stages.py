"""The commands that move rows: `run`, and each of its stages alone."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.amounts import shown_bytes
from tidemark.cli.metrics_file import MetricsFile, checked_place
from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import err, is_quiet, new_table, out, print_json, say, shown_count, shown_time
from tidemark.cli.progress import progress_shown
from tidemark.cli.recording import QUARANTINE_EXIT, recorded
from tidemark.cli.schedule import Stop, attempted, repeated, stopped_by_signals
from tidemark.dashboard.published import published_after
from tidemark.errors import ConfigError, OvertakenError, TidemarkError, TransientError
from tidemark.report import STAGES

if TYPE_CHECKING:
    from tidemark.compact import CompactReport
    from tidemark.pipeline import Database, Pipeline
    from tidemark.report import Progress, StageReport
    from tidemark.runs.recording import Recording

logger = logging.getLogger(__name__)

Attempts = Annotated[
    int, typer.Option(min=1, help="How often a stage is tried while something is away, with growing pauses.")
]
ATTEMPTS = 4
COMPACT_AFTER = 50
FailOnQuarantine = Annotated[
    bool,
    typer.Option(
        "--fail-on-quarantine", help="End with 7 where more than 1 % of the rows of a star table were set aside."
    ),
]


@dataclass(frozen=True)
class Plan:
    """What a command is to do: its stages, how often each is tried, and what follows them."""

    command: str
    stages: Sequence[str]
    attempts: int
    compact_after: int = 0
    fails: bool = False
    metrics: Path | None = None


def run(
    ctx: typer.Context,
    *,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Keep going: once every 30s, 10m or 2h, until stopped.")
    ] = None,
    compact_after: Annotated[
        int, typer.Option(min=0, metavar="BATCHES", help="Compact the lake after so many; 0 for never.")
    ] = COMPACT_AFTER,
    attempts: Attempts = ATTEMPTS,
    fail_on_quarantine: FailOnQuarantine = False,
    metrics_file: MetricsFile = None,
) -> None:
    """Bring the warehouse up to date: ingest, transform, load.

    After each batch whose number is a multiple of --compact-after it compacts the lake too, so that later runs take no
    longer than the first. A source or warehouse that is away is tried again.

    With --every it keeps going, and with --json it prints one document, on one line, for each round. On SIGTERM or
    Ctrl-C it then finishes the batch in hand and ends with 0.

    Where more than 1 % of a table's rows were set aside, it says so at the end.

    Example: `tidemark run --every 10m`
    """
    from tidemark.settings import parse_duration  # noqa: PLC0415 -- `--help` does without

    called = invocation(ctx)
    called.pipeline().require("source", "warehouse")
    plan = Plan("run", STAGES, attempts, compact_after, fail_on_quarantine, checked_place(metrics_file))
    if every is None:
        _run_once(called, plan)
        return
    every_seconds = parse_duration(every).total_seconds()
    if every_seconds <= 0:
        raise ConfigError(f"expected a time above zero after --every, got {every!r}")
    with stopped_by_signals() as stop:
        tick = partial(_tick, called, plan, stop)
        repeated(tick, every_seconds=every_seconds, stop=stop)


def ingest(ctx: typer.Context, *, attempts: Attempts = ATTEMPTS) -> None:
    """Poll the source once: its changes become a batch of the change log.

    Example: `tidemark ingest --source-url postgresql://reader@db/shop`
    """
    _run_stage(ctx, "ingest", attempts, "source")


def transform(
    ctx: typer.Context, *, attempts: Attempts = ATTEMPTS, fail_on_quarantine: FailOnQuarantine = False
) -> None:
    """Turn the batches that are new in the change log into rows of the star schema.

    Example: `tidemark transform --ingestion s3://shop-log --processed s3://shop-star`
    """
    _run_stage(ctx, "transform", attempts, fails=fail_on_quarantine)


def load(ctx: typer.Context, *, attempts: Attempts = ATTEMPTS) -> None:
    """Bring the batches that are new in the star schema into the warehouse.

    Example: `tidemark load --warehouse-url postgresql://loader@db/warehouse`
    """
    _run_stage(ctx, "load", attempts, "warehouse")


def show_reports(reports: Sequence["StageReport"]) -> None:
    """Print for each stage its tables with rows, bytes and seconds."""
    for report in reports:
        if not report.batches:
            say(f"{report.stage}: nothing new ({report.seconds:.1f} s)")
            continue
        out().print(_table(report))
        if report.watermark:
            out().print(f"watermark {shown_time(report.watermark)}", style="dim")


def describe(report: "StageReport") -> dict[str, object]:
    """Return a stage's report as `--json` prints it."""
    return {**asdict(report), "rows": report.rows, "bytes": report.bytes}


def _run_stage(ctx: typer.Context, stage: str, attempts: int, *databases: "Database", fails: bool = False) -> None:
    called = invocation(ctx)
    called.pipeline().require(*databases)
    _run_once(called, Plan(stage, (stage,), attempts, fails=fails))


def _run_once(called: Invocation, plan: Plan) -> None:
    _clear_up()
    pipeline = called.pipeline()
    with recorded(pipeline, plan.command, metrics=plan.metrics) as recording:
        with progress_shown() as progress:
            # Ctrl-C ends the wait like everything else.
            wait = Stop().wait
            reports = [_staged(pipeline, stage, progress, recording, plan.attempts, wait) for stage in plan.stages]
        compacted = _compacted(pipeline, recording) if _is_due(reports, plan.compact_after) else None
        if called.as_json:
            print_json(_document(reports, compacted))
        else:
            show_reports(reports)
            if compacted:
                out().print(_sentence_of(compacted), style="dim")
        _warn_of_quarantine(reports, recording, fails=plan.fails)


def _staged(
    pipeline: "Pipeline",
    stage: str,
    progress: "Progress",
    recording: "Recording",
    attempts: int,
    wait: Callable[[float], bool],
) -> "StageReport":
    recording.begin(stage)
    report = attempted(partial(_work, pipeline, stage, progress), name=stage, attempts=attempts, wait=wait)
    recording.finished(report, published_after(pipeline, report))
    return report


def _clear_up() -> None:
    """Remove the scratch folders of commands that were killed."""
    from tidemark.lake.scratch import remove_leftovers  # noqa: PLC0415 -- a command imports what it needs when it runs

    remove_leftovers()


def _warn_of_quarantine(reports: Sequence["StageReport"], recording: "Recording", *, fails: bool) -> None:
    """Say it last, and on stderr, where a good part of a table's rows did not reach it; with `fails`, end with 7."""
    texts = []
    tables = [(name, each) for report in reports for name, each in report.tables.items() if each.is_much_set_aside]
    for name, each in tables:
        total = each.rows + each.set_aside
        text = f"{name}: {shown_count(each.set_aside)} of {shown_count(total)} rows were set aside"
        text += f" ({each.set_aside / total:.0%}) and are missing there: see tidemark quarantine list"
        texts.append(text)
        if not is_quiet():
            err().print(text, style="bold red", markup=False, soft_wrap=True)
    recording.message = "; ".join(texts)
    if tables and fails:
        raise typer.Exit(QUARANTINE_EXIT)


def _tick(called: Invocation, plan: Plan, stop: Stop) -> bool:
    # The pipeline is wired anew each time, because a password in Secrets Manager may have changed or a token expired.
    pipeline = called.pipeline()
    _clear_up()
    with recorded(pipeline, plan.command, metrics=plan.metrics) as recording:
        reports, went_well = _round(pipeline, recording, plan.attempts, stop)
        is_due = _is_due(reports, plan.compact_after) and not stop.requested
        compacted = _compacted(pipeline, recording) if is_due else None
        if called.as_json:
            print_json(_document(reports, compacted), in_one_line=True)
        else:
            done = [*map(_sentence, reports), *([_sentence_of(compacted)] if compacted else [])]
            out().print(f"{pipeline.clock():%Y-%m-%d %H:%M:%S} UTC  {'; '.join(done) or 'nothing done'}")
        _warn_of_quarantine(reports, recording, fails=plan.fails)
    return went_well


def _round(pipeline: "Pipeline", recording: "Recording", attempts: int, stop: Stop) -> tuple[list["StageReport"], bool]:
    """Do the stages one after the other; say whether all went well, or something was away."""
    reports, went_well = [], True
    with progress_shown() as progress:
        for stage in STAGES:
            try:
                reports.append(_staged(pipeline, stage, progress, recording, attempts, stop.wait))
            except OvertakenError as exc:
                logger.warning("%s: %s", stage, exc.message)
                recording.failed(exc)
            except TransientError as exc:
                # The later stages still run, because they may have batches of earlier rounds to bring in.
                # With its advice, because a schedule shows an error nowhere else.
                logger.error("%s: %s", stage, exc)  # noqa: TRY400 -- foreseen, no traceback
                recording.failed(exc)
                went_well = False
    return reports, went_well


def _document(reports: Sequence["StageReport"], compacted: "CompactReport | None") -> dict[str, object]:
    document: dict[str, object] = {"stages": [describe(report) for report in reports]}
    return document | ({"compaction": asdict(compacted)} if compacted else {})


def _is_due(reports: Sequence["StageReport"], compact_after: int) -> bool:
    """Say whether this round loaded a batch after which the lake is to be compacted: every so many, by its number."""
    loaded = [batch for report in reports if report.stage == "load" for batch in report.batches]
    return compact_after > 0 and any(batch % compact_after == 0 for batch in loaded)


def _compacted(pipeline: "Pipeline", recording: "Recording") -> "CompactReport | None":
    """Compact the lake, as `tidemark compact` does; a failure is logged, because runs go on without it."""
    from tidemark.compact import RETENTION  # noqa: PLC0415 -- a command imports what it needs when it runs

    try:
        with progress_shown() as progress:
            report = pipeline.compact(RETENTION).run(progress=progress)
    except TidemarkError as exc:
        logger.warning("compact: %s; tidemark compact does it by hand", exc.message)
        return None
    recording.did("compact")
    return report


def _sentence_of(compacted: "CompactReport") -> str:
    tables = compacted.tables.values()
    rewritten, written, removed = (
        sum(getattr(table, name) for table in tables) for name in ("rewritten", "written", "removed")
    )
    return (
        f"compact: {shown_count(rewritten)} files into {shown_count(written)}, {shown_count(removed)} old ones removed"
    )


def _work(pipeline: "Pipeline", stage: str, progress: "Progress") -> "StageReport":
    # The stage is given by name, because its part is made here, within the attempt: making it may need AWS.
    report: StageReport = getattr(pipeline, stage).run(progress)
    return report


def _sentence(report: "StageReport") -> str:
    if not report.batches:
        return f"{report.stage}: nothing new"
    return f"{report.stage}: {_batches(report)}, {shown_count(report.rows)} rows, {report.seconds:.1f} s"


def _batches(report: "StageReport") -> str:
    first, last = min(report.batches), max(report.batches)
    return f"batch {first}" if first == last else f"batches {first} to {last}"


def _table(report: "StageReport"):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- Rich is imported late
    kinds = ("inserted", "updated", "deleted") if report.stage == "ingest" else ()
    columns = ("rows", *kinds, "bytes", "seconds")
    table = new_table("table", *columns, numbers=columns, title=f"{report.stage}: {_batches(report)}")
    moved = {name: each for name, each in report.tables.items() if each.rows}
    for name, each in moved.items():
        counts = [shown_count(getattr(each, kind)) for kind in ("rows", *kinds)]
        seconds = f"{each.seconds:.2f}" if each.seconds else ""
        table.add_row(name, *counts, shown_bytes(each.bytes) if each.bytes else "", seconds)
    if len(moved) < len(report.tables):
        table.add_row(f"{len(report.tables) - len(moved)} more tables", "0", style="dim")
    table.add_section()
    totals = [shown_count(sum(getattr(each, kind) for each in report.tables.values())) for kind in ("rows", *kinds)]
    size = shown_bytes(report.bytes) if report.bytes else ""
    table.add_row("all", *totals, size, f"{report.seconds:.2f}", style="bold")
    return table
