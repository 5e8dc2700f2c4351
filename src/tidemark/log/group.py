"""Groups: consecutive small batches of the log that a scratch copy takes at once, because each step has its price.

A group has no batch that needs care: not the first one, none with another shape than the batch before, none that names
rows of quarantine, none with more rows than are read at once, and none with wide rows.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC
from itertools import takewhile
from pathlib import Path

from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.json_lines import longest_line_bytes
from tidemark.lake.sqltext import (
    Expression,
    Select,
    Table,
    from_json,
    hidden,
    listed,
    named_as,
    names,
    numbered_parquet,
    numbers,
    quoted,
    select,
    shown,
    text,
)
from tidemark.lake.wide_rows import is_wide
from tidemark.log.change import KEY_BEFORE, struct_of
from tidemark.log.changelog import READERS, ChangeLog, LogObject, Manifest, TableEntry
from tidemark.log.keys import has_variants
from tidemark.model import SourceTable

logger = logging.getLogger(__name__)
MOST_BATCHES = 1000
# The lines of a group are read into memory, and the engine holds them once more.
MOST_BYTES = 8 << 20
FEWEST_TRIED = 8


class ApartError(Exception):
    """Say that a batch cannot be taken together with others; alone it may be fine, or raise an error of its own."""

    def __init__(self, batch: int) -> None:
        super().__init__(f"batch {batch} has to be taken alone")
        self.batch = batch


@dataclass(frozen=True)
class Group:
    """Batches that follow each other; `changes` has a working table for each source table that they change.

    Its columns are the table's, `_op`, where the key's text can vary the key before (see `change_columns`), and what
    tells the changes apart: `_tidemark_batch`, `_tidemark_ordinal` and `_tidemark_captured_at`.
    """

    manifests: Sequence[Manifest]
    changes: Mapping[str, Table]

    @property
    def first(self) -> int:
        """Give its first batch."""
        return self.manifests[0].batch

    @property
    def last(self) -> int:
        """Give its last batch."""
        return self.manifests[-1].batch

    @property
    def entries(self) -> Mapping[str, TableEntry]:
        """Give the entries of the last batch; the columns are those of all."""
        return self.manifests[-1].tables

    def batches_with(self, tables: Iterable[str]) -> list[int]:
        """Name the batches that change one of some tables."""
        wanted = list(tables)
        return [each.batch for each in self.manifests if any(_changes_of(each, name) for name in wanted)]


def cut(manifests: Iterable[Manifest]) -> Iterator[list[Manifest]]:
    """Cut batches, given in their order, into groups; a batch that needs care is alone."""
    run: list[Manifest] = []
    taken_bytes = 0
    before: Manifest | None = None
    for each in manifests:
        objects = [table.objects for table in each.tables.values()]
        size_bytes = sum(one.bytes for found in objects for one in found)
        needs_care = (
            before is None
            or each.batch == 1
            or bool(each.replay)
            or any(len(found) > 1 for found in objects)
            or size_bytes > MOST_BYTES
            or any(table.changes and is_wide(table.columns) for table in each.tables.values())
            or _shape(each) != _shape(before)
        )
        before = each
        if run and (needs_care or len(run) == MOST_BATCHES or taken_bytes + size_bytes > MOST_BYTES):
            yield run
            run, taken_bytes = [], 0
        if needs_care:
            yield [each]
        else:
            run.append(each)
            taken_bytes += size_bytes
    if run:
        yield run


def take(
    run: Sequence[Manifest], together: Callable[[Sequence[Manifest]], None], alone: Callable[[Manifest], object]
) -> None:
    """Have the batches of a run taken in their order: together, but for those that have to be taken alone.

    After each of these, fewer batches are tried at once, so that a try that fails does not cost more than it can gain.

    Args:
        run: the batches.
        together: takes some of them. If it raises ApartError, it has done nothing.
        alone: takes one of them.
    """
    rest, most, apart = list(run), len(run), set[int]()
    while rest:
        part = list(takewhile(lambda each: each.batch not in apart, rest[:most]))
        if len(part) <= 1:
            alone(rest.pop(0))
            continue
        try:
            together(part)
        except ApartError as exc:
            logger.debug("%s", exc)
            apart.add(exc.batch)
            most = max(exc.batch - part[0].batch, FEWEST_TRIED)
        else:
            del rest[: len(part)]
            most *= 2


def read_group(
    engine: Engine,
    log: ChangeLog,
    manifests: Sequence[Manifest],
    sources: Mapping[str, SourceTable],
    tables: WorkingTables,
) -> Group:
    """Read the changes of a group.

    Raises:
        ApartError: an object has not as many lines as its manifest says.
        StateError: an object is gone or altered.
    """
    changes = {}
    for name, source in sources.items():
        if any(_changes_of(each, name) for each in manifests):
            with engine.working_on(name):
                changes[name] = _changes(engine, log, manifests, source, tables)
    return Group(manifests, changes)


def _changes(
    engine: Engine, log: ChangeLog, manifests: Sequence[Manifest], source: SourceTable, tables: WorkingTables
) -> Table:
    entries = [(each, each.tables[source.name]) for each in manifests if _changes_of(each, source.name)]
    columns = manifests[-1].tables[source.name].columns
    types = {column.name: column.log_type for column in columns}
    beside = {"_op": "VARCHAR"}
    if has_variants(source.key, columns):
        beside["_before"] = struct_of({name: types[name] for name in source.key})
    path, numbered = engine.new_file(".jsonl"), engine.new_file(".parquet")
    places = [0]
    with path.open("wb") as file:
        bodies = _bodies(engine, log, [each for _, entry in entries for each in entry.objects])
        for (manifest, entry), body in zip(entries, bodies, strict=True):
            if not body.endswith(b"\n") or body.count(b"\n") != entry.changes:
                raise ApartError(manifest.batch)
            file.write(body)
            places.append(places[-1] + entry.changes)
    lines = from_json([str(path)], types | beside, longest_line_bytes([path]))
    fields = listed([hidden(types), names(beside)])
    engine.write_parquet(select("files", "fields", fields=fields, rows=lines), numbered)
    kept = [named_as(quoted(name), KEY_BEFORE if name == "_before" else name) for name in beside]
    parts = {
        "fields": listed([shown(types), *kept]),
        "rows": numbered_parquet(numbered),
        "spans": _spans(entries, places).rows,
    }
    changes = tables.of(select("group", "changes", **parts))
    for each in (path, numbered):
        each.unlink()
    return changes


def _spans(entries: Sequence[tuple[Manifest, TableEntry]], places: Sequence[int]) -> Select:
    """Write the SELECT that gives each batch the numbers of its lines."""
    moments = (manifest.captured_at.astimezone(UTC).replace(tzinfo=None) for manifest, _ in entries)
    return select(
        "group",
        "spans",
        places=numbers(places[:-1]),
        last_places=numbers(place - 1 for place in places[1:]),
        batches=numbers(manifest.batch for manifest, _ in entries),
        ordinals=numbers(entry.first_ordinal for _, entry in entries),
        moments=Expression(f"[{listed(text(moment.isoformat(sep=' ')) for moment in moments)}]"),
    )


def _changes_of(manifest: Manifest, table: str) -> int:
    return manifest.tables[table].changes if table in manifest.tables else 0


def _bodies(engine: Engine, log: ChangeLog, objects: Sequence[LogObject]) -> Iterator[bytes]:
    """Read objects, several at a time, in their order."""
    copies = [engine.new_file(".jsonl") for _ in objects]

    def read(each: LogObject, copy: Path) -> bytes:
        body = log.verified(each, copy).read_bytes()
        copy.unlink(missing_ok=True)
        return body

    with ThreadPoolExecutor(max_workers=READERS) as executor:
        yield from executor.map(read, objects, copies)


def _shape(manifest: Manifest) -> Mapping[str, object]:
    return {name: (entry.columns, entry.is_known) for name, entry in manifest.tables.items()}
