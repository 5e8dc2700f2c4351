"""The database of a grocer: ten tables without a column that says when a row was changed."""

from pathlib import Path

import psycopg

GROCER = Path(__file__).parents[1] / "models" / "grocer"


def change(source: str, file: str) -> None:
    """Run the statements of a file of the grocer's in a source: `schema.sql`, then `activity.sql`."""
    with psycopg.connect(source) as connection:
        connection.execute((GROCER / file).read_bytes())
