"""What a model sees of the log's texts, and when a change of a column's type makes it see another value."""

import duckdb
import pytest

from tidemark.log.columns import Column
from tidemark.log.reading import reads_otherwise

WIDE = "0.1234567890123456789"


@pytest.mark.parametrize(
    ("before", "now", "text", "differs"),
    [
        ("real", "numeric", "0.1", True),
        ("real", "numeric", "0.5", False),
        ("real", "text", "0.1", True),
        ("numeric(4,1)", "real", "0.1", True),
        ("numeric", "double precision", "0.1", False),
        ("double precision", "real", "0.1", True),
        ("double precision", "numeric", "NaN", True),
        ("real", "double precision", None, False),
        ("numeric", "numeric(38,20)", WIDE, True),
        ("numeric", "text", WIDE, True),
        ("numeric", "numeric(10,2)", "5.00", False),
        ("numeric(10,2)", "text", "5.00", False),
        ("date", "text", "0044-03-15 BC", True),
        ("date", "text", "2024-03-15", False),
        ("integer", "text", "7", False),
        ("integer", "real", "7", False),
        ("boolean", "text", "true", False),
        ("text", "character varying(9)", "a", False),
    ],
)
def test_a_text_that_a_new_type_reads_otherwise_is_another_value(
    before: str, now: str, text: str | None, *, differs: bool
) -> None:
    otherwise = reads_otherwise([Column("v", before)], [Column("v", now)], "l.", "s.")

    found = duckdb.execute(f"select {otherwise} from (select $1 as v) as l, (select $1 as v) as s", [text]).fetchone()

    assert found == (differs,)
