"""The pages of one pipeline: what each one asks for, and which template shows it. Server and export share it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tidemark.dashboard.answers import Answers
from tidemark.dashboard.cards import card_of, figures_of
from tidemark.dashboard.figures import Figure, Filter, pages_of, slug
from tidemark.dashboard.filters import Chosen, read_chosen
from tidemark.dashboard.health import lake_size, read_health
from tidemark.dashboard.lineage import find_origin, read_batch
from tidemark.dashboard.lives import read_key, read_then, steps_of
from tidemark.dashboard.pages import render
from tidemark.dashboard.problem import Problem, attempted
from tidemark.dashboard.reader import Reader
from tidemark.log.changelog import newest_batch
from tidemark.warehouse.history import History, find_versioned, history_of, versions_of

if TYPE_CHECKING:
    from jinja2 import Environment

    from tidemark.pipeline import Pipeline

HISTORY, LINEAGE = "History", "Lineage"
# The newest batches that the page of lineage links to.
LISTED_BATCHES = 50
# No batch and no version has a longer number.
MOST_DIGITS = 18
Query = Mapping[str, str]


class MissingPageError(Exception):
    """Say that there is no such page."""


class Site:
    """The pages.

    Args:
        pipeline: gives the pipeline. It is wired anew for each page, since a secret or a mirror's tables may change.
        reader: the sessions with the warehouse.
        templates: what the pages are made with.
    """

    def __init__(self, pipeline: "Callable[[], Pipeline]", reader: Reader, templates: "Environment") -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._templates = templates
        # The figures of a pipeline; they are read anew with the next one.
        self._known: tuple[Pipeline, Sequence[Figure], Sequence[Filter]] | None = None
        self._is_live = bool(templates.globals["is_live"])
        self._answers = Answers(reader, lambda: pipeline().clock())

    def health(self) -> str:
        """Show whether all is well."""
        # On a live page the size comes later, since a large lake takes long to list.
        size = {} if self._is_live else self._size()
        pipeline = self._pipeline()
        return self._page("health.html", "", health=read_health(pipeline), limit=pipeline.settings.freshness, **size)

    def size(self) -> str:
        """Show how large the lake is; a part of a page."""
        return render(self._templates, "size.html", self._size())

    def figures(self, name: str, query: Query) -> str:
        """Show a page of the model with all of its figures."""
        figures, filters = self._figures()
        pages = {slug(page): each for page, each in pages_of(figures).items()}
        if name not in pages:
            raise MissingPageError(f"there is no page {name!r}: there are {', '.join(pages)}")
        mine = pages[name]
        used = [each for figure in mine for each in figure.filters]
        chosen = read_chosen(query, [each.name for each in filters])
        newest, away = attempted(self._answers.newest_batch)
        offered = (
            [] if away else [(each, *attempted(partial(self._choices, each))) for each in filters if each.name in used]
        )
        values = {
            "page": mine[0].page,
            "away": away,
            "is_empty": newest == 0,
            "cards": self._cards(mine, chosen) if newest else [],
            "chosen": chosen,
            "filters": offered,
            "has_dates": "dates" in used,
            "has_moment": "moment" in used,
            "query": chosen.query(dict.fromkeys(used)),
            "slug": name,
        }
        return self._page("figures.html", f"page/{name}", **values)

    def figure(self, name: str, query: Query, *, is_part: bool = False) -> str:
        """Show one figure, on a page of its own or as a part of that of all its figures."""
        figures, filters = self._figures()
        found = next((each for each in figures if each.name == name), None)
        if found is None:
            raise MissingPageError(f"there is no figure {name!r}")
        chosen = read_chosen(query, [each.name for each in filters])
        is_first = pages_of(figures)[found.page][0] is found
        card = card_of(found, chosen, partial(self._answers.ask, is_first=is_first))
        if is_part:
            return render(self._templates, "figure.html", {"card": card})
        path = f"page/{slug(found.page)}"
        values = {"card": card, "chosen": chosen, "back": path, "query": chosen.query(found.filters)}
        return self._page("figure_page.html", path, **values)

    def history(self, query: Query) -> str:
        """Show a row's life, or all tables as of a moment."""
        pipeline = self._pipeline()
        figures, filters = self._figures()
        chosen = read_chosen(query, [each.name for each in filters])
        model = pipeline.model
        table, key = query.get("table", ""), query.get("key", "")
        life, life_problem = attempted(lambda: self._life(table, key)) if table and key else (None, None)
        then, then_problem = None, None
        if (moment := chosen.moment) is not None:
            then, then_problem = attempted(lambda: read_then(self._reader, model, moment))
        values = {
            "versioned": model.versioned,
            "table": table,
            "key": key,
            "life": life,
            "steps": steps_of(life) if life else (),
            "life_problem": life_problem,
            "chosen": chosen,
            "then": then,
            "then_problem": then_problem,
            "cards": [
                self._card(each, chosen, is_patient=True) for each in figures if chosen.moment and each.page == HISTORY
            ],
        }
        return self._page("history.html", "history", **values)

    def lineage(self, query: Query) -> str:
        """Show where a version of a row comes from, and the batches."""
        pipeline = self._pipeline()
        table, key = query.get("table", ""), query.get("key", "")
        life, problem = attempted(lambda: self._life(table, key)) if table and key else (None, None)
        number, origin = 0, None
        if life:
            model, star = pipeline.model, find_versioned(pipeline.model, table)
            asked = query.get("version", "")
            last = len(life.versions)
            number = number_of(asked) if 0 < number_of(asked) <= last else last
            version = life.versions[number - 1]
            origin, problem = attempted(lambda: find_origin(model, pipeline.ingestion, star, version))
        newest, log_problem = attempted(lambda: newest_batch(pipeline.ingestion))
        values = {
            "versioned": pipeline.model.versioned,
            "table": table,
            "key": key,
            "life": life,
            "number": number,
            "origin": origin,
            "problem": problem,
            "batches": range(newest or 0, max(0, (newest or 0) - LISTED_BATCHES), -1),
            "log_problem": log_problem,
        }
        return self._page("lineage.html", "lineage", **values)

    def batch(self, number: int) -> str:
        """Show what a batch held, and what became of it."""
        pipeline = self._pipeline()
        found = read_batch(self._reader, pipeline.model, pipeline.ingestion, pipeline.processed, number)
        is_nowhere = found.manifest is None and found.processed is None and found.loaded is None
        if is_nowhere and not found.warehouse_problem:
            raise MissingPageError(f"there is no batch {number}")
        return self._page("batch.html", "lineage", life=found)

    def problem(self, title: str, problem: Problem) -> str:
        """Show in words what went wrong."""
        return self._page("problem.html", "", title=title, problem=problem)

    def exported(self, batches: int) -> "dict[str, Callable[[], str]]":
        """Name the pages that need neither a form nor a filter, each with what makes it; so many of the newest batches.

        A place that cannot be asked has its page all the same, which says so.
        """
        found, _ = attempted(self._figures)
        figures = found[0] if found else ()
        newest, _ = attempted(lambda: newest_batch(self._pipeline().ingestion))
        numbers = range(max(1, (newest or 0) - batches + 1), (newest or 0) + 1)
        shown = [each for each in figures if "moment" not in each.filters]
        return {
            "": self.health,
            **{f"page/{slug(each)}": partial(self.figures, slug(each), {}) for each in pages_of(shown)},
            **{f"figure/{quote(each.name, safe='')}": partial(self.figure, each.name, {}) for each in shown},
            "lineage": partial(self.lineage, {}),
            **{f"lineage/batch/{number}": partial(self.batch, number) for number in numbers},
        }

    def _page(self, template: str, current: str, **values: object) -> str:
        """Fill in a page; the others are named on it even if the model's figures cannot be read."""
        found, problem = attempted(self._figures)
        figures = found[0] if found else ()
        pages = [(f"page/{slug(name)}", name) for name in pages_of(figures) if name not in (HISTORY, LINEAGE)]
        nav = [("", "Health"), *pages, ("history", HISTORY), ("lineage", LINEAGE)]
        pipeline = self._pipeline()
        shared = {"nav": nav, "current": current, "model": Path(pipeline.settings.model).name, "now": pipeline.clock()}
        return render(self._templates, template, {**shared, "figures_problem": problem, **values})

    def _size(self) -> dict[str, object]:
        sizes, problem = attempted(lambda: lake_size(self._pipeline()))
        return {"sizes": sizes, "problem": problem}

    def _figures(self) -> tuple[Sequence[Figure], Sequence[Filter]]:
        pipeline = self._pipeline()
        if self._known is None or self._known[0] is not pipeline:
            self._known = pipeline, *figures_of(pipeline.model)
        return self._known[1], self._known[2]

    def _cards(self, figures: Sequence[Figure], chosen: Chosen) -> list[dict[str, object]]:
        """Gather the figures of a page; the browser asks for the first without waiting until it is seen."""
        cards = [self._card(each, chosen, is_patient=not self._is_live) for each in figures]
        if cards[0]["answer"] is None:
            # From now on, since requests of one page arrive in any order.
            self._answers.head_start.give()
        return [{**card, "is_first": number == 0} for number, card in enumerate(cards)]

    def _card(self, figure: Figure, chosen: Chosen, *, is_patient: bool) -> dict[str, object]:
        """Gather what a figure shows; without patience only if its answer is known, so that the page opens at once."""
        return card_of(figure, chosen, self._answers.ask if is_patient else self._answers.known)

    def _choices(self, each: Filter) -> list[str]:
        found = self._answers.of(each.sql, {})
        return [str(row[0]) for row in found.rows if row and row[0] is not None]

    def _life(self, table: str, key: str) -> History:
        star = find_versioned(self._pipeline().model, table)
        parts = read_key(star, key)
        rows = self._reader.ask(versions_of(star, parts), parts).records
        return history_of(star, parts, rows, "the warehouse")


def number_of(text: str) -> int:
    """Read a number as a URL has it, 0 if it is none or longer than any that there is."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else 0
