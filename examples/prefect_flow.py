"""A flow for Prefect that brings the warehouse up to date: `python prefect_flow.py` does so every ten minutes.

The settings come from the environment, as those of the command line do (docs/reference.md).
"""

from prefect import flow, task

from tidemark import run


@task(retries=3, retry_delay_seconds=60)
def bring_up_to_date() -> list[int]:
    """Run Tidemark once, and name the batches that it loaded."""
    result = run()
    return list(result.batches)


@flow(name="tidemark")
def tidemark() -> list[int]:
    """Bring the warehouse up to date."""
    return bring_up_to_date()


if __name__ == "__main__":
    tidemark.serve(name="every-ten-minutes", interval=600)
