"""A DAG for Airflow 3 that brings the warehouse up to date every ten minutes; put it into the folder of DAGs.

The settings come from the environment of the workers, as those of the command line do (docs/reference.md).
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task


@dag(
    dag_id="tidemark",
    schedule=timedelta(minutes=10),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
)
def bring_up_to_date() -> None:
    """Bring the warehouse up to date."""

    @task(retries=3, retry_delay=timedelta(minutes=1))
    def run_tidemark() -> list[int]:
        # Imported by the worker that does it, and not whenever Airflow reads the file.
        from tidemark import run  # noqa: PLC0415

        result = run()
        return list(result.batches)

    run_tidemark()


bring_up_to_date()
