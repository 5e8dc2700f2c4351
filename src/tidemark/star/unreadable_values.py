"""Unreadable values: which rows of a star table depend on one, whichever source table holds it.

A SELECT sees an unreadable value as null. Once the SELECT has joined, compared or counted a null, the result does not
show it. So the SELECT runs twice, once with some other value instead of the null: the rows that differ are doubtful.
"""

from collections.abc import Callable, Iterable, Mapping

from tidemark.lake.engine import WorkingTables
from tidemark.lake.sqltext import Rows, Select, names, same, select, text
from tidemark.model import StarTable
from tidemark.star.quarantine import DOUBT
from tidemark.star.sources import SourceTables


def sample_of(sources: SourceTables, star: StarTable, tables: Iterable[str], instead: Mapping[str, Rows]) -> str | None:
    """Name an unreadable value, as `table.column is …`; None when there is none.

    Args:
        sources: the source tables.
        star: the star table.
        tables: the names of the tables to search, which are among those that it reads.
        instead: see `SourceTables.present`.
    """
    seen = sources.seen_by(star)
    for name in tables:
        state = sources.states[name]
        if name not in instead and seen[name] == state.entry.columns:
            found = state.sample_of_all
        else:
            found = state.sample(instead.get(name) or state.rows, seen[name])
        if found:
            return f"{name}.{found}"
    return None


def present_and_doubt(  # noqa: PLR0913, PLR0917 -- a SELECT, its rows, and all that it reads
    sources: SourceTables,
    tables: WorkingTables,
    star: StarTable,
    instead: Mapping[str, Rows],
    judged: Callable[[Select], Select],
    key: tuple[str, ...],
    sample: str | None,
) -> Select:
    """Make the views that a star table's SELECT reads, and give its judged rows, the doubtful ones marked wrong too.

    Args:
        sources: the source tables.
        tables: keep the keys of the doubtful rows, and what the rows are read from, while the result is read.
        star: the star table.
        instead: see `SourceTables.present`.
        judged: judges the rows that the SELECT yields.
        key: the columns that identify a row.
        sample: see `sample_of`.
    """
    if sample is None:
        return judged(sources.made(star, instead, tables))
    with sources.engine.working_tables() as scratch:
        filled = scratch.of(sources.made(star, instead, scratch, filled=True))
        made = sources.made(star, instead, tables)
        doubtful = tables.of(select("star", "differing", key=names(key), rows=made.rows, filled=filled))
    reason = text(f"{DOUBT}, such as {sample}")
    return select(
        "star", "doubted", rows=judged(made).rows, doubtful=doubtful, same=same(key, "d.", "j."), reason=reason
    )
