"""Two sets of rows are compared as multisets, whatever their order, nulls and repeats; Counter is the judge."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemark.lake.engine import Engine, open_engine
from tidemark.verification.matching import compare, differences, verdicts

COLUMNS = ["key", "part", "value"]
Row = tuple[int, str | None, str | None]
texts = st.none() | st.sampled_from(["", "a", "1", "1.0", "'", "é"])
rows = st.lists(st.tuples(st.integers(-3, 3), texts, texts), max_size=12)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine([]) as opened:
        yield opened


def put(engine: Engine, table: str, found: list[Row]) -> str:
    engine.execute(f"create or replace temp table {table} (key integer, part varchar, value varchar)")
    for row in found:
        engine.execute(f"insert into {table} values (?, ?, ?)", row)
    return table


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=rows, right=rows)
def test_sides_are_equal_exactly_when_they_hold_the_same_rows_as_often(
    engine: Engine, left: list[Row], right: list[Row]
) -> None:
    match = compare(engine, put(engine, "one", left), put(engine, "other", right), COLUMNS, ["key", "part"])

    assert match.differs == (Counter(left) != Counter(right))
    assert (match.left == match.right) == (Counter(left) == Counter(right))
    assert (match.left.rows, match.right.rows) == (len(left), len(right))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=rows, right=rows)
def test_every_key_that_differs_is_named_and_no_other(engine: Engine, left: list[Row], right: list[Row]) -> None:
    match = compare(engine, put(engine, "one", left), put(engine, "other", right), COLUMNS, ["key", "part"])
    if not match.differs:
        return

    mine, theirs = Counter(left), Counter(right)
    expected = {row[:2] for row in mine.keys() | theirs.keys() if mine[row] != theirs[row]}
    found = engine.execute("select distinct k.key, k.part from found").fetchall()
    assert set(found) == expected
    assert verdicts(engine)["real"] >= len(expected)
    keys = {row[:2] for row in left}, {row[:2] for row in right}
    for each in differences(engine):
        key = (int(each.key["key"] or 0), each.key["part"])
        if each.kind in {"missing", "surplus"}:
            # The key's other rows, if it has any, are the same on both sides.
            assert key in keys[each.kind == "surplus"]
