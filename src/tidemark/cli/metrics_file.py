"""The file of metrics that a command leaves for a collector."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.disclosure import told_with_kind
from tidemark.errors import ConfigError, TidemarkError

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline
    from tidemark.status import Status

logger = logging.getLogger(__name__)
MetricsFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write metrics there for node_exporter's textfile collector: x.prom.")
]


def checked_place(name: str | None) -> Path | None:
    """Return where the metrics go; ConfigError if there is no such directory, or something that is no file.

    A link is followed: a new file takes the place of what it names, and neither that of the link nor that of a device.
    """
    if name is None:
        return None
    path = Path(name).resolve()
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise ConfigError(f"expected a file in a directory that is there as --metrics-file, got {name!r}")
    return path


def write_metrics(pipeline: "Pipeline", path: Path, found: "Status | None" = None) -> None:
    """Write the metrics of a pipeline as it is now; `found` spares asking its places again."""
    from tidemark.runs.metrics import Measured, put_file, success_before, written  # noqa: PLC0415 -- only who asks for metrics needs it
    from tidemark.status import RUNS, read_status  # noqa: PLC0415 -- as above

    found = found or read_status(pipeline)
    places = {"log": found.log, "star": found.processed, "warehouse": found.warehouse}
    measured = Measured(
        found.health,
        pipeline.records.newest(RUNS),
        found.freshness,
        pipeline.settings.freshness,
        {name: place.batch for name, place in places.items()},
        found.warehouse.rows,
        found.quarantine,
        success_before(path),
    )
    put_file(path, written(measured))


def try_to_write_metrics(pipeline: "Pipeline", path: Path) -> None:
    """Write the metrics at the end of a run, which ends as it would have without them."""
    try:
        write_metrics(pipeline, path)
    except Exception as exc:  # noqa: BLE001 -- whatever goes wrong here must not end a run that went well
        text = str(exc) if isinstance(exc, TidemarkError) else f"the metrics: {told_with_kind(exc)}"
        logger.warning("%s", text)
