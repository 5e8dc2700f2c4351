"""Renewal: a table that an older Tidemark made, in the form that every reader of Delta tables can open.

Its files are written one by one, each with the same rows, and one commit puts them in the place of the old ones. Until
that commit nothing is changed. Versions before it stay as they are, for as long as somebody may ask for them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemark.errors import StateError
from tidemark.lake.engine import Engine
from tidemark.lake.files import batch_of, data_files, model_of, rows_of, write_file
from tidemark.lake.sqltext import select
from tidemark.lake.table import LakeTable

if TYPE_CHECKING:
    from deltalake.transaction import AddAction


def renew(engine: Engine, lake: LakeTable, *, statistics: Sequence[str], now_milliseconds: int) -> None:
    """Write a table anew in the present form; see `write_file` for the arguments.

    A file of a batch stays one, because a batch that is done again finds its own files by their names.

    Raises:
        OvertakenError: another run changed the table in between; nothing is lost.
    """
    renewed = replace(lake, is_older=False)
    added: list[AddAction] = []
    files = data_files(lake)
    for file in files:
        action = write_file(
            engine,
            renewed,
            select("files", "all", rows=lake.rows([file.path])),
            batch=batch_of(file.path),
            now_milliseconds=now_milliseconds,
            statistics=statistics,
            is_ordered=True,
        )
        added += [action] if action else []
    before, after = sum(file.rows for file in files), sum(map(rows_of, added))
    if before != after:
        message = f"{lake.path}: {before} rows in {len(files)} files became {after} rows in the new ones"
        raise StateError(message, advice="nothing was changed; tidemark verify shows what is wrong", table=lake.path)
    renewed.overwrite(added, batch=lake.batch, metadata=model_of(lake), same_rows=True)
