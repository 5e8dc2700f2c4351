"""The function that keeps the lake's files few, once a day."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from tidemark.aws.function import Invocation, invoke
from tidemark.compact import RETENTION

STAGE = "compact"
COUNTS = ("rewritten", "written", "removed", "removed_bytes")


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Compact latest and the star, and remove files that nothing needed for a week.

    Objects of no batch are only counted: no function may delete from the log. `tidemark compact` removes them.
    """
    return invoke(STAGE, event, context, _work)


def _work(invocation: Invocation) -> dict[str, Any]:
    report = invocation.pipeline.compact(RETENTION).run(keep_orphans=True, progress=invocation.progress)
    for path, table in report.tables.items():
        if table.rewritten or table.removed or table.skipped:
            invocation.logger.info("compact: %s", path, extra={"table": path, **asdict(table)})
    counts = {name: sum(getattr(table, name) for table in report.tables.values()) for name in COUNTS}
    return {**counts, "orphans": report.orphans, "leftovers": report.leftovers, "sums": report.sums}
