"""The dashboard as one page that needs nothing else: no server, no script, no second file.

So it can lie behind a signed link, which leads to one object. It has what can be told from star and warehouse alone,
since a load on AWS may read nothing else: how far they are, and every figure of the model without a filter.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from tidemark.dashboard.answers import written
from tidemark.dashboard.cards import card_of, figures_of
from tidemark.dashboard.figures import Figure, pages_of, slug
from tidemark.dashboard.filters import Chosen
from tidemark.dashboard.health import LAST_BATCHES, LAST_RUNS
from tidemark.dashboard.pages import environment, render, static_file
from tidemark.dashboard.problem import Problem, attempted
from tidemark.dashboard.reader import Answer, Reader
from tidemark.errors import TransientError
from tidemark.runs.run import Run
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import count_set_aside
from tidemark.status import RUNS
from tidemark.warehouse.session import LedgerRow, ledger

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline

# So long the figures of all pages may take together.
WITHIN = timedelta(seconds=60)
MEDIA_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Summary:
    """How far star and warehouse are; `rows` counts what all batches brought into each table."""

    batches: Sequence[LedgerRow]
    rows: dict[str, int]
    problem: Problem | None
    quarantine: dict[str, int]
    quarantine_problem: Problem | None
    runs: Sequence[Run]
    verification: Run | None

    @property
    def longest(self) -> float:
        """Give the seconds of the longest run that is shown."""
        return max((run.seconds for run in self.runs), default=0.0)

    @property
    def newest(self) -> LedgerRow | None:
        """Give the last batch that was loaded."""
        return self.batches[0] if self.batches else None


def one_page(pipeline: "Pipeline", within: timedelta = WITHIN, *, needs_warehouse: bool = False) -> str:
    """Make the page; what cannot be asked within a time is said in its place.

    Raises:
        TransientError: the warehouse cannot be asked, and `needs_warehouse` says that there shall be no page then.
    """
    reader = Reader(lambda: pipeline.warehouse_url, within=within)
    try:
        summary = _summary(pipeline)
        if needs_warehouse and summary.problem:
            raise TransientError(summary.problem.message, advice=summary.problem.advice)
        figures, problem = attempted(lambda: figures_of(pipeline.star_model)[0])
        shown = [each for each in figures or () if "moment" not in each.filters] if summary.newest else []

        def ask(figure: Figure, chosen: Chosen) -> Answer:
            return reader.ask(written(figure.sql), chosen.parameters(figure))

        pages = [
            (slug(page), page, [card_of(each, Chosen(), ask) for each in mine])
            for page, mine in pages_of(shown).items()
        ]
    finally:
        reader.close()
    style = static_file("style.css").decode()
    values = {
        "summary": summary,
        "pages": pages,
        "figures_problem": problem,
        "model": Path(pipeline.settings.model).name,
        "now": pipeline.clock(),
        # The file is ours, and has nothing that would end its element.
        "style": Markup(style),  # noqa: S704 # nosec B704
        "policy": policy(style),
        "icon_url": f"data:image/svg+xml;base64,{b64encode(static_file('icon.svg')).decode()}",
    }
    made = environment(lambda *_: "", lambda _: "", is_live=False)
    return render(made, "one.html", values)


def policy(style: str) -> str:
    """Give what a browser may do with the page: use this style and pictures within the page, and nothing else."""
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _summary(pipeline: "Pipeline") -> Summary:
    rows, problem = attempted(lambda: ledger(pipeline.warehouse_url))
    set_aside, unknown = attempted(lambda: count_set_aside(StarLog(pipeline.processed).newest()))
    runs = pipeline.records.newest(RUNS)
    totals: dict[str, int] = {}
    for row in rows or ():
        for name, count in row.row_counts.items():
            totals[name] = totals.get(name, 0) + count
    return Summary(
        (rows or [])[: -LAST_BATCHES - 1 : -1],
        dict(sorted(totals.items())),
        problem,
        set_aside or {},
        unknown,
        runs[:LAST_RUNS],
        next((run for run in runs if run.verified), None),
    )
