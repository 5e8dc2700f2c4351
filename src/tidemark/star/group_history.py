"""The versions that a group of batches brings to a dimension with history, dated and numbered as batch by batch."""

from datetime import UTC

from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.sqltext import Expression, Select, Table, listed, names, number, numbers, quoted, same, select, text
from tidemark.lake.table import LakeTable
from tidemark.log.group import Group
from tidemark.model import Model, StarTable
from tidemark.star.star_sql import HISTORY, dated

BATCH = "_tidemark_batch"


def dimension_versions(  # noqa: PLR0913, PLR0917 -- a group, a dimension, and what the one brings to the other
    engine: Engine,
    tables: WorkingTables,
    group: Group,
    model: Model,
    star: StarTable,
    lake: LakeTable,
    there: Table,
    steps: Table,
) -> Select:
    """Write the SELECT of a dimension's versions.

    Args:
        engine: has the working tables.
        tables: keeps the moments of the versions while the result is read.
        group: the group.
        model: gives the driving table, if the dimension has one, and the time zone of naive times.
        star: the dimension.
        lake: its Delta table.
        there: the newest version of each key before the group.
        steps: its rows that are new, changed, back or gone, each with its batch.
    """
    keys, surrogate = names(star.row_key), quoted(star.key[0])
    captured = (each.captured_at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ") for each in group.manifests)
    dated_steps = select(
        "group",
        "dated_steps",
        keys=names(star.row_key, "s."),
        steps=steps,
        batches=numbers(each.batch for each in group.manifests),
        captured=Expression(f"[{listed(map(text, captured))}]"),
        moments=_moments(tables, group, model, star, lake),
        same=same(star.row_key, "s.", "m."),
    )
    in_turn = tables.of(select("group", "in_turn", dated=dated_steps.rows, keys=keys))
    both = same(star.row_key, "d.", "g.")
    history = tables.of(select("group", "versions", written=there, dated=in_turn, keys=keys, same=both))
    last = engine.value(select("star", "last_surrogate", surrogate=surrogate, rows=there))
    own = [star.key[0], *HISTORY]
    return select(
        "group",
        "dimension_versions",
        last=number(int(str(last))),
        ordered=names(star.row_key, "s."),
        surrogate=surrogate,
        fields=names((name for name in lake.columns if name not in own), "s."),
        steps=steps,
        history=history,
        same=same(star.row_key, "s.", "h."),
    )


def _moments(tables: WorkingTables, group: Group, model: Model, star: StarTable, lake: LakeTable) -> Table:
    """Make the table of the moments at which changed rows of the driving table say, in each batch, they changed."""
    changes = group.changes.get(star.driving)
    if changes is None:
        types = {name: lake.columns[name] for name in star.row_key}
        return tables.empty({**types, BATCH: "BIGINT", "_tidemark_since": "TIMESTAMP"})
    columns = {column.name: column for column in group.entries[star.driving].columns}
    own = dated(changes, star, model.sources[star.driving], columns, model, others=[BATCH])
    return tables.of(select("star", "moments", keys=names([*star.row_key, BATCH]), dated=own.rows))
