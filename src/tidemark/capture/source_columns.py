"""The columns of the source's tables as they are now, read without a snapshot and without a lock."""

from contextlib import closing

from psycopg.rows import dict_row

from tidemark.capture.snapshot import places
from tidemark.log.columns import Column
from tidemark.model import Model
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query


def read_columns(url: str, model: Model) -> dict[str, tuple[Column, ...]]:
    """Read the columns of each source table of a model; a table that is not there has none."""
    tables = list(model.sources.values())
    columns: dict[str, list[Column]] = {table.name: [] for table in tables}
    with (
        translated(f"the source at {where(url)}"),
        closing(connect(url, application="tidemark", only_reads=True)) as session,
        session.cursor(row_factory=dict_row) as cursor,
    ):
        for row in cursor.execute(query("source", "columns"), places(tables)):
            columns[row["name"]].append(Column(row["column_name"], row["type"], row["nullable"]))
    return {name: tuple(found) for name, found in columns.items()}
