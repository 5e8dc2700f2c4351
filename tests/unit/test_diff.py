"""The SQL of the diff on DuckDB, against the same decisions in plain Python."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemark.capture import diff
from tidemark.capture.sweep import Bucketing, Sum
from tidemark.lake.sqltext import Rows, Sql, Table, listed, quoted

COLUMNS = {"id": "BIGINT", "Name": "VARCHAR", "is it": "BOOLEAN"}
KEY = ("id",)
BUCKETINGS = st.sampled_from(
    [Bucketing(by_key=True, shift=shift) for shift in (0, 1, 62)] + [Bucketing(by_key=False, mask=m) for m in (0, 3)]
)

Row = tuple[str | None, bool | None]
State = dict[int, Row]

ROWS: st.SearchStrategy[State] = st.dictionaries(
    st.integers(-4, 8) | st.sampled_from([-(1 << 62), 1 << 62]),
    st.tuples(st.sampled_from([None, "", "null", "a"]), st.sampled_from([None, True, False])),
    max_size=8,
)


def hash_of(key: int, row: Row) -> int:
    """Stand in for Postgres's hash of a row: equal for the same row, and another for any other."""
    return int.from_bytes(hashlib.blake2b(repr((key, row)).encode(), digest_size=8).digest(), signed=True)


class Poll:
    """A poll's steps as `_Comparison` takes them, on a table that `hashes` gives the stored hashes of."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, latest: State, hashes: Mapping[int, int | None]) -> None:
        self.connection = connection
        self.made = 0
        self.tables = diff.make_tables(self.empty, COLUMNS, KEY)
        self.latest = self.empty({**COLUMNS, "_hash": "BIGINT"})
        self.insert(self.latest, [(key, *row, hashes[key]) for key, row in latest.items()])

    def empty(self, columns: Mapping[str, str]) -> Table:
        self.made += 1
        fields = listed(Sql(f"{quoted(name)} {kind}") for name, kind in columns.items())
        self.connection.execute(f"create or replace temp table t{self.made} ({fields})")
        return Table(f"t{self.made}")

    def insert(self, table: Table, rows: list[tuple[object, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.connection.executemany(f"insert into {table} values ({marks})", rows)

    def read(self, source: State, keys: set[int]) -> None:
        self.connection.execute(f"delete from {self.tables.staged}")
        self.insert(self.tables.staged, [(key, *source[key], hash_of(key, source[key])) for key in keys])
        self.connection.execute(diff.compare_staged(self.latest, list(COLUMNS), KEY, self.tables))

    def sums(self, bucketing: Bucketing) -> dict[int | None, Sum]:
        bucket, before = bucketing.expression(quoted("id")), bucketing.expression(quoted("id"), "_hash_before")
        sums = diff.expected_sums(self.latest, bucket, before, KEY, self.tables)
        found = self.connection.execute(sums).fetchall()
        return {row[0]: Sum(row[1], int(row[2])) for row in found}

    def sweep(self, source: State, bucketing: Bucketing, differing: list[int] | None) -> None:
        bucket = bucketing.expression(quoted("id")) if differing is not None else None
        self.connection.execute(f"insert into {self.tables.differing} select unnest(?::bigint[])", [differing or []])
        swept = [
            (key, hash_of(key, row))
            for key, row in source.items()
            if differing is None or bucket_of(bucketing, key, row) in differing
        ]
        self.insert(self.tables.swept, swept)  # type: ignore[arg-type]
        expected = diff.expected_rows(self.latest, bucket, KEY, self.tables)
        to_read = diff.keys_to_read(expected, KEY, self.tables)
        wanted = {int(row[0]) for row in self.connection.execute(to_read).fetchall()}
        gone = Rows(f"(select * from {self.latest} semi join (select id from {expected}) using (id))")
        self.connection.execute(diff.delete_absent(gone, self.tables.swept, list(COLUMNS), KEY, self.tables))
        self.read(source, wanted)

    def changes(self) -> dict[int, tuple[str, Row, Row | None]]:
        found = self.connection.execute(
            f'select id, "Name", "is it", _op, _before from {self.tables.change} order by id'
        ).fetchall()
        assert [count for count in Counter(row[0] for row in found).values() if count > 1] == []
        return {row[0]: (row[3], row[1:3], row[4] and (row[4]["Name"], row[4]["is it"])) for row in found}


def bucket_of(bucketing: Bucketing, key: int, row: Row) -> int:
    return key >> bucketing.shift if bucketing.by_key else hash_of(key, row) & bucketing.mask


def sums_of(source: State, bucketing: Bucketing) -> dict[int, Sum]:
    sums: dict[int, Sum] = {}
    for key, row in source.items():
        before = sums.get(bucket_of(bucketing, key, row), Sum(0, 0))
        sums[bucket_of(bucketing, key, row)] = Sum(before.rows + 1, before.hashes + hash_of(key, row))
    return sums


def expected_changes(latest: State, source: State) -> dict[int, tuple[str, Row, Row | None]]:
    inserted = {key: ("insert", source[key], None) for key in source.keys() - latest.keys()}
    deleted = {key: ("delete", latest[key], latest[key]) for key in latest.keys() - source.keys()}
    both = latest.keys() & source.keys()
    updated = {key: ("update", source[key], latest[key]) for key in both if source[key] != latest[key]}
    return {**inserted, **deleted, **updated}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=60)
@given(latest=ROWS, source=ROWS, is_seen=st.sets(st.integers(-4, 8)), bucketing=BUCKETINGS)
def test_cursor_and_sweep_together_find_every_change_once(
    connection: duckdb.DuckDBPyConnection, latest: State, source: State, is_seen: set[int], bucketing: Bucketing
) -> None:
    poll = Poll(connection, latest, {key: hash_of(key, row) for key, row in latest.items()})

    poll.read(source, is_seen & source.keys())
    expected, found = poll.sums(bucketing), sums_of(source, bucketing)
    differing = [bucket for bucket in expected.keys() | found.keys() if expected.get(bucket) != found.get(bucket)]  # type: ignore[arg-type]
    poll.sweep(source, bucketing, differing)  # type: ignore[arg-type]

    assert poll.changes() == expected_changes(latest, source)
    # With these changes latest would have what the source has: a second sweep would find nothing.
    assert poll.sums(bucketing) == found


@settings(max_examples=40)
@given(latest=ROWS, source=ROWS, is_seen=st.sets(st.integers(-4, 8)), stale=st.sets(st.integers(-4, 8)), data=st.data())
def test_only_text_decides_and_a_hash_is_merely_learnt(
    connection: duckdb.DuckDBPyConnection,
    latest: State,
    source: State,
    is_seen: set[int],
    stale: set[int],
    data: st.DataObject,
) -> None:
    wrong = data.draw(st.none() | st.integers(-(1 << 63), (1 << 63) - 1))
    hashes = {key: wrong if key in stale else hash_of(key, row) for key, row in latest.items()}
    poll = Poll(connection, latest, hashes)

    poll.read(source, is_seen & source.keys())
    poll.sweep(source, Bucketing(by_key=False), None)

    learnt = {
        key: ("rehash", row, row)
        for key, row in latest.items()
        if source.get(key) == row and hashes[key] != hash_of(key, row)
    }
    assert poll.changes() == {**expected_changes(latest, source), **learnt}
    assert poll.sums(Bucketing(by_key=True, shift=1)) == sums_of(source, Bucketing(by_key=True, shift=1))


def test_an_insert_has_no_row_before_in_the_log(connection: duckdb.DuckDBPyConnection) -> None:
    poll = Poll(connection, {1: ("a", True)}, {1: 0})
    poll.read({1: ("b", None), 2: ('"\n', False)}, {1, 2})

    line = diff.log_line(list(COLUMNS))
    found = connection.execute(f"select {line} from {poll.tables.change} order by id").fetchall()

    assert [row[0] for row in found] == [
        '{"id":1,"Name":"b","is it":null,"_op":"update","_before":{"id":1,"Name":"a","is it":true}}',
        '{"id":2,"Name":"\\"\\n","is it":false,"_op":"insert"}',
    ]
