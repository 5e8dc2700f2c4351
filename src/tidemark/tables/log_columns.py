"""The columns of the source as the log has them, for a model whose tables follow from them.

A column keeps the type with which it came into the log, whatever the source makes of it later: a star's columns are a
promise. Who wants the new type writes a source.toml.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import cache

from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.model import Model
from tidemark.tables.statements import completed, lacking


def completed_by_log(model: Model, log: ChangeLog) -> Model:
    """Give a model the columns that it lacks, as far as the log has them; the same model if there is no batch."""
    wanted = lacking(model)
    newest = log.newest() if wanted else None
    if newest is None:
        return model
    read = cache(log.manifest)
    promised = {}
    for name in (name for name in wanted if name in newest.tables):
        before = {each.name: each for each in _first(name, newest.batch, read).tables[name].columns}
        promised[name] = [before.get(each.name, each) for each in newest.tables[name].columns]
    return completed(model, promised)


def _first(name: str, last: int, read: Callable[[int], Manifest]) -> Manifest:
    """Find the first batch that has a table, of which batch `last` is one; most tables are in the first of all."""
    if name in read(1).tables:
        return read(1)
    return read(1 + bisect_left(range(1, last + 1), 1, key=lambda batch: name in read(batch).tables))
