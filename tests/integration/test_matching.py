"""Two sets of rows are compared as multisets, whatever their order, nulls and repeats; Counter is the judge."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemark.capture.poll import BEFORE_ROWS
from tidemark.errors import DataError
from tidemark.lake.engine import Engine, WorkingTables
from tidemark.lake.sqltext import Sql, Table
from tidemark.verification.matching import KEY, Match, compare, differences, require_whole, stage_lines, verdicts

COLUMNS = ["key", "part", "value"]
Row = tuple[int, str | None, str | None]
texts = st.none() | st.sampled_from(["", "a", "1", "1.0", "'", "é"])
rows = st.lists(st.tuples(st.integers(-3, 3), texts, texts), max_size=12)


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
        found = engine.execute(Sql(f"select distinct {KEY}.key, {KEY}.part from {match.found}")).fetchall()
        assert set(found) == expected
        assert verdicts(engine, match)["real"] >= len(expected)
        for each in differences(engine, match):
            key = (int(each.key["key"] or 0), each.key["part"])
            if each.kind in {"missing", "surplus"}:
                # The key's other rows, if it has any, are the same on both sides.
                assert key in keys[each.kind == "surplus"]


def test_lines_are_read_byte_for_byte_or_not_at_all(engine: Engine) -> None:
    types = {"code": "VARCHAR", "n": "BIGINT", "is_new": "BOOLEAN"}
    lines = [b"\xef\xbb\xbfabc\t1\tt\n", b"\t\\N\tf\n", b' "a"\\t\\\\N,\t-5\t\\N\n', b"#\\n\\\\\\n\t007\tt\n"]
    staged = stage_lines(engine, lines, types)
    assert engine.execute(Sql(f"select * from {staged}")).fetchall() == [
        ("\ufeffabc", 1, True),
        ("", None, False),
        (' "a"\t\\N,', -5, None),
        ("#\n\\\n", 7, True),
    ]

    # The first row is passed over, and a line without fields is.
    for before in (b"", BEFORE_ROWS + b"\n"):
        lost = engine.new_file(".lines")
        lost.write_bytes(before + b"".join(lines))
        with pytest.raises(DataError, match="and the engine read"):
            require_whole(engine, lost, types, 0)


WIDEST = {f"c{number}": "VARCHAR" for number in range(1600)}
LINE_OF_WIDEST = b"\t".join(b"%d" % number for number in range(1600)) + b"\n"


def test_each_byte_of_the_widest_table_is_counted(engine: Engine) -> None:
    lost = engine.new_file(".lines")
    # As above, the first of two rows is passed over.
    lost.write_bytes(2 * LINE_OF_WIDEST)

    with pytest.raises(DataError, match=f"and the engine read {len(LINE_OF_WIDEST)} of them"):
        require_whole(engine, lost, WIDEST, 0)


@pytest.mark.exhaustive
def test_a_row_of_the_widest_table_is_staged_whole(engine: Engine) -> None:
    staged = stage_lines(engine, [LINE_OF_WIDEST], WIDEST)

    assert engine.execute(Sql(f"select c0, c1599 from {staged}")).fetchall() == [("0", "1599")]


def test_lines_may_look_like_rows_inside_a_text(engine: Engine) -> None:
    # With line breaks as they are, a thread that begins to read in such a text takes its lines for rows.
    text = b"evil\\t1\\tt\\n" * 100_000
    lines = [text[: 12 * n] + b"\t%d\tt\n" % n for n in range(99_980, 100_000)]
    staged = stage_lines(engine, lines, {"code": "VARCHAR", "n": "BIGINT", "is_new": "BOOLEAN"})
    counts = engine.execute(Sql(f"select n, length(code) from {staged} order by n")).fetchall()
    assert counts == [(n, 9 * n) for n in range(99_980, 100_000)]
