"""The digest by which a poll knows again the rows that the cursor read before."""

from hypothesis import given
from hypothesis import strategies as st

from tidemark.capture.cursor_rows import HELD_BYTES, digested

LINES = st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line), max_size=10)


@given(LINES)
def test_the_digest_depends_on_the_lines_and_not_on_their_order(lines: list[bytes]) -> None:
    blocks = [line + b"\n" for line in lines]
    found, digest = digested(iter(blocks))

    assert list(found) == blocks
    assert digested([b"".join(sorted(blocks))])[1] == digest
    assert digested([*blocks, b"one more\n"])[1] != digest


def test_rows_that_are_too_many_have_no_digest_and_come_all_the_same() -> None:
    blocks = [b"x" * (HELD_BYTES // 2) + b"\n"] * 4

    found, digest = digested(iter(blocks))

    assert digest is None
    assert list(found) == blocks
