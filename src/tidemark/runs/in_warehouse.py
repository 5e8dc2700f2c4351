"""Runs in the table `tidemark.run` of the warehouse, which `tidemark init` makes.

A warehouse may be slow or gone just when there is something to tell. So nobody waits long for it.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime

from psycopg.rows import dict_row

from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session
from tidemark.postgres.statements import split_statements
from tidemark.runs.run import Run

PATIENCE_SECONDS = 3
LOCK_TIMEOUT = "1s"


def keep(url: str, run: Run, *, oldest: datetime, most: int) -> None:
    """Write a run into the table, and take out what is older than a moment or more than so many.

    A table that is missing is made where the role owns the ledger: nobody has to prepare the warehouse of a mirror, and
    a warehouse of an older Tidemark gets it by itself.

    Raises:
        TidemarkError: the warehouse is away, has no such table, or does not let the role write there.
    """
    values = {
        **asdict(run),
        "stages": json.dumps([asdict(each) for each in run.stages]),
        "verified": json.dumps(asdict(run.verified)) if run.verified else None,
        "oldest": oldest,
        "most": most,
    }
    with _session(url, only_reads=False) as session, session.transaction():
        if session.execute(query("runs", "may_create")).fetchone() == (True,):
            for statement in split_statements(query("runs", "create").as_string()):
                session.execute(statement.encode())
        session.execute(query("runs", "keep"), values)


def newest(url: str, limit: int) -> list[Run]:
    """Give the runs in the table, newest first.

    Raises:
        TidemarkError: the warehouse is away, has no such table, or does not let the role read it.
    """
    with _session(url, only_reads=True) as session, session.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("runs", "newest"), {"row_count": limit}).fetchall()
    return [Run.of(row, row["started_at"]) for row in rows]


@contextmanager
def _session(url: str, *, only_reads: bool) -> Iterator[Session]:
    session = connect(url, application="tidemark record", only_reads=only_reads, patience_seconds=PATIENCE_SECONDS)
    session.lock_timeout = LOCK_TIMEOUT
    with closing(session), translated(f"the warehouse at {where(url)}"):
        yield session
