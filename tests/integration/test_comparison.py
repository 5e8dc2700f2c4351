"""Comparing a table with latest, on PostgreSQL and Delta tables, against the same decisions in plain Python."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import deltalake
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.capture import comparison, sweep
from tidemark.capture.comparison import capture_changes, reread
from tidemark.capture.full_table import Writers, capture_whole
from tidemark.capture.poll import PART_BYTES, Captured, Poll, TableOfLatest, apply_captured
from tidemark.capture.source import open_source
from tidemark.capture.sweep import Bucketing, Sum, Sums
from tidemark.capture.watermark import Span
from tidemark.lake import wide_rows
from tidemark.lake.engine import open_engine
from tidemark.lake.table import Change
from tidemark.log.changelog import ChangeLog, TableEntry
from tidemark.log.latest import open_latest, path_of
from tidemark.model import Model
from tidemark.objects import Objects, open_objects
from tidemark.postgres.copy_out import BLOCK_LINES

# One has buckets by key, the other, whose key is no integer, by hash.
TABLES = {"by_key": "bigint", "by_hash": "numeric"}
MODEL = "".join(f'[source.{table}]\nkey = ["id"]\nupdated = "at"\n' for table in TABLES)
LONG_AGO, RECENT, LATER = (datetime(year, 1, 1) for year in (2001, 2021, 2031))  # noqa: DTZ001 -- as the column has them

Row = tuple[str | None, bool | None, bool]
"""A text, a flag, and whether the row is stamped recently."""
Rows = dict[int, Row]
Changes = dict[int, tuple[str, Row, Row | None]]

KEYS = st.integers(-4, 8) | st.sampled_from([-(1 << 62), 1 << 62])
ROWS: st.SearchStrategy[Rows] = st.dictionaries(
    KEYS,
    st.tuples(st.sampled_from([None, "", "null", '"\n']), st.sampled_from([None, True, False]), st.booleans()),
    max_size=8,
)


@dataclass(frozen=True)
class Cut:
    """How a comparison cuts a table.

    A sweep has about so many rows in a bucket, and scans from that share of the buckets on. Rows of more columns than
    `piece_columns` are taken so many columns at a time.
    """

    rows_per_bucket: int
    scan_share: float
    piece_columns: int = wide_rows.PIECE_COLUMNS


CUTS = st.sampled_from([Cut(1024, 0.05), Cut(1, 0.05), Cut(1, 1.0), Cut(3, 1.0), Cut(1, 1.0, 1), Cut(3, 0.05, 2)])


NAMES = st.sampled_from(list(TABLES))


class Table:
    """A table of a source, what the log last said of it, and latest, which an example begins anew in `folder`."""

    def __init__(
        self, model: Model, url: str, name: str, folder: Path, rows: Rows, part_bytes: int = PART_BYTES
    ) -> None:
        self._url, self._model, self._part_bytes = url, model, part_bytes
        self._objects: Objects = open_objects(str(folder))
        self._source = model.sources[name]
        self._batch = 1
        self.holds(rows)
        with self._poll() as poll:
            columns = poll.snapshot.columns(self._source)
            latest = open_latest(self._objects, self._source, columns)
            with ThreadPoolExecutor(max_workers=1) as executor:
                written = capture_whole(poll, latest, columns, 1, Writers(executor, 1))
            self.entry = self._apply(written())

    def holds(self, rows: Rows) -> None:
        """Let the source hold these rows and no others."""
        with psycopg.connect(self._url) as connection:
            connection.execute(f"truncate {self._source.name}".encode())
            for key, (text, flag, is_recent) in rows.items():
                connection.execute(
                    f"insert into {self._source.name} values (%s, %s, %s, %s)".encode(),
                    [key, text, flag, RECENT if is_recent else LONG_AGO],
                )

    def forget(self, keys: Sequence[int], hash_instead: int | None) -> None:
        """Put another hash, or none, into the rows of latest that have these keys."""
        if keys:
            listed = ", ".join(f"'{key}'" for key in keys)
            table = deltalake.DeltaTable(self._objects.url(path_of(self._source)))
            table.update(
                predicate=f"cast(id as string) in ({listed})",
                updates={"_hash": "null" if hash_instead is None else f"cast('{hash_instead}' as bigint)"},
            )

    def compare(
        self,
        before: TableEntry | None = None,
        *,
        since: datetime | None = RECENT,
        sweeps: bool = True,
        known: Sums | None = None,
        cursor: str | None = None,
    ) -> Captured:
        """Compare source and latest, whose sums may be `known`, and apply what was found to latest.

        `cursor` is the digest of the rows that the cursor read before.
        """
        with self._poll() as poll:
            columns = poll.snapshot.columns(self._source)
            latest = open_latest(self._objects, self._source, columns)
            table = TableOfLatest(self._source, lambda: latest, known, cursor)
            captured = capture_changes(poll, table, columns, before or self.entry, since=since, sweeps=sweeps)()
        self.entry = self._apply(captured)
        return captured

    def read_again(self, span: Span) -> tuple[comparison.Reread, Captured]:
        """Compare the rows that lie in a span."""
        with self._poll() as poll:
            columns = poll.snapshot.columns(self._source)
            latest = TableOfLatest(self._source, lambda: open_latest(self._objects, self._source, columns))
            found = reread(poll, latest, columns, self.entry, [span])
            return found, found.write()

    def sums(self) -> Sum:
        """Ask the source for the number of its rows and the sum of their hashes."""
        with self._poll() as poll:
            return poll.snapshot.sums(self._source, Bucketing(by_key=False, mask=0)).total

    def lines(self, captured: Captured) -> list[str]:
        """Give the lines of the log that were written."""
        return self.log(captured.entry)

    def log(self, entry: TableEntry | None = None) -> list[str]:
        """Give the lines of the log that an entry names, by default those of the last one."""
        named = (entry or self.entry).objects
        return [line for each in named for line in self._objects.get(each.key).decode().splitlines()]

    def changes(self, captured: Captured) -> Changes:
        """Give the changes that were written, by key."""
        lines = [json.loads(line) for line in self.lines(captured)]
        found = {int(line["id"]): (line["_op"], row_of(line), row_of(line.get("_before"))) for line in lines}
        assert len(found) == len(lines) == captured.entry.changes
        return found

    def _apply(self, captured: Captured) -> TableEntry:
        assert apply_captured(captured, self._batch)
        self._batch += 1
        return captured.entry

    @contextmanager
    def _poll(self) -> Iterator[Poll]:
        with (
            open_source(self._url) as source,
            open_engine([self._objects]) as engine,
            source.snapshot(self._model.sources.values()) as snapshot,
        ):
            version = source.identity().major_version
            log, batch = ChangeLog(self._objects), self._batch
            yield Poll(engine, log, snapshot, batch, batch, version, ZoneInfo("UTC"), self._part_bytes)


NewTable = Callable[[str, Rows], Table]


def row_of(line: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 -- a row, or None for None
    return line and (line["text"], line["is it"], line["at"] == str(RECENT))


def expected_changes(latest: Rows, source: Rows) -> Changes:
    inserted: Changes = {key: ("insert", source[key], None) for key in source.keys() - latest.keys()}
    deleted: Changes = {key: ("delete", latest[key], latest[key]) for key in latest.keys() - source.keys()}
    both = latest.keys() & source.keys()
    updated: Changes = {key: ("update", source[key], latest[key]) for key in both if source[key] != latest[key]}
    return {**inserted, **deleted, **updated}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return write_model(tmp_path_factory.mktemp("comparison") / "model", MODEL)


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """The source of all examples, each of which replaces its rows."""
    database = postgres.create()
    with psycopg.connect(postgres.url(database)) as connection:
        for table, key in TABLES.items():
            columns = f'id {key} primary key, text text, "is it" boolean, at timestamp'
            connection.execute(f"create table {table} ({columns})".encode())
    yield postgres.url(database)
    postgres.drop(database)


@pytest.fixture(scope="module")
def new_table(model: Model, url: str, tmp_path_factory: pytest.TempPathFactory) -> NewTable:
    return lambda name, rows: Table(model, url, name, tmp_path_factory.mktemp("example"), rows)


def test_a_table_read_in_parts_is_the_same_as_in_one(model: Model, url: str, tmp_path: Path) -> None:
    rows: Rows = {key: (f"row {key}", None, key == BLOCK_LINES) for key in range(2 * BLOCK_LINES + 1)}

    whole = Table(model, url, "by_key", tmp_path / "whole", rows)
    parts = Table(model, url, "by_key", tmp_path / "parts", rows, part_bytes=10_000)

    assert BLOCK_LINES not in {each.rows for each in parts.entry.objects}
    count = len(parts.entry.objects)
    assert count > 2
    assert [each.key[-12:] for each in parts.entry.objects] == [f"-p000{number + 1}.jsonl" for number in range(count)]
    assert replace(parts.entry, objects=()) == replace(whole.entry, objects=())
    assert parts.entry.latest_row_id == str(2 * BLOCK_LINES)
    assert parts.log() == whole.log()
    assert parts.compare().entry.changes == 0


@contextmanager
def cut_as(cut: Cut) -> Iterator[None]:
    """Let sweeps of a few rows cut the table as those of many rows do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "ROWS_PER_BUCKET", cut.rows_per_bucket)
        patch.setattr(comparison, "SCAN_SHARE", cut.scan_share)
        patch.setattr(wide_rows, "PIECE_COLUMNS", cut.piece_columns)
        yield


@settings(max_examples=16)
@given(name=NAMES, latest=ROWS, source=ROWS, cut=CUTS)
def test_cursor_and_sweep_together_find_every_change_once(
    new_table: NewTable, name: str, latest: Rows, source: Rows, cut: Cut
) -> None:
    table = new_table(name, latest)
    table.holds(source)

    with cut_as(cut):
        captured = table.compare()
        again = table.compare()

    assert table.changes(captured) == expected_changes(latest, source)
    assert Sum(captured.entry.rows, int(captured.entry.hash_sum)) == table.sums()
    # Latest now has what the source has, hashes included: a second sweep finds nothing.
    assert (again.entry.changes, again.change) == (0, Change())


@settings(max_examples=12)
@given(name=NAMES, first=ROWS, second=ROWS, cut=CUTS, sweeps=st.booleans())
def test_with_known_sums_every_change_is_found_and_the_sums_go_on(
    new_table: NewTable,
    name: str,
    first: Rows,
    second: Rows,
    cut: Cut,
    sweeps: bool,  # noqa: FBT001 -- as below
) -> None:
    table = new_table(name, first)
    with cut_as(cut):
        known = table.compare().sums
        same = table.compare(known=known)
        table.holds(second)
        between = table.compare(sweeps=sweeps, known=same.sums, cursor=same.cursor)
        captured = table.compare(known=between.sums, cursor=between.cursor)

    assert known is not None
    assert same.latest is None
    assert captured.sums is not None
    found = table.changes(between) | table.changes(captured)
    assert found == expected_changes(first, second)
    assert captured.sums.total == table.sums() == Sum(captured.entry.rows, int(captured.entry.hash_sum))
    assert table.compare(known=captured.sums).latest is None


@settings(max_examples=12)
@given(name=NAMES, first=ROWS, second=ROWS)
def test_the_rows_that_the_cursor_read_before_are_compared_again_only_if_one_has_changed(
    new_table: NewTable, name: str, first: Rows, second: Rows
) -> None:
    table = new_table(name, first)
    before = table.compare(sweeps=False)
    same = table.compare(sweeps=False, known=before.sums, cursor=before.cursor)
    table.holds(second)
    by_cursor = table.compare(sweeps=False, known=same.sums, cursor=same.cursor)
    idle = table.compare(sweeps=False, known=by_cursor.sums, cursor=by_cursor.cursor)
    table.holds(first)
    back = table.compare(sweeps=False, known=idle.sums, cursor=idle.cursor)
    rest = table.compare(known=back.sums, cursor=back.cursor)

    assert (same.latest, idle.latest) == (None, None)
    stamped = {key: row for key, row in second.items() if row[2]}
    assert table.changes(by_cursor).keys() == expected_changes(first, first | stamped).keys()
    assert Sum(rest.entry.rows, int(rest.entry.hash_sum)) == table.sums()
    assert rest.sums is not None


@settings(max_examples=12)
@given(name=NAMES, latest=ROWS, source=ROWS, wrong=ROWS, stale=st.sets(st.integers(-4, 8)), cut=CUTS)
def test_wrong_sums_make_no_change_and_do_not_outlast_the_poll_that_notices(  # noqa: PLR0913, PLR0917 -- as below
    new_table: NewTable, name: str, latest: Rows, source: Rows, wrong: Rows, stale: set[int], cut: Cut
) -> None:
    table = new_table(name, wrong)
    with cut_as(cut):
        of_others = table.compare().sums
        table.holds(latest)
        table.compare()
        table.forget(sorted(stale & latest.keys()), None)
        table.holds(source)
        captured = table.compare(known=of_others)
        again = table.compare(known=captured.sums)

    expected, found, later = expected_changes(latest, source), table.changes(captured), table.changes(again)
    assert found.items() <= expected.items()
    assert later.items() <= expected.items()
    if captured.sums is None:
        assert found | later == expected
    assert Sum(captured.entry.rows, int(captured.entry.hash_sum)) == table.sums()


@settings(max_examples=8)
@given(name=NAMES, latest=ROWS, source=ROWS)
def test_the_cursor_alone_finds_the_rows_with_a_recent_stamp(
    new_table: NewTable, name: str, latest: Rows, source: Rows
) -> None:
    table = new_table(name, latest)
    table.holds(source)

    captured = table.compare(sweeps=False)

    every = expected_changes(latest, source)
    assert table.changes(captured) == {key: every[key] for key in every if key in source and source[key][2]}


@settings(max_examples=12)
@given(
    name=NAMES,
    latest=ROWS,
    source=ROWS,
    stale=st.sets(st.integers(-4, 8)),
    wrong=st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    cut=CUTS,
    is_comparable=st.booleans(),
)
def test_only_text_decides_and_a_hash_is_merely_learnt(  # noqa: PLR0913, PLR0917 -- what an example consists of
    new_table: NewTable,
    name: str,
    latest: Rows,
    source: Rows,
    stale: set[int],
    wrong: int | None,
    cut: Cut,
    is_comparable: bool,  # noqa: FBT001 -- whether latest has hashes of the same kind
) -> None:
    table = new_table(name, latest)
    table.forget(sorted(stale & latest.keys()), wrong)
    table.holds(source)

    with cut_as(cut):
        captured = table.compare(table.entry if is_comparable else replace(table.entry, hashed_by="of another kind"))
        again = table.compare()

    assert table.changes(captured) == expected_changes(latest, source)
    assert (again.entry.changes, again.change) == (0, Change())


@settings(max_examples=8)
@given(name=NAMES, latest=ROWS, source=ROWS)
def test_reading_a_span_again_finds_what_lies_in_it_on_either_side(
    new_table: NewTable, name: str, latest: Rows, source: Rows
) -> None:
    table = new_table(name, latest)
    table.holds(source)

    found, captured = table.read_again(Span("at", "timestamp", RECENT, LATER))

    within = {key for rows in (latest, source) for key, row in rows.items() if row[2]}
    every = expected_changes(latest, source)
    expected = {key: every[key] for key in every if key in within}
    assert table.changes(captured) == expected
    assert (found.read, found.changes) == (len(within & source.keys()), len(expected))
    counts = [[change[0] for change in expected.values()].count(kind) for kind in ("insert", "update", "delete")]
    assert [found.inserted, found.updated, found.deleted] == counts


def test_reading_a_span_again_finds_a_key_in_another_text(new_table: NewTable, url: str) -> None:
    table = new_table("by_hash", {1: ("a", None, False), 2: ("b", None, False)})
    with psycopg.connect(url) as connection:
        connection.execute("update by_hash set id = 1.00, at = '2021-01-01' where id = 1")

    found, captured = table.read_again(Span("at", "timestamp", RECENT, LATER))

    assert (found.inserted, found.updated, found.deleted) == (0, 1, 0)
    (line,) = map(json.loads, table.lines(captured))
    assert (line["id"], line["_before"]["id"]) == ("1.00", "1")


def test_an_insert_has_no_row_before_in_the_log(new_table: NewTable) -> None:
    table = new_table("by_key", {1: ("a", True, False)})
    table.holds({1: ("b", None, True), 2: ('"\n', False, True)})

    updated, inserted = table.lines(table.compare())

    assert updated == (
        '{"id":1,"text":"b","is it":null,"at":"2021-01-01 00:00:00","_op":"update",'
        '"_before":{"id":1,"text":"a","is it":true,"at":"2001-01-01 00:00:00"}}'
    )
    assert inserted == '{"id":2,"text":"\\"\\n","is it":false,"at":"2021-01-01 00:00:00","_op":"insert"}'
