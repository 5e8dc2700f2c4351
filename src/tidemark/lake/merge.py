"""The merge: apply inserts, updates and deletes to a Delta table by rewriting only the files that they touch.

Files are rewritten one by one, and in the order of their keys, so memory does not grow with the table.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from tidemark.lake.engine import Engine
from tidemark.lake.files import data_files, write_files
from tidemark.lake.pieces import file_for_inserts, groups_to_merge, pieces_of, small_files
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Fields,
    Select,
    Table,
    as_kept,
    listed,
    named_as,
    named_parquet,
    names,
    quoted,
    same,
    select,
    union_all,
)
from tidemark.lake.table import Change, LakeTable
from tidemark.lake.wide_rows import is_wide

if TYPE_CHECKING:
    from deltalake.transaction import AddAction

# More changed rows than this are not held in memory at once.
FEW_ROWS = 50_000
# DuckDB's name for a row's place in its file, counted from 0.
PLACE = "file_row_number"


def has_places(columns: Collection[str]) -> bool:
    """Say whether DuckDB can add a row's place to these columns; it cannot where one of them has that name."""
    return PLACE not in {column.lower() for column in columns}


def stage_merge(  # noqa: PLR0913 -- five things that no caller has in one
    engine: Engine,
    lake: LakeTable,
    key: Sequence[str],
    change: Table,
    *,
    batch: int,
    now_milliseconds: int,
    statistics: Sequence[str] = (),
) -> Change:
    """Write the files that apply changes to a Delta table, without committing them.

    Args:
        engine: has the working table `change`.
        lake: the Delta table to change.
        key: the columns that identify a row.
        change: a table with columns of `lake` (one that it lacks becomes null) and `_op`: `insert`, `delete`, or
            anything else for a row that takes the place of the one with its key.
        batch: the batch's number.
        now_milliseconds: the time of the files, Unix milliseconds.
        statistics: see `write_file`.
    """
    known = engine.describe(select("files", "all", rows=change))
    inserts = engine.count(change, Condition("_op = 'insert'"))
    is_small = engine.count(change, Condition("_op <> 'insert'")) <= FEW_ROWS
    files = {file.path: file for file in data_files(lake, key)}
    touched = _touched(engine, lake, key, change, places=is_small)
    host = file_for_inserts(list(files.values()), touched, inserts) if inserts else None
    wanted = [file for path, file in files.items() if path in touched or file == host]
    groups = groups_to_merge(wanted, len(files))
    small, size_bytes = small_files(files.values()), sum(file.size_bytes for file in files.values())
    added: list[AddAction] = []
    inserted = select("merge", "inserted", fields=_columns_of(lake, known), change=change)

    def write(rows: Select, most_rows: int, pieces: int = 1) -> None:
        added.extend(
            write_files(
                engine,
                lake,
                rows,
                rows=most_rows,
                pieces=pieces,
                batch=batch,
                now_milliseconds=now_milliseconds,
                statistics=statistics,
            )
        )

    replaced = _replaced if is_small else _exchanged
    for group in groups:
        rows = replaced(lake, [file.path for file in group], key, change, known)
        most_rows, places = sum(file.rows for file in group), touched.get(group[0].path, [])
        if host in group:
            rows = union_all([select("files", "all", rows=rows.rows), inserted])
            most_rows += inserts
            if places:
                # Most new rows come after all others.
                places = [*places, group[0].rows - 1]
        if len(group) == 1:
            pieces = pieces_of(group[0], places, small, size_bytes)
            small += pieces - 1
            write(_ordered(rows, key) if host in group or is_wide(lake.columns) else rows, most_rows, pieces)
        else:
            write(_ordered(rows, key), most_rows)
    if inserts and host is None:
        write(_ordered(inserted, key), inserts)
    return Change(tuple(added), tuple(sorted(file.path for group in groups for file in group)))


def _ordered(rows: Select, key: Sequence[str]) -> Select:
    return select("files", "ordered", rows=rows.rows, keys=names(key))


def _replaced(
    lake: LakeTable, files: Sequence[str], key: Sequence[str], change: Table, known: Collection[str]
) -> Select:
    """Write the SELECT of rows after the changes; the rows of one file stay in its order, so nothing has to be sorted.

    The join holds the changed rows in memory.
    """
    values = {name: quoted(name, "c.") if name in known else Expression("null") for name in lake.columns}
    fields = listed(
        quoted(name, "o.")
        if name in key
        else named_as(Expression(f"case when c._op is null then {quoted(name, 'o.')} else {value} end"), name)
        for name, value in values.items()
    )
    return select("merge", "replaced", fields=fields, old=lake.rows(files), change=change, same=same(key, "o.", "c."))


def _exchanged(
    lake: LakeTable, files: Sequence[str], key: Sequence[str], change: Table, known: Collection[str]
) -> Select:
    """Write the same SELECT for any number of changed rows: the joins hold only keys, and the sort spills to disk."""
    return select(
        "merge",
        "exchanged",
        columns=names(lake.columns),
        fields=_columns_of(lake, known),
        old=lake.rows(files),
        change=change,
        keys=names(key),
    )


def _columns_of(lake: LakeTable, known: Collection[str]) -> Fields:
    """List the table's columns for the changed rows; a column that they lack is null."""
    return listed(quoted(name) if name in known else named_as(Expression("null"), name) for name in lake.columns)


def _touched(
    engine: Engine, lake: LakeTable, key: Sequence[str], change: Table, *, places: bool
) -> Mapping[str, list[int]]:
    """Give the files that hold a changed row, with the places of these rows if `places` are wanted and can be had."""
    if lake.stored is not None or not lake.files:
        # The files hold other types than the table is to have, so all of them are rewritten.
        return {file: [] for file in lake.files}
    uris = {lake.uri(file): file for file in lake.files}
    fields = names(["_tidemark_file", PLACE] if places and has_places(lake.columns) else ["_tidemark_file"])
    read = listed([as_kept({name: lake.columns[name] for name in key}), fields])
    rows = select("files", "fields", fields=read, rows=named_parquet(uris)).rows
    found = select("merge", "touched", fields=fields, files=rows, change=change, keys=names(key))
    touched: dict[str, list[int]] = {}
    for uri, *place in engine.execute(found).fetchall():
        touched.setdefault(uris[uri], []).extend(place)
    return touched
