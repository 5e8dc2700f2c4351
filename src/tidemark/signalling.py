"""Wire what keeps and tells how runs went, for `pipeline.py`: the record, the webhook, who is told of each stage.

The imports within the functions are of what a run without such settings does without.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tidemark.objects import Objects, open_objects
from tidemark.runs.records import Beside, Records
from tidemark.settings import Settings, standard_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tidemark.model import Model
    from tidemark.runs.watching import Watcher, Watchers
    from tidemark.runs.webhook import Webhook

# ruff: noqa: PLC0415

LINEAGE = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
TELEMETRY = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


def records_of(
    settings: Settings,
    clock: Callable[[], datetime],
    warehouse_url: Callable[[], str] | None,
    processed: Callable[[], Objects],
) -> Records:
    """Wire the record of runs."""

    def beside() -> Beside:
        if settings.pointer.startswith("ssm:"):
            return Beside(processed(), "runs/")
        return Beside(open_objects(f"{settings.pointer}.runs"))

    return Records(clock, warehouse_url, beside, _webhook(settings, clock, beside))


def watchers_of(
    settings: Settings,
    clock: Callable[[], datetime],
    command: str,
    model: Callable[[], Model],
    source_url: Callable[[], str] | None,
    warehouse_url: Callable[[], str] | None,
) -> Watchers | None:
    """Wire what is told of each stage: OpenLineage and OpenTelemetry, each where its own variable is set.

    An extra that is not installed is no mistake then, because the variables may be meant for others.
    """
    has_lineage, has_telemetry = bool(standard_variable(*LINEAGE)), bool(standard_variable(*TELEMETRY))
    if not (has_lineage or has_telemetry):
        return None
    from tidemark.runs.watching import Watchers

    def make() -> Iterator[Watcher]:
        if has_lineage:
            with suppress(ModuleNotFoundError):
                from tidemark.runs.datasets import Datasets
                from tidemark.runs.open_lineage import DEFAULT_NAMESPACE, LineageWatcher

                urls = [url() if url else None for url in (source_url, warehouse_url)]
                datasets = Datasets(model, urls[0], settings.ingestion, settings.processed, urls[1])
                namespace = standard_variable("OPENLINEAGE_NAMESPACE") or DEFAULT_NAMESPACE
                yield LineageWatcher(datasets, model().name, namespace)
        if has_telemetry:
            with suppress(ModuleNotFoundError):
                from tidemark.runs.telemetry import NAME, TelemetryWatcher

                service = None if standard_variable("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES") else NAME
                yield TelemetryWatcher(command, service, clock())

    return Watchers(lambda: list(make()), clock)


def _webhook(settings: Settings, clock: Callable[[], datetime], beside: Callable[[], Beside]) -> Webhook | None:
    if not (settings.webhook_url or settings.webhook_secret):
        return None
    from tidemark.postgres.connection import where
    from tidemark.runs.announcing import Subject
    from tidemark.runs.webhook import Webhook

    def url() -> str:
        if settings.webhook_url:
            return settings.webhook_url
        from tidemark.secrets import webhook_url

        return webhook_url(str(settings.webhook_secret))

    def place() -> tuple[Objects, str]:
        found = beside()
        return found.objects, found.folder

    # Databases of which only a secret is known are not named.
    source, warehouse = (each and where(each) for each in (settings.source_url, settings.warehouse_url))
    return Webhook(url, place, Subject(settings.model, source, warehouse), clock)
