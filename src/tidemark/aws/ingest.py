"""The function of the first stage, ingest."""

import time
from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import tidemark.ingest  # noqa: F401 -- loaded while Lambda starts the function, and not in its first run
from tidemark.aws.function import Invocation, invoke
from tidemark.aws.proof import verified
from tidemark.aws.rebuilding import rebuilt_if_asked
from tidemark.errors import OvertakenError, TransientError
from tidemark.log.changelog import newest_batch
from tidemark.report import StageReport, TableReport

STAGE = "ingest"
BACKFILL_ATTEMPTS = 3


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Poll the source, read a range of time again, or prove that the source and latest hold the same.

    Where the event asks for it, latest is then made again.
    """
    return invoke(STAGE, event, context, _work)


def _work(invocation: Invocation) -> dict[str, Any]:
    request, pipeline = invocation.request, invocation.pipeline
    if request.verifies:
        return verified(invocation, pipeline.verify.source_latest)
    is_poll = not (request.span or request.rebuilds)
    if is_poll and (left := invocation.left_to_a_task(pipeline.ingest.new_rows)):
        return left
    report = _backfill(invocation, request.span) if request.span else pipeline.ingest.run(invocation.progress)
    rebuilt = rebuilt_if_asked(
        invocation, "latest", lambda progress: pipeline.rebuild(dry_run=False, accepts=request.accepts).latest(progress)
    )
    counts = {
        kind: sum(getattr(table, kind) for table in report.tables.values())
        for kind in ("inserted", "updated", "deleted")
    }
    # A backfill reads a range of time only, so it says nothing about how fresh everything else is.
    checked_at = report.captured_at.isoformat() if report.captured_at else None
    return {**invocation.concluded(report, **counts, warnings=report.drifts, checked_at=checked_at), **rebuilt}


def _backfill(invocation: Invocation, span: tuple[datetime, datetime]) -> StageReport:
    pipeline = invocation.pipeline
    started = time.perf_counter()
    for attempt in range(1, BACKFILL_ATTEMPTS + 1):
        try:
            found = pipeline.backfill.run(*span, invocation.request.tables, progress=invocation.progress)
            break
        except OvertakenError as exc:
            invocation.logger.warning("backfill: %s (attempt %d of %d)", exc.message, attempt, BACKFILL_ATTEMPTS)
    else:
        # A poll that is overtaken need not run again, because the next one does the same. No schedule asks for a
        # backfill again.
        message = f"a poll overtook the backfill {BACKFILL_ATTEMPTS} times"
        raise TransientError(message, advice="if no further mail about this backfill comes, start it again")
    tables = {
        name: TableReport(
            rows=each.inserted + each.updated + each.deleted,
            bytes=each.bytes,
            inserted=each.inserted,
            updated=each.updated,
            deleted=each.deleted,
        )
        for name, each in found.tables.items()
    }
    newest = found.batch or newest_batch(pipeline.ingestion)
    batches = (found.batch,) if found.batch else ()
    return StageReport(STAGE, batches, tables, time.perf_counter() - started, newest=newest)
