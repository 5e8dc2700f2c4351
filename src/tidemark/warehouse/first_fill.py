"""The first fill of a table: its indexes, unique keys and foreign keys are made after its rows came, all at once.

For each row Postgres would look up every index and every row that it refers to. What is made afterwards is made by a
sort or a join. All of it happens in the caller's transaction, so nobody sees the table without its keys.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tidemark.postgres.queries import query

# Above this number of rows the sort and the join are quicker.
BULK_ROWS = 20_000


@contextmanager
def keys_made_after(connection: psycopg.Connection, table: Sequence[str], rows: int) -> Iterator[None]:
    """Take away what `made_after` lists, and make it again after the block; few rows are not worth it.

    Args:
        connection: a transaction of the warehouse.
        table: the name of an empty table, with its schema if the search path does not lead there.
        rows: about how many rows the block brings.
    """
    values = {"table": sql.Identifier(*table).as_string()}
    found = connection.execute(query("warehouse", "made_after"), values).fetchall() if rows >= BULK_ROWS else []
    # Foreign keys go first and come last.
    for taken_by, _ in reversed(found):
        connection.execute(taken_by.encode())
    yield
    for _, made_by in found:
        for statement in made_by:
            connection.execute(statement.encode())
