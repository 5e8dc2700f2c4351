"""Two sets of rows are compared as multisets, whatever their order, nulls and repeats; Counter is the judge."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemark.lake.engine import Engine, WorkingTables, open_engine
from tidemark.lake.sqltext import Sql, Table
from tidemark.verification.matching import Match, compare, differences, verdicts

COLUMNS = ["key", "part", "value"]
Row = tuple[int, str | None, str | None]
texts = st.none() | st.sampled_from(["", "a", "1", "1.0", "'", "é"])
rows = st.lists(st.tuples(st.integers(-3, 3), texts, texts), max_size=12)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine([]) as opened:
        yield opened


def put(engine: Engine, tables: WorkingTables, found: list[Row]) -> Table:
    table = tables.empty({"key": "INTEGER", "part": "VARCHAR", "value": "VARCHAR"})
    for row in found:
        engine.execute(Sql(f"insert into {table} values (?, ?, ?)"), row)
    return table


@contextmanager
def compared(engine: Engine, left: list[Row], right: list[Row]) -> Iterator[Match]:
    with engine.working_tables() as tables:
        mine, theirs = put(engine, tables, left), put(engine, tables, right)
        yield compare(engine, tables, mine, theirs, COLUMNS, ["key", "part"])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=rows, right=rows)
def test_sides_are_equal_exactly_when_they_hold_the_same_rows_as_often(
    engine: Engine, left: list[Row], right: list[Row]
) -> None:
    with compared(engine, left, right) as match:
        assert (match.found is not None) == (Counter(left) != Counter(right))
        assert (match.left == match.right) == (Counter(left) == Counter(right))
        assert (match.left.rows, match.right.rows) == (len(left), len(right))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=rows, right=rows)
def test_every_key_that_differs_is_named_and_no_other(engine: Engine, left: list[Row], right: list[Row]) -> None:
    mine, theirs = Counter(left), Counter(right)
    expected = {row[:2] for row in mine.keys() | theirs.keys() if mine[row] != theirs[row]}
    keys = {row[:2] for row in left}, {row[:2] for row in right}

    with compared(engine, left, right) as match:
        if match.found is None:
            assert not expected
            return
        found = engine.execute(Sql(f"select distinct k.key, k.part from {match.found}")).fetchall()
        assert set(found) == expected
        assert verdicts(engine, match)["real"] >= len(expected)
        for each in differences(engine, match):
            key = (int(each.key["key"] or 0), each.key["part"])
            if each.kind in {"missing", "surplus"}:
                # The key's other rows, if it has any, are the same on both sides.
                assert key in keys[each.kind == "surplus"]
