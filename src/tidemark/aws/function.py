"""What the functions share: one invocation from its event to its result, with its log, its metrics and its errors.

A warm function keeps its pipeline, which has the addresses from Secrets Manager. When a run fails, they are read again.
Where one has changed, the run is tried once more, so a rotated password does no harm.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.utilities.typing import LambdaContext

from tidemark.aws.metrics import put_report
from tidemark.aws.recording import recorded
from tidemark.aws.request import Request, read_request
from tidemark.disclosure import told_with_kind, traceback_of, visible
from tidemark.errors import TidemarkError, family_of, mask_passwords
from tidemark.pipeline import Pipeline, wire
from tidemark.report import StageReport
from tidemark.runs.recording import Recording
from tidemark.settings import load

# Step Functions keeps 32 KiB of an error's cause, and the traceback is part of the cause too.
LONGEST_TEXT_BYTES = 8192
ROTATION_SECONDS = 5
SCRATCH = "tidemark-function"
SHAPE_OF_LINK = "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"


class UnexpectedError(Exception):
    """Say that something unexpected happened; Step Functions knows it by this name."""


class _Formatter(LambdaPowertoolsFormatter):
    """JSON lines without passwords: a traceback out of a library may quote an address."""

    def serialize(self, log: Any) -> str:  # noqa: ANN401 -- powertools' own signature
        return mask_passwords(super().serialize(log))


@dataclass
class Invocation:
    """One invocation at work: what was asked for, the pipeline, the batch in hand, the seconds until Lambda ends it."""

    stage: str
    request: Request
    pipeline: Pipeline
    logger: Logger
    recording: Recording
    seconds_left: Callable[[], float]

    def progress(self, stage: str, table: str, rows: int, size_bytes: int, seconds: float, batch: int = 0, /) -> None:
        """Log a table that is done; every line from now on names the batch in hand."""
        if batch:
            self.logger.append_keys(batch=batch)
        if seconds:
            counts = {"table": table, "rows": rows, "bytes": size_bytes, "seconds": round(seconds, 3)}
            self.logger.info("%s: %s", stage, table, extra=counts)

    def concluded(self, report: StageReport, warning: str = "", **more: object) -> dict[str, Any]:
        """Put a stage's metrics, and give what the function returns: only counts, because a state holds 256 KiB.

        `warning` says what went wrong after the stage without failing it.
        """
        put_report(report)
        self.recording.finished(report, warning)
        return {
            "batch": report.newest,
            "batches": len(report.batches),
            "rows": report.rows,
            "bytes": report.bytes,
            "seconds": round(report.seconds, 3),
            "watermark": report.watermark.isoformat() if report.watermark else None,
            **more,
        }

    def left_to_a_task(self, count: Callable[[], int]) -> dict[str, Any] | None:
        """Give what the function returns where as many rows as it counts are left to a task or job, else None."""
        from_rows = self.request.from_rows
        if from_rows is None or (rows := count()) < from_rows:
            return None
        self.logger.info("about %d rows are to come, and from %d on it leaves them to a task", rows, from_rows)
        return {"batches": 0, "rows": 0, "rows_to_come": rows}


Work = Callable[[Invocation], Mapping[str, Any]]


def invoke(stage: str, event: object, context: LambdaContext, work: Work) -> dict[str, Any]:
    """Do a stage's work for an event.

    Args:
        stage: the function's stage, for log, metrics and messages.
        event: see `read_request`.
        context: what Lambda says about the invocation.
        work: does the work, and gives what the function returns.

    Returns:
        The stage and what `work` gave.

    Raises:
        TidemarkError: the class of the family itself, because Step Functions matches names exactly. Its text has at
            most 8 KiB and is for people: message, batch, what to do, link to the log.
        UnexpectedError: anything else went wrong.
    """
    logger = _logger()

    def logged(event: object, context: LambdaContext) -> dict[str, Any]:
        logger.append_keys(stage=stage, batch=0)
        try:
            _clear_scratch()
            request = read_request(event)
            logger.append_keys(execution=request.execution or None)
            logger.info("%s begins", stage, extra={"request": _shown(request)})
            result = {"stage": stage, **_attempt(stage, request, logger, partial(_seconds_left, context), work)}
        except Exception as exc:  # noqa: BLE001 -- translated, logged and raised again
            _fail(stage, exc, context, logger)
        # This takes the place of the poll's own batch number, which a poll that finds nothing has too.
        logger.append_keys(batch=result.get("batch", 0))
        logger.info("%s ends", stage, extra={name: each for name, each in result.items() if name != "stage"})
        return result

    inject: Any = logger.inject_lambda_context(logged, clear_state=True)
    answer: dict[str, Any] = inject(event, context)
    return answer


class _Kept:
    """The pipeline that a warm function keeps."""

    pipeline: Pipeline | None = None


def _seconds_left(context: LambdaContext) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000


def _attempt(
    stage: str, request: Request, logger: Logger, seconds_left: Callable[[], float], work: Work
) -> Mapping[str, Any]:
    pipeline = _Kept.pipeline or wire(load({}, directory=Path.cwd()))
    _Kept.pipeline = pipeline
    with recorded(lambda: _Kept.pipeline or pipeline, stage, request) as recording:
        try:
            return work(Invocation(stage, request, pipeline, logger, recording, seconds_left))
        except TidemarkError as exc:
            renewed = _renewed(pipeline, exc, logger)
            if renewed is None:
                raise
            text = "%s: %s; the secret has changed since it was read: trying with the new one"
            logger.warning(text, stage, exc.message)
            _Kept.pipeline = renewed
            return work(Invocation(stage, request, renewed, logger, recording, seconds_left))


def _renewed(pipeline: Pipeline, exc: TidemarkError, logger: Logger) -> Pipeline | None:
    """Wire the pipeline anew where a secret has changed; None where no secret has, or where they cannot be read."""
    try:
        renewed = pipeline.renewed()
        if renewed is None and exc.facts.get("is_refusal"):
            # A rotation changes the password first and the secret a moment later.
            time.sleep(ROTATION_SECONDS)
            renewed = pipeline.renewed()
    except TidemarkError as other:
        logger.warning("the secrets could not be read again: %s", other.message)
        return None
    return renewed


def _clear_scratch() -> None:
    """Empty the directory for scratch files: /tmp outlives an invocation that was ended before it was done.

    A Lambda environment runs one invocation at a time, so nobody else uses the directory.
    """
    folder = _scratch()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tempfile.tempdir = str(folder)


@cache
def _scratch() -> Path:
    return Path(tempfile.gettempdir()) / SCRATCH


def _fail(stage: str, exc: Exception, context: LambdaContext, logger: Logger) -> NoReturn:
    batch = exc.facts.get("batch") if isinstance(exc, TidemarkError) else None
    batch = batch or logger.get_current_keys().get("batch")
    link = log_link(context)
    if isinstance(exc, TidemarkError):
        family = family_of(exc)
        logger.error("%s: %s", stage, exc.message, extra={"family": family.__name__, "advice": exc.advice})
        raise family(failure_text(stage, exc.message, exc.advice, batch, link)) from None
    logger.error("%s: %s", stage, type(exc).__name__, extra={"exception": traceback_of(exc)})
    advice = "this is a mistake in Tidemark: please report it with the traceback, which the log has"
    message = mask_passwords(told_with_kind(exc))
    raise UnexpectedError(failure_text(stage, message, advice, batch, link)) from None


def failure_text(stage: str, message: str, advice: str, batch: object, link: str) -> str:
    """Write for people what went wrong, in at most 8 KiB; a text that is too long loses the end of its message."""
    message = visible(message)
    rest = "\n".join(
        [
            *([f"batch: {batch}"] if batch else []),
            *([f"what to do: {_cut(advice, LONGEST_TEXT_BYTES // 4)}"] if advice else []),
            f"log: {link}",
        ]
    )
    return f"{_cut(f'{stage}: {message}', LONGEST_TEXT_BYTES - len(rest.encode()) - 1)}\n{rest}"


def log_link(context: LambdaContext) -> str:
    """Give the address of an invocation's log in the CloudWatch console."""
    region = context.invoked_function_arn.split(":")[3]
    parts = [context.log_group_name, "log-events", context.log_stream_name]
    # After the # the console decodes values twice, and the characters between them once, with $ for the outer %.
    place = "/".join(map(_twice_quoted, parts))
    pattern = quote("?filterPattern=", safe="") + _twice_quoted(f'"{context.aws_request_id}"')
    return SHAPE_OF_LINK.format(region=region) + f"{place}{pattern}".replace("%", "$")


def _twice_quoted(text: str) -> str:
    return quote(quote(text, safe=""), safe="")


def _cut(text: str, longest_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= longest_bytes:
        return text
    return encoded[: longest_bytes - len("…".encode())].decode(errors="ignore") + "…"


def _shown(request: Request) -> dict[str, object]:
    if request.span:
        return {"backfill": [each.isoformat() for each in request.span], "tables": list(request.tables)}
    if request.rebuilds:
        return {"rebuild": request.rebuilds, "accept_differences": request.accepts}
    return {"verify": True} if request.verifies else {}


@cache
def _logger() -> Logger:
    # botocore logs at each start where it found credentials, in a line without the members of the other lines.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # The modules' loggers are below this name, so their lines are JSON with the same members.
    return Logger(service="tidemark", logger_formatter=_Formatter(utc=True, use_rfc3339=True))
