"""The function of the second stage, transform."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

import tidemark.transform  # noqa: F401 -- loaded while Lambda starts the function, and not in its first run
from tidemark.aws.function import Invocation, invoke
from tidemark.aws.proof import verified
from tidemark.verification.latest_star import verify_star

STAGE = "transform"


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Transform the batches that are new in the log, or prove that latest and the star hold the same."""
    return invoke(STAGE, event, context, _work)


def _work(invocation: Invocation) -> dict[str, Any]:
    if invocation.request.verifies:
        pipeline = invocation.pipeline
        return verified(invocation, partial(verify_star, pipeline.model, pipeline.ingestion, pipeline.processed))
    report = invocation.pipeline.transform.run(invocation.progress)
    return invocation.concluded(report, quarantined=report.set_aside)
