"""The names of data files."""

from hypothesis import given
from hypothesis import strategies as st

from tidemark.lake.files import batch_of, file_name


@given(st.integers(1, 9_999_999_999))
def test_a_file_says_by_its_name_which_batch_brought_it(batch: int) -> None:
    assert batch_of(file_name(batch)) == batch


def test_a_file_of_moved_rows_is_of_no_batch() -> None:
    assert batch_of(file_name(None)) is None


def test_a_file_of_another_writer_is_of_no_batch() -> None:
    assert batch_of("part-00000-c000.snappy.parquet") is None
    assert batch_of("0000000007") is None
