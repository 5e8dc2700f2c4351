"""OpenTelemetry: a trace for each run with a span for each stage, and metrics, sent by OTLP over HTTP.

The SDK is OpenTelemetry's own (the extra `otel`), and so are its variables, such as
OTEL_EXPORTER_OTLP_ENDPOINT. Providers are made for each run and not registered for the process, which may have others.
"""

from datetime import UTC, datetime

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from tidemark.report import StageReport
from tidemark.runs.ending import Ending
from tidemark.runs.health import is_failure
from tidemark.runs.run import OK, Run

NAME = "tidemark"
PATIENCE_SECONDS = 3
_NANOSECONDS = 1_000_000_000


class TelemetryWatcher:
    """Sends the trace and the metrics of one run when it ends; `service` is a name that nobody else gave it."""

    def __init__(self, command: str, service: str | None, at: datetime) -> None:
        resource = Resource.create({"service.name": service} if service else None)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=PATIENCE_SECONDS)))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=PATIENCE_SECONDS))
        self._meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._meters.get_meter(NAME)
        self._durations = meter.create_histogram("tidemark.stage.duration", "s", "How long a stage took.")
        self._rows = meter.create_counter("tidemark.stage.rows", "{row}", "Rows that a stage moved.")
        self._runs = meter.create_counter("tidemark.runs", "{run}", "Runs by how they ended.")
        self._set_aside = meter.create_gauge("tidemark.quarantined", "{row}", "Open rows of quarantine.")
        self._tracer = self._tracers.get_tracer(NAME)
        self._run = self._tracer.start_span(f"tidemark {command}", start_time=_nanoseconds(at))
        self._stage: Span | None = None
        self._began = at

    def began(self, stage: str, at: datetime) -> None:
        """Begin the span of a stage."""
        self._began = at
        self._stage = self._tracer.start_span(stage, set_span_in_context(self._run), start_time=_nanoseconds(at))

    def ended(self, stage: str, at: datetime, ending: Ending, report: StageReport | None) -> None:
        """End the span of a stage, and count what it did."""
        labels = {"stage": stage, "outcome": ending.outcome}
        self._durations.record((at - self._began).total_seconds(), labels)
        if self._stage is None:
            return
        if report is not None:
            self._rows.add(report.rows, {"stage": stage})
            self._stage.set_attributes({"tidemark.rows": report.rows, "tidemark.batches": list(report.batches)})
            if stage == "transform":
                self._set_aside.set(report.set_aside)
        elif ending.outcome != OK:
            self._stage.set_status(StatusCode.ERROR, ending.message)
        self._stage.end(_nanoseconds(at))

    def closed(self, run: Run) -> None:
        """End the trace and send everything."""
        self._run.set_attributes(
            {"tidemark.command": run.command, "tidemark.outcome": run.outcome, "tidemark.exit_code": run.exit_code}
        )
        if is_failure(run):
            self._run.set_status(StatusCode.ERROR, run.message)
        end = run.started_at.timestamp() + run.seconds
        self._run.end(_nanoseconds(datetime.fromtimestamp(end, UTC)))
        self._runs.add(1, {"command": run.command, "outcome": run.outcome})
        self._tracers.force_flush(PATIENCE_SECONDS * 1000)
        self._tracers.shutdown()
        self._meters.shutdown(PATIENCE_SECONDS * 1000)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * _NANOSECONDS)
