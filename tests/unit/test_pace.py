"""How the progress line says what is done, how fast, and about how long the rest takes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.cli.pace import Pace, fitting, seconds_left
from tidemark.cli.progress import Watched
from tidemark.report import foresee, quiet, watched


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.floats(0, 10**5))
def test_the_time_left_is_what_the_rest_takes_at_the_pace_so_far(done: int, total: int, seconds: float) -> None:
    left = seconds_left(done, total, seconds)

    if left is not None:
        assert left >= 1
        assert left == pytest.approx(seconds / done * (total - done))
        assert done < total
    if done >= total or seconds < 2 or done < total // 100:
        assert left is None


def at_work() -> Pace:
    pace = Pace("load", 100.0, expected={"a": 1000, "b": 3000})
    pace.note("a", 1000, 4096, is_done=True, batch=7)
    pace.note("b", 1000, 2048, is_done=False, batch=7)
    return pace


def test_a_line_says_what_is_done_and_leaves_out_what_does_not_fit() -> None:
    pace = at_work()

    assert pace.line(110.0, 120) == "load, batch 7: b  1 of 2 done  2,000 rows  6.0 KiB  200/s  about 10 s left"
    assert pace.line(110.0, 66) == "load, batch 7: b  2,000 rows  6.0 KiB  200/s  about 10 s left"
    assert pace.line(110.0, 46) == "load, batch 7: b  2,000 rows  about 10 s left"
    assert pace.line(110.0, 16) == "load, batch 7: b"
    assert pace.line(110.0, 9) == "load, ba…"


def test_what_nobody_knows_is_not_said() -> None:
    unknown = Pace("ingest", 0.0, expected={"a": 1000, "b": None})
    unknown.note("a", 500, 0, is_done=False, batch=1)
    wrong = Pace("ingest", 0.0, expected={"a": 1000})
    wrong.note("a", 5000, 0, is_done=False, batch=1)
    nothing = Pace("compact", 0.0)
    nothing.note("a", 0, 0, is_done=False, batch=0)

    assert unknown.line(60.0, 200) == "ingest, batch 1: a  0 of 2 done  500 rows  8/s"
    assert wrong.line(60.0, 200) == "ingest, batch 1: a  0 of 1 done  5,000 rows  83/s"
    assert nothing.line(60.0, 200) == "compact: a  0 done"


@given(st.lists(st.tuples(st.integers(0, 5), st.text(min_size=1, max_size=30)), min_size=1), st.integers(1, 100))
def test_a_line_never_exceeds_its_width(parts: list[tuple[int, str]], width: int) -> None:
    assert len(fitting(parts, width)) <= width


def test_each_stage_and_each_batch_begins_anew() -> None:
    seconds = iter(range(100))
    progress = Watched(lambda: next(seconds))
    progress("ingest", "a", 10, 5, 0.5, 1)
    progress("transform", "x", 0, 0, 0.0, 1)
    before = progress.line(200)
    foresee(progress, "transform", lambda: {"x": 5})

    assert before == "transform, batch 1: x  0 done"
    assert progress.line(200) == "transform:   0 of 1 done"


def test_somebody_who_does_not_watch_costs_nothing() -> None:
    asked: list[str] = []

    def rows() -> dict[str, int | None]:
        asked.append("rows")
        return {}

    foresee(quiet, "ingest", rows)

    assert asked == []


def test_blocks_pass_unchanged_while_their_rows_are_counted() -> None:
    blocks = [b"a\nb\n", b"c\n"]
    seen: list[tuple[int, int]] = []

    def stream() -> Iterator[bytes]:
        yield from blocks

    assert list(watched(stream(), lambda rows, size: seen.append((rows, size)))) == blocks
    assert seen == [(2, 4), (3, 6)]
    assert list(watched(stream(), None)) == blocks
