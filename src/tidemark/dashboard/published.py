"""The page of the dashboard that a load leaves beside the star if the settings ask for it; it never fails a load."""

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from tidemark.disclosure import told_with_kind
from tidemark.errors import TidemarkError, TransientError
from tidemark.extras import needed_for
from tidemark.report import StageReport

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline

logger = logging.getLogger(__name__)
# The only object beside the star that is put again.
PAGE = "dashboard.html"
# With less time than this nobody begins.
LEAST = timedelta(seconds=5)


def published_after(pipeline: "Pipeline", report: StageReport) -> str:
    """Write the page if this was a load that brought a batch, and the settings ask for it; see `publish`."""
    is_new = report.stage == "load" and report.batches
    return publish(pipeline) if is_new and pipeline.settings.dashboard_page else ""


def publish(pipeline: "Pipeline", within: timedelta | None = None) -> str:
    """Write the page, and return what went wrong, empty for nothing; a warning in the log says the same.

    Args:
        pipeline: has star and warehouse.
        within: so long the figures may take; None: as long as they may in general.
    """
    try:
        _write(pipeline, within)
    except Exception as exc:  # noqa: BLE001 -- what was loaded is loaded, whatever goes wrong here
        text = str(exc) if isinstance(exc, TidemarkError) else told_with_kind(exc)
        warning = f"the page of the dashboard could not be written: {text}"
        logger.warning("%s", warning)
        return warning
    return ""


def _write(pipeline: "Pipeline", within: timedelta | None) -> None:
    # Its libraries and what it is made of are loaded where somebody wants it.
    with needed_for("dashboard"):
        from tidemark.dashboard.one_page import MEDIA_TYPE, WITHIN, one_page  # noqa: PLC0415 -- as said

    within = WITHIN if within is None else min(within, WITHIN)
    if within < LEAST:
        raise TransientError("no time was left for it")
    # A page that only says that the warehouse is away would take the place of one that says more.
    page = one_page(pipeline, within, needs_warehouse=True)
    pipeline.processed.publish(PAGE, page.encode(), MEDIA_TYPE)
