"""The function of the second stage, transform."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import tidemark.transform  # noqa: F401 -- loaded while Lambda starts the function, and not in its first run
from tidemark.aws.function import Invocation, invoke
from tidemark.aws.proof import verified
from tidemark.aws.rebuilding import rebuilt_if_asked
from tidemark.verification.latest_star import verify_star

STAGE = "transform"


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Transform the batches that are new in the log, or prove that latest and the star hold the same.

    Where the event asks for it, the star is then made again.
    """
    return invoke(STAGE, event, context, _work)


def _work(invocation: Invocation) -> dict[str, Any]:
    request, pipeline = invocation.request, invocation.pipeline
    if request.verifies:
        return verified(invocation, partial(verify_star, pipeline.model, pipeline.ingestion, pipeline.processed))
    if not request.rebuilds and (left := invocation.left_to_a_task(pipeline.transform.rows_to_come)):
        # Else each run would start a job, and pay for it, until somebody has mended the model.
        pipeline.transform.require_spark_understands()
        return left
    report = pipeline.transform.run(invocation.progress)
    rebuilt = rebuilt_if_asked(
        invocation, "star", lambda progress: pipeline.rebuild(dry_run=False, accepts=request.accepts).star(progress)
    )
    return {**invocation.concluded(report, quarantined=report.set_aside), **rebuilt}
