"""What OpenLineage and OpenTelemetry are told of a run, by their own clients, over HTTP."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.library import LIBRARY, library_template
from tests.support.office import NOBODY
from tests.support.postgres import Postgres
from tests.support.receiver import Receiver, receiving
from tests.support.site import Site


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    found = Site(new_database(library_template(postgres)), new_database(), tmp_path)
    (tmp_path / "tidemark.toml").write_text(f'model = "{LIBRARY}"\n')
    found.run("init")
    return found


def bodies(receiver: Receiver, ending: str) -> list[bytes]:
    """Give what was posted to the paths that end so, unpacked."""
    found = [(headers, body) for path, headers, body in receiver.posts if path.endswith(ending)]
    return [gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body for headers, body in found]


def stages_of(events: list[Any]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def test_both_are_told_of_each_stage(site: Site, receiver: Receiver) -> None:
    site.run("run", OPENLINEAGE_URL=receiver.url, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    events = [json.loads(body) for body in bodies(receiver, "/lineage")]
    assert stages_of(events) == [
        (f"library.{stage}", state) for stage in ("ingest", "transform", "load") for state in ("START", "COMPLETE")
    ]
    read, loaded = events[1], events[5]
    folder = site.folder / ".tidemark"
    assert {each["name"].split(".", 1)[1] for each in read["inputs"]} == {"public.loan", "public.shelf"}
    assert {each["name"] for each in read["outputs"]} == {
        f"{folder}/ingestion/latest/{name}" for name in ("loan", "shelf")
    }
    assert {each["name"] for each in loaded["inputs"]} >= {f"{folder}/processed/fact/loan"}
    [(loans,)] = site.query(site.warehouse, "select count(*) from fact_loan")
    counts = {
        each["name"].rpartition(".")[2]: each["outputFacets"]["outputStatistics"]["rowCount"]
        for each in loaded["outputs"]
    }
    assert counts["fact_loan"] == loans
    assert len({event["run"]["facets"]["parent"]["run"]["runId"] for event in events}) == 1

    [trace] = [ExportTraceServiceRequest.FromString(body) for body in bodies(receiver, "/v1/traces")]
    spans = {span.name: span for span in trace.resource_spans[0].scope_spans[0].spans}
    assert spans.keys() == {"tidemark run", "ingest", "transform", "load"}
    assert {spans[stage].parent_span_id for stage in ("ingest", "transform", "load")} == {spans["tidemark run"].span_id}
    assert {each.key: each.value.string_value for each in trace.resource_spans[0].resource.attributes}[
        "service.name"
    ] == "tidemark"
    found = [ExportMetricsServiceRequest.FromString(body) for body in bodies(receiver, "/v1/metrics")]
    names = {metric.name for each in found for metric in each.resource_metrics[0].scope_metrics[0].metrics}
    assert names == {"tidemark.stage.duration", "tidemark.stage.rows", "tidemark.runs", "tidemark.quarantined"}


def test_both_are_told_of_a_stage_that_fails(site: Site, receiver: Receiver) -> None:
    site.run(
        "run",
        "--attempts",
        "1",
        expect=3,
        TIDEMARK_WAREHOUSE_URL=NOBODY,
        OPENLINEAGE_URL=receiver.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )

    events = [json.loads(body) for body in bodies(receiver, "/lineage")]
    assert stages_of(events)[-2:] == [("library.load", "START"), ("library.load", "FAIL")]
    assert events[-1]["run"]["facets"]["errorMessage"]["message"].startswith("TransientError: the database at")
    [trace] = [ExportTraceServiceRequest.FromString(body) for body in bodies(receiver, "/v1/traces")]
    spans = {span.name: span for span in trace.resource_spans[0].scope_spans[0].spans}
    assert {name for name, span in spans.items() if span.status.code == span.status.STATUS_CODE_ERROR} == {
        "load",
        "tidemark run",
    }


def test_a_receiver_that_refuses_fails_no_run(site: Site, receiver: Receiver) -> None:
    receiver.codes = [400] * 20

    done = site.run("run", "--json", OPENLINEAGE_URL=receiver.url, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert json.loads(done.stdout)["stages"][2]["batches"] == [1]
    assert len(bodies(receiver, "/lineage")) == 1
    assert "WARNING nobody is told of this run's stages any more" in done.stderr


@pytest.mark.exhaustive
def test_a_receiver_that_is_away_fails_no_run_either(site: Site) -> None:
    away = "http://127.0.0.1:9"

    done = site.run("run", "--json", OPENLINEAGE_URL=away, OTEL_EXPORTER_OTLP_ENDPOINT=away)

    assert json.loads(done.stdout)["stages"][2]["batches"] == [1]
    assert "of this run's stages" in done.stderr
    assert site.query(site.warehouse, "select outcome, seconds < 30 from tidemark.run") == [("ok", True)]
