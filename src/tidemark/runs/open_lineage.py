"""OpenLineage events: for each stage its start, and its end with the datasets that it read and wrote.

The client is OpenLineage's own (the extra `openlineage`), with variables of its own: OPENLINEAGE_URL.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as LineageRun
from openlineage.client.facet_v2 import error_message_run, output_statistics_output_dataset, parent_run
from openlineage.client.uuid import generate_new_uuid

from tidemark import __version__
from tidemark.report import StageReport
from tidemark.runs.datasets import Datasets
from tidemark.runs.ending import Ending
from tidemark.runs.run import ENDED, OK, Run

# A URI, as the standard asks for.
PRODUCER = f"urn:tidemark:{__version__}"
DEFAULT_NAMESPACE = "tidemark"


class LineageWatcher:
    """Sends an event at the start and at the end of each stage; `namespace` is that of the jobs."""

    def __init__(
        self, datasets: Datasets, job: str, namespace: str, client: Callable[[], OpenLineageClient] = OpenLineageClient
    ) -> None:
        self._client, self._datasets, self._job, self._namespace = client(), datasets, job, namespace
        self._whole = str(generate_new_uuid())
        self._id = ""

    def began(self, stage: str, at: datetime) -> None:
        """Send the start of a stage."""
        self._id = str(generate_new_uuid())
        self._send(RunState.START, stage, at)

    def ended(self, stage: str, at: datetime, ending: Ending, report: StageReport | None) -> None:
        """Send the end of a stage."""
        if report is not None:
            read, wrote = self._datasets.of_stage(stage, list(report.tables))
            inputs = [InputDataset(each.namespace, each.name) for each in read]
            outputs = [
                OutputDataset(each.namespace, each.name, outputFacets={"outputStatistics": _statistics(report, table)})
                for table, each in wrote
            ]
            self._send(RunState.COMPLETE, stage, at, inputs=inputs, outputs=outputs)
        elif ending.outcome in {OK, ENDED}:
            self._send(RunState.COMPLETE if ending.outcome == OK else RunState.ABORT, stage, at)
        else:
            text = f"{ending.outcome}: {ending.message}"
            facet = error_message_run.ErrorMessageRunFacet(message=text, programmingLanguage="PYTHON")
            self._send(RunState.FAIL, stage, at, facets={"errorMessage": facet})

    def closed(self, run: Run) -> None:
        """Send what is not sent yet."""
        del run
        self._client.close(timeout=3)

    def _send(
        self,
        state: RunState,
        stage: str,
        at: datetime,
        *,
        facets: Mapping[str, Any] | None = None,
        inputs: Sequence[InputDataset] = (),
        outputs: Sequence[OutputDataset] = (),
    ) -> None:
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=self._whole), job=parent_run.Job(namespace=self._namespace, name=self._job)
        )
        run = LineageRun(runId=self._id, facets={"parent": parent, **(facets or {})})
        job = Job(namespace=self._namespace, name=f"{self._job}.{stage}")
        event = RunEvent(
            eventType=state,
            eventTime=at.isoformat(),
            run=run,
            job=job,
            producer=PRODUCER,
            inputs=list(inputs),
            outputs=list(outputs),
        )
        self._client.emit(event)


def _statistics(report: StageReport, table: str) -> output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet:
    found = report.tables[table]
    return output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=found.rows, size=found.bytes or None
    )
