"""A job for Dagster that brings the warehouse up to date every ten minutes: `dagster dev -f dagster_job.py`.

The settings come from the environment, as those of the command line do (docs/reference.md).
"""

from dagster import (
    Definitions,
    MaterializeResult,
    RetryPolicy,
    ScheduleDefinition,
    asset,
    define_asset_job,
)

from tidemark import run


@asset(retry_policy=RetryPolicy(max_retries=3, delay=60))
def warehouse() -> MaterializeResult:
    """Run Tidemark once; the rows that each table got are shown with the asset."""
    result = run()
    return MaterializeResult(
        metadata={"batches": list(result.batches), "rows": dict(result.rows), "seconds": result.seconds}
    )


job = define_asset_job("tidemark", [warehouse])
defs = Definitions(
    assets=[warehouse], jobs=[job], schedules=[ScheduleDefinition(job=job, cron_schedule="*/10 * * * *")]
)
