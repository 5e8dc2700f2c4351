"""What a page shows of a figure: its chart, its numbers and its SQL, or the problem in their place."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from markupsafe import Markup
from psycopg import sql

from tidemark.dashboard.charts import draw
from tidemark.dashboard.figures import Figure, Filter, read_figures
from tidemark.dashboard.filters import Chosen
from tidemark.dashboard.generic import generic_figures
from tidemark.dashboard.problem import attempted
from tidemark.dashboard.reader import Answer
from tidemark.errors import ConfigError, TidemarkError
from tidemark.mirror import Mirror
from tidemark.model import Model


def figures_of(model: Model) -> tuple[Sequence[Figure], Sequence[Filter]]:
    """Give the figures and filters of a model: its own, or those that are made for it where it has none."""
    if isinstance(model, Mirror):
        return generic_figures(model), ()
    figures, filters = read_figures(model.directory)
    return figures or generic_figures(model), filters


def card_of(figure: Figure, chosen: Chosen, ask: Callable[[Figure, Chosen], Answer | None]) -> dict[str, object]:
    """Gather what a figure shows; `ask` gives its answer, or None if it comes later."""
    answer, problem = attempted(lambda: ask(figure, chosen))
    drawn, unfit = attempted(lambda: drawn_if_fit(figure, answer)) if answer else (None, None)
    values = chosen.parameters(figure)
    return {
        "figure": figure,
        "answer": answer,
        "drawn": drawn,
        "problem": problem or unfit,
        "sql": runnable(figure.sql, values),
        "query": chosen.query(figure.filters),
        "ignored": [name for name in chosen.values if name not in figure.filters],
    }


def runnable(statement: str, values: Mapping[str, str | None]) -> str:
    """Write a SELECT with its values in it, for a person to copy into psql; the server gets it in another way."""
    literals = {name: sql.Literal(value).as_string() for name, value in values.items()}
    with suppress(KeyError, TypeError, ValueError):
        statement = statement % literals if "%" in statement else statement
    return f"{statement};"


def drawn_if_fit(figure: Figure, answer: Answer) -> Markup:
    """Draw a figure; what its SELECT yields may fit no chart, and then the others are shown all the same."""
    try:
        return draw(figure, answer)
    except TidemarkError:
        raise
    except Exception as exc:  # the values are whatever somebody's SELECT yields
        message = f"the chart {figure.chart} cannot show what the SELECT yields: {type(exc).__name__}"
        raise ConfigError(message, advice="look at its numbers, and mend the SELECT or choose another chart") from exc
