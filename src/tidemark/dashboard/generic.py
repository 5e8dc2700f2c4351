"""The figures of a model that brings none, such as a mirror: how each table of versions has grown."""

from psycopg import sql

from tidemark.dashboard.figures import Figure
from tidemark.model import Model, StarTable
from tidemark.postgres.queries import identifier, query

PAGE = "Tables"


def generic_figures(model: Model) -> tuple[Figure, ...]:
    """Make a figure for each table of versions."""
    return tuple(_rows_over_time(star) for star in model.versioned)


def _rows_over_time(star: StarTable) -> Figure:
    key = sql.SQL(", ").join(map(identifier, star.source_key))
    statement = query("dashboard", "rows_over_time", table=identifier(*star.place), key=key)
    return Figure(
        name=star.name,
        title=f"{'.'.join(star.place)}: rows over time",
        page=PAGE,
        sql=statement.as_string(),
        chart="lines",
        x="batch_of",
        y=("live_rows", "versions"),
        note="Live rows and all their versions after each batch.",
    )
