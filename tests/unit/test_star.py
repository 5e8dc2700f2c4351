"""Versions keep their places in a history, whatever is set aside and comes back, in whatever order."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.lake.sqltext import Rows
from tidemark.log.columns import Column
from tidemark.model import Model, SourceTable, StarTable
from tidemark.star.star_sql import neighbours, typed, unreadable, versions

TABLE = SourceTable(name="item", key=("id",), updated="stamp")
STAR = StarTable("fact_item", "fact", ("item_record_id",), ("item",), "", driving="item", source_key=("item_id",))
MODEL = Model("small", Path(), ZoneInfo("UTC"), {"item": TABLE}, {"fact_item": STAR})
COLUMNS = {column.name: column for column in (Column("id", "integer"), Column("stamp", "timestamp without time zone"))}
START = datetime(2024, 11, 15, 12, 0)  # noqa: DTZ001 -- naive, as a source's stamps are
MICROSECOND = timedelta(microseconds=1)
# Close together, so that versions crowd; None is a row without a stamp.
STAMPS = st.one_of(st.none(), st.integers(-3, 12))
# For each batch: the row's stamp, whether it is deleted, whether it is set aside, and who of those there comes back.
BATCHES = st.lists(st.tuples(STAMPS, st.booleans(), st.booleans(), st.sets(st.integers(1, 8))), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


class History:
    """The versions of one key and what of it lies in quarantine, by the SQL of the star."""

    def __init__(self, duck: duckdb.DuckDBPyConnection) -> None:
        self.duck = duck
        duck.execute("create or replace table fact (item_record_id bigint, item_id integer, valid_from timestamp)")
        duck.execute(
            "create or replace table aside (_tidemark_ordinal bigint, item_id integer, id bigint, stamp varchar,"
            " _op varchar, _tidemark_captured_at timestamp)"
        )

    def add(self, ordinal: int, stamp: datetime | None, captured_at: datetime, *, is_deleted: bool) -> None:
        """Let a change come, as it does from quarantine: what lies there knows of it."""
        operation = "delete" if is_deleted else "update"
        shown = None if stamp is None else str(stamp)
        self.duck.execute("insert into aside values (?, 1, 1, ?, ?, ?)", [ordinal, shown, operation, captured_at])

    def take(self, ordinal: int) -> None:
        """Give a change its place."""
        part = Rows(f"(select * exclude (item_id) from aside where _tidemark_ordinal = {ordinal})")
        beside = neighbours(Rows("fact"), STAR, part, TABLE, COLUMNS, Rows("aside"))
        made = versions(part, STAR, TABLE, COLUMNS, MODEL, beside.rows)
        self.duck.execute(f"insert into fact select _tidemark_ordinal, item_id, valid_from from ({made})")
        self.duck.execute(f"delete from aside where _tidemark_ordinal = {ordinal}")

    @property
    def versions(self) -> dict[int, datetime]:
        """Give when each version begins, by its place in the log."""
        rows = self.duck.execute("select item_record_id, valid_from from fact order by 1").fetchall()
        return dict(rows)


def moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else START + microseconds * MICROSECOND


@given(batches=BATCHES, last=st.randoms(use_true_random=False))
def test_versions_keep_the_order_of_the_log_in_whatever_order_they_come_back(
    duck: duckdb.DuckDBPyConnection, batches: list[tuple[int | None, bool, bool, set[int]]], last: object
) -> None:
    history, aside = History(duck), set[int]()
    for ordinal, (stamp, is_deleted, is_aside, released) in enumerate(batches, start=1):
        history.add(ordinal, moment(stamp), START + 2 * ordinal * MICROSECOND, is_deleted=is_deleted)
        aside.add(ordinal)
        returning = sorted(aside & released - {ordinal})
        for each in ([] if is_aside else [ordinal]) + returning:
            history.take(each)
            aside.discard(each)
        assert all(one < other for one, other in pairwise(history.versions.values()))
    before = history.versions
    rest = sorted(aside)
    last.shuffle(rest)  # type: ignore[attr-defined]
    for each in rest:
        history.take(each)

    found = history.versions
    assert list(found) == list(range(1, len(batches) + 1))
    assert all(one < other for one, other in pairwise(found.values()))
    assert {ordinal: found[ordinal] for ordinal in before} == before


@given(batches=BATCHES)
def test_a_version_begins_at_its_stamp_where_nothing_was_set_aside(
    duck: duckdb.DuckDBPyConnection, batches: list[tuple[int | None, bool, bool, set[int]]]
) -> None:
    history, expected = History(duck), list[datetime]()
    for ordinal, (microseconds, is_deleted, _, _) in enumerate(batches, start=1):
        captured_at, stamp = START + 2 * ordinal * MICROSECOND, moment(microseconds)
        history.add(ordinal, stamp, captured_at, is_deleted=is_deleted)
        history.take(ordinal)
        since = captured_at if is_deleted or stamp is None else min(stamp, captured_at)
        if expected and since <= expected[-1]:
            since = max(captured_at, expected[-1] + MICROSECOND)
        expected.append(since)

    assert list(history.versions.values()) == expected


def test_a_version_that_comes_back_begins_at_its_stamp_where_that_lies_between(duck: duckdb.DuckDBPyConnection) -> None:
    history = History(duck)
    for ordinal, minutes in enumerate((0, 5, 9), start=1):
        history.add(ordinal, START + timedelta(minutes=minutes), START + timedelta(hours=ordinal), is_deleted=False)
    for ordinal in (1, 3, 2):
        history.take(ordinal)

    assert history.versions[2] == START + timedelta(minutes=5)


UNREADABLE = [
    ("numeric", "NaN"),
    ("numeric", "Infinity"),
    ("numeric", "1" * 21),
    ("numeric", "0.1234567890123456789"),
    ("numeric(10,2)", "NaN"),
    ("date", "0044-03-15 BC"),
    ("timestamp without time zone", "0044-03-15 10:00:00 BC"),
    ("timestamp with time zone", "0044-03-15 10:00:00+00 BC"),
]
READABLE = [
    ("numeric", "-99999999999999999999.123456789012345678"),
    ("numeric", "1.000000000000000000000"),
    ("numeric(40,2)", "1.00"),
    ("double precision", "NaN"),
    ("timestamp without time zone", "infinity"),
    ("date", "10000-01-01"),
    ("text", "0044-03-15 BC"),
    ("uuid", "no uuid, but a text to the model"),
]


def asked(duck: duckdb.DuckDBPyConnection, kind: str, value: str) -> tuple[str | None, object, object]:
    columns = [Column("id", "integer"), Column("value", kind)]
    rows = Rows("(select 1::bigint as id, ?::varchar as value)")
    reason = duck.execute(f"select {unreadable(columns)} from {rows}", [value]).fetchone()
    plain = duck.execute(f"select value is null from ({typed(rows, columns)})", [value]).fetchone()
    filled = duck.execute(f"select value is null from ({typed(rows, columns, filled=True)})", [value]).fetchone()
    assert reason is not None
    return reason[0], plain, filled


@pytest.mark.parametrize(("kind", "value"), UNREADABLE)
def test_what_a_model_cannot_read_has_a_reason_and_can_be_told_from_null(
    duck: duckdb.DuckDBPyConnection, kind: str, value: str
) -> None:
    reason, _, filled = asked(duck, kind, value)

    assert str(reason).startswith(f"value is '{value}', which no ")
    assert filled == (False,)


@pytest.mark.parametrize(("kind", "value"), READABLE)
def test_what_a_model_can_read_has_none(duck: duckdb.DuckDBPyConnection, kind: str, value: str) -> None:
    assert asked(duck, kind, value) == (None, (False,), (False,))


@pytest.mark.parametrize(
    "kind",
    [
        "numeric",
        "numeric(38,0)",
        "numeric(2,2)",
        "numeric(1,0)",
        "real",
        "date",
        "smallint",
        "timestamp with time zone",
    ],
)
def test_a_value_of_any_type_can_be_filled_in(duck: duckdb.DuckDBPyConnection, kind: str) -> None:
    rows = Rows("(select 'nothing that can be read' as value)")

    filled = duck.execute(
        f"select value::varchar from ({typed(rows, [Column('value', kind)], filled=True)})"
    ).fetchone()

    assert filled is not None
    assert re.search("7|1907", filled[0])
