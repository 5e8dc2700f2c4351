"""The data files of a Delta table: their names, their rows and bounds, and which of them are rewritten or removed.

A file that a batch brings is named after the batch, so a batch that is done again finds its own files by their names. A
file that only moves rows is named `compact-…`.
"""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from deltalake.transaction import AddAction

from tidemark.errors import StateError
from tidemark.lake.delta_schema import NAIVE
from tidemark.lake.engine import ROW_GROUP_ROWS, Engine
from tidemark.lake.pieces import DataFile, Rewrite
from tidemark.lake.sqltext import (
    OWN,
    Condition,
    Expression,
    Rows,
    Select,
    as_kept,
    converted,
    hidden,
    listed,
    named_as,
    names,
    numbered_parquet,
    quoted,
    scratch_parquet,
    select,
    shown,
    utc_moment,
)
from tidemark.lake.table import AddedFile, Change, LakeTable, open_table
from tidemark.lake.wide_rows import FEWEST_ROWS, write_kept_file, write_scratch_file
from tidemark.objects import ObjectMeta, Objects, measured

BATCH_DIGITS = 10
NAME_OF_A_BATCH = re.compile(rf"([0-9]{{{BATCH_DIGITS}}})-")


def file_name(batch: int | None) -> str:
    """Make a new file's name; `batch` is None if the file's rows were there before."""
    return f"{'compact' if batch is None else f'{batch:0{BATCH_DIGITS}d}'}-{uuid.uuid4()}.parquet"


def batch_of(file: str) -> int | None:
    """Tell from a file's name which batch brought it; None if its rows were there before."""
    found = NAME_OF_A_BATCH.match(file)
    return int(found[1]) if found else None


def rows_of(action: AddAction) -> int:
    """Give the number of rows in a file that is to be committed."""
    return int(json.loads(action.stats)["numRecords"])


def write_file(  # noqa: PLR0913 -- what a file is, and how it is written
    engine: Engine,
    table: LakeTable,
    rows: Select,
    *,
    batch: int | None,
    now_milliseconds: int,
    statistics: Sequence[str] = (),
    is_ordered: bool = False,
) -> AddAction | None:
    """Write the rows of a SELECT as one data file that no commit names yet; None when there are none.

    Args:
        engine: runs the SELECT.
        table: the Delta table that the file is for.
        rows: yields the table's columns by name.
        batch: the batch that brought the file, part of its name; None for rows that were there before.
        now_milliseconds: the time of the file, Unix milliseconds.
        statistics: the integer columns whose lowest and highest values are recorded, so that readers can skip the file.
        is_ordered: whether the SELECT yields its rows in the same order each time, so that it may run once for each
            piece of wide rows.
    """
    local = write_local(engine, table, rows, is_ordered=is_ordered)
    return add_file(engine, table, local, batch=batch, now_milliseconds=now_milliseconds, statistics=statistics)


def write_local(engine: Engine, table: LakeTable, rows: Select, *, is_ordered: bool = False) -> Path:
    """Write the rows of a SELECT as a scratch file in the table's columns, for `add_file`; see `write_file`."""
    local = engine.new_file(".parquet")
    fields = listed(named_as(_as_written(table, name, kind), name) for name, kind in table.columns.items())
    found = select("files", "fields", fields=fields, rows=rows.rows)
    if is_ordered:
        write_kept_file(engine, found, list(table.columns), local)
    else:
        engine.write_small_parquet(found, local)
    return local


def _as_written(table: LakeTable, name: str, kind: str) -> Expression:
    value = converted(quoted(name), kind)
    return utc_moment(value) if kind == NAIVE and not table.is_older else value


def local_rows(table: LakeTable, local: Path) -> Rows:
    """Read what `write_local` wrote."""
    return select("files", "fields", fields=as_kept(table.columns), rows=scratch_parquet([local])).rows


def add_file(
    engine: Engine,
    table: LakeTable,
    local: Path,
    *,
    batch: int | None,
    now_milliseconds: int,
    statistics: Sequence[str] = (),
) -> AddedFile | None:
    """Put a local Parquet file, written in the table's columns, beside the table's others; see `write_file`."""
    bounds = [Expression(f"{side}({quoted(name)})") for name in statistics for side in ("min", "max")]
    counted = listed([Expression("count(*)"), *bounds])
    found = engine.execute(select("files", "fields", fields=counted, rows=scratch_parquet([local]))).fetchone()
    if not found or not found[0]:
        local.unlink()
        return None
    name = file_name(batch)
    size_bytes, sha256 = measured(local)
    table.objects.put_file_new(f"{table.path}/{name}", local)
    local.unlink(missing_ok=True)
    lows, highs = dict(zip(statistics, found[1::2], strict=True)), dict(zip(statistics, found[2::2], strict=True))
    stats = {"numRecords": found[0], "minValues": lows, "maxValues": highs, "nullCount": dict.fromkeys(statistics, 0)}
    changes = batch is not None
    return AddedFile(name, size_bytes, {}, now_milliseconds, changes, json.dumps(stats), sha256)


def only_of(lake: LakeTable, changes: Iterable[Change], batch: int, rows: int) -> dict[str, str]:
    """Give the SHA-256 of the added files by name if they hold the `rows` rows of a batch and no others; else nothing.

    The rows of a batch may also lie in files of an earlier attempt at it, or among others in a file that was merged.
    """
    present = set(lake.files)
    added = [each for change in changes for each in change.added if each.path in present]
    bounds = [json.loads(each.stats) for each in added]
    found = {each["batch_id"] for bound in bounds for each in (bound["minValues"], bound["maxValues"])}
    is_alone = found <= {batch} and sum(bound["numRecords"] for bound in bounds) == rows
    return {each.path: each.sha256 for each in added if isinstance(each, AddedFile)} if is_alone else {}


def write_files(  # noqa: PLR0913 -- as `write_file`, and what to cut
    engine: Engine,
    table: LakeTable,
    ordered: Select,
    *,
    rows: int,
    pieces: int,
    batch: int | None,
    now_milliseconds: int,
    statistics: Sequence[str],
) -> list[AddAction]:
    """Write the rows of a SELECT, in their order, as several data files of about the same length; see `write_file`.

    Args:
        engine: runs the SELECT.
        table: the Delta table that the files are for.
        ordered: yields the table's columns by name, in the same order each time; see `write_file`.
        rows: how many rows that are, at most.
        pieces: how many files are wanted.
        batch: see `write_file`.
        now_milliseconds: see `write_file`.
        statistics: see `write_file`.
    """

    def write(piece: Select) -> list[AddAction]:
        action = write_file(
            engine,
            table,
            piece,
            batch=batch,
            now_milliseconds=now_milliseconds,
            statistics=statistics,
            is_ordered=True,
        )
        return [action] if action else []

    if pieces == 1:
        return write(ordered)
    length = -(-rows // pieces)
    scratch = engine.new_file(".parquet")
    # No row group is longer than a new file, so that the rows of a file are found without reading all others.
    hidden_rows = select("files", "fields", fields=hidden(table.columns), rows=ordered.rows)
    hidden_columns = [OWN + name for name in table.columns]
    write_scratch_file(engine, hidden_rows, hidden_columns, scratch, max(FEWEST_ROWS, min(length, ROW_GROUP_ROWS)))
    added: list[AddAction] = []
    for first in range(0, rows, length):
        span = Condition(f"file_row_number >= {first} and file_row_number < {first + length}")
        added += write(select("files", "span", fields=shown(table.columns), rows=numbered_parquet(scratch), where=span))
    scratch.unlink()
    return added


def rewrite_files(
    engine: Engine,
    lake: LakeTable,
    rewrites: Sequence[Rewrite],
    *,
    key: Sequence[str],
    statistics: Sequence[str],
    now_milliseconds: int,
) -> int:
    """Replace files by new ones in the order of the key.

    Returns:
        How many files were written.

    Raises:
        OvertakenError: another run changed the table in between; nothing is lost.
    """
    added: list[AddAction] = []
    for rewrite in rewrites:
        rows = lake.rows([file.path for file in rewrite.files])
        added += write_files(
            engine,
            lake,
            select("files", "ordered", rows=rows, keys=names(key)),
            rows=sum(file.rows for file in rewrite.files),
            pieces=rewrite.pieces,
            batch=None,
            now_milliseconds=now_milliseconds,
            statistics=statistics,
        )
    removed = tuple(file.path for rewrite in rewrites for file in rewrite.files)
    before = sum(file.rows for rewrite in rewrites for file in rewrite.files)
    after = sum(rows_of(action) for action in added)
    if before != after:
        message = f"{lake.path}: {before} rows in {len(removed)} files became {after} rows in the new ones"
        raise StateError(message, advice="nothing was changed; tidemark verify shows what is wrong", table=lake.path)
    lake.commit(Change(tuple(added), removed), batch=lake.batch, metadata=model_of(lake), same_rows=True)
    return len(added)


def model_of(lake: LakeTable) -> dict[str, str]:
    """Give what a commit that changes no rows says of the model: the same as the commit before."""
    known = lake.metadata()
    return {name: known[name] for name in ("model",) if name in known}


def data_files(lake: LakeTable, key: Sequence[str] = ()) -> list[DataFile]:
    """List the data files of a table as its log describes them; `key` are the columns of its key, if that matters."""
    actions = lake.delta.get_add_actions(flatten=True)
    columns = {name: actions[name].to_pylist() for name in ("path", "size_bytes", "num_records")}
    wanted = ["max.batch_id", f"max.{key[0]}" if len(key) == 1 else ""]
    nothing = [None] * len(columns["path"])
    bounds = [actions[name].to_pylist() if name in actions.schema.names else nothing for name in wanted]
    found = zip(*columns.values(), *bounds, strict=True)
    return sorted((DataFile(*each) for each in found), key=lambda file: file.path)


def drop_old_files(objects: Objects, path: str) -> None:
    """Remove the files that a table's newest version does not use, in a bucket where nobody reads older versions."""
    lake = open_table(objects, path)
    keep = {f"{path}/{file}" for file in lake.files} if lake else set()
    found = [each.key for each in objects.list(f"{path}/") if "/_delta_log/" not in each.key]
    objects.delete(key for key in found if key not in keep)


def unneeded_files(lake: LakeTable, oldest_needed: int, cutoff: datetime) -> list[ObjectMeta]:
    """List the files in a table's folder that may be removed.

    They are older than the cutoff, and no version uses them that is needed or was current since the cutoff. A file that
    no version uses was left by a killed run, unless it is young: then a run may be about to commit it. Of the log, it
    is what comes before the last checkpoint from which all those versions can be read.
    """
    folder, log = f"{lake.path}/", f"{lake.path}/_delta_log/"
    found = list(lake.objects.list(folder))
    commits = _commits(found, log)
    before_cutoff = max((version for version, moment in commits.items() if moment < cutoff), default=0)
    oldest = min(oldest_needed, before_cutoff)
    later = range(oldest + 1, lake.version + 1)
    missing = [version for version in later if version not in commits]
    if missing:
        message = f"{lake.path}: the commits {missing[:5]} are missing from its Delta log"
        raise StateError(message, advice="restore them from the bucket's older versions, or run tidemark rebuild")
    keep = {folder + file for file in (*lake.files, *_removed_by(lake.objects, log, later))}
    data = [each for each in found if not each.key.startswith(log) and each.key not in keep]
    return [each for each in [*data, *_log_before(found, log, oldest)] if each.last_modified < cutoff]


def _log_before(found: Sequence[ObjectMeta], log: str, oldest: int) -> list[ObjectMeta]:
    """List the commits and checkpoints before the last checkpoint from which version `oldest` can be read."""
    parts = {each: each.key.removeprefix(log).partition(".") for each in found if each.key.startswith(log)}
    versions = {each: (int(stem), suffix) for each, (stem, _, suffix) in parts.items() if stem.isdecimal()}
    checkpoints = [version for version, suffix in versions.values() if suffix == "checkpoint.parquet"]
    first = max((version for version in checkpoints if version <= oldest), default=0)
    return [each for each, (version, _) in versions.items() if version < first]


def _commits(found: Sequence[ObjectMeta], log: str) -> dict[int, datetime]:
    """Give the moments of the commits in a Delta log by their versions; checkpoints are passed over."""
    names = ((each.key.removeprefix(log), each.last_modified) for each in found if each.key.startswith(log))
    parts = ((*name.partition("."), moment) for name, moment in names)
    return {int(stem): moment for stem, _, suffix, moment in parts if suffix == "json" and stem.isdecimal()}


def _removed_by(objects: Objects, log: str, versions: Iterable[int]) -> Iterator[str]:
    """Name the files that some commits removed."""
    for version in versions:
        for line in objects.get(f"{log}{version:020d}.json").splitlines():
            action = json.loads(line)
            if "remove" in action:
                yield unquote(action["remove"]["path"])
