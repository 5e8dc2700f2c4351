"""The function of the third stage, load."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import tidemark.load  # noqa: F401 -- loaded while Lambda starts the function, and not in its first run
from tidemark.aws.function import Invocation, invoke
from tidemark.aws.metrics import put_freshness
from tidemark.aws.proof import verified
from tidemark.aws.rebuilding import rebuilt_if_asked
from tidemark.dashboard.published import publish
from tidemark.report import StageReport
from tidemark.verification.star_warehouse import verify_warehouse

STAGE = "load"
# For the rest of an invocation: to draw and to put the page, and to record the run.
RESERVE = timedelta(seconds=15)


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Load the batches that are new in the star, or prove that the star and the warehouse hold the same.

    Where the event asks for it, the warehouse is made again first.
    """
    return invoke(STAGE, event, context, _work)


def _work(invocation: Invocation) -> dict[str, Any]:
    pipeline = invocation.pipeline
    if invocation.request.verifies:
        return verified(
            invocation, partial(verify_warehouse, pipeline.star_model, pipeline.processed, pipeline.warehouse_url)
        )
    if not invocation.request.rebuilds and (left := invocation.left_to_a_task(pipeline.load.rows_to_come)):
        return left
    # First, because a load refuses tables that do not belong to the ledger.
    rebuilt = rebuilt_if_asked(
        invocation, "warehouse", lambda progress: pipeline.rebuild_warehouse(dry_run=False).run(progress)
    )
    report = pipeline.load.run(invocation.progress)
    seconds = _freshness_seconds(invocation, report)
    if seconds is not None:
        put_freshness(seconds)
    warning, written = _published(invocation, is_new=bool(report.batches or rebuilt))
    return {**invocation.concluded(report, warning, freshness_seconds=seconds), **rebuilt, **written}


def _published(invocation: Invocation, *, is_new: bool) -> tuple[str, dict[str, bool]]:
    """Write the page of the dashboard, if that is asked for; give what went wrong, and what the answer says of it.

    What is loaded is loaded: a function that ran out of time here would be tried again for nothing.
    """
    if not (invocation.pipeline.settings.dashboard_page and is_new):
        return "", {}
    warning = publish(invocation.pipeline, timedelta(seconds=invocation.seconds_left()) - RESERVE)
    return warning, {"page_written": not warning}


def _freshness_seconds(invocation: Invocation, report: StageReport) -> float | None:
    """Say how old the state of the source is that the warehouse shows.

    It is as old as this execution's poll where all that the poll found is loaded, else as old as the last batch loaded.
    Without a poll the age is unknown: the newest batch may be old because nothing has changed since.
    """
    ingested = invocation.request.ingested
    checked_at = ingested.get("checked_at")
    if not checked_at:
        return None
    is_loaded = ingested.get("batch") == report.newest
    shown = datetime.fromisoformat(str(checked_at)) if is_loaded else report.captured_at
    return round((invocation.pipeline.clock() - shown).total_seconds(), 3) if shown else None
