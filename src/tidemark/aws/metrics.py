"""The metrics of a run in CloudWatch's embedded metric format: lines of the log that CloudWatch counts by itself.

A table without rows puts no metric, because each metric that is put in an hour costs money.
"""

from collections.abc import Mapping

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from tidemark.report import StageReport

NAMESPACE = "Tidemark"
ROWS: Mapping[str, str] = {"ingest": "RowsIngested", "transform": "RowsTransformed", "load": "RowsLoaded"}


def put_report(report: StageReport) -> None:
    """Put what a stage did: its rows in all and by table, its seconds, and what only this stage knows."""
    totals = {ROWS[report.stage]: float(report.rows)}
    if report.stage == "ingest":
        totals["ContractWarnings"] = report.drifts
    if report.stage == "transform":
        totals["QuarantinedRows"] = report.set_aside
    _put(totals, {})
    _put({"Duration": report.seconds}, {"stage": report.stage}, MetricUnit.Seconds)
    for name, table in report.tables.items():
        if table.rows:
            _put({ROWS[report.stage]: table.rows}, {"table": name})


def put_freshness(seconds: float) -> None:
    """Put the age of the state of the source that the warehouse shows."""
    _put({"FreshnessSeconds": seconds}, {}, MetricUnit.Seconds)


def _put(values: Mapping[str, float], dimensions: Mapping[str, str], unit: MetricUnit = MetricUnit.Count) -> None:
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    for name, dimension in dimensions.items():
        metrics.add_dimension(name, dimension)
    for name, value in values.items():
        metrics.add_metric(name, unit, value)
    metrics.flush_metrics()
