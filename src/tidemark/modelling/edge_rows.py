"""Edge rows: made-up rows of a source table, with the values at which two engines are likely to differ."""

import re
from collections.abc import Iterator, Sequence

from tidemark.log.columns import INTEGERS, Column
from tidemark.model import SourceTable

ROWS = 26
DECIMAL = re.compile(r"DECIMAL\((\d+), (\d+)\)")
BITS = {"smallint": 16, "integer": 32, "bigint": 64}
DAYS = ["0001-01-01", "9999-12-31", "2024-02-29", "1582-10-10", "1969-12-31", "1900-03-01", "2024-12-30"]
# Two hours that the clocks of London pass never and twice are among them, and the first and the last microsecond.
MOMENTS = [
    "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999",
    "2024-02-29 01:30:00.000001",
    "1582-10-10 12:00:00.1",
    "1969-12-31 23:59:59.999999",
    "0001-01-01 02:30:00.5",
    "1900-03-01 00:00:00",
    "2024-03-31 01:30:00",
    "2024-10-27 01:30:00",
    "2024-12-30 23:59:59",
    "9999-12-31 00:00:00",
]
FLOATS = ["0", "-0", "0.1", "-2.5", "2.5", "1e+30", "NaN", "Infinity", "-Infinity", "1.5", "100"]
TEXTS = [
    "abc",
    "",
    " ",
    " 12 ",
    "ABC",
    "abcabc",
    "it's",
    'a "b" \\ c%_',
    "two\nlines\tand a tab",
    "Éß😀",
    "1.5",
    "2024-02-29",
    "true",
    "nan",
    "2024-02-29 23:59:59.1",
]
# With these a column still has fewer values than there are rows.
MOST_WORDS = 8


def edge_rows(table: SourceTable, columns: Sequence[Column], words: Sequence[str] = ()) -> Iterator[list[str | None]]:
    """Yield rows of a table as PostgreSQL's texts: its key is unique, and its references find some of other keys.

    Args:
        table: the table.
        columns: its columns.
        words: what a text may be as well, such as what seeds hold, so that a join with them finds rows.
    """
    pools = [_counted(column) if column.name in table.key else _edges(column, words) for column in columns]
    for row in range(ROWS):
        yield [
            # Each column begins elsewhere among its values, so that those of two columns meet in several ways.
            pool[row] if column.name in table.key else pool[(row + 3 * at) % len(pool)]
            for at, (column, pool) in enumerate(zip(columns, pools, strict=True))
        ]


def calendar_days() -> list[list[str | None]]:
    """Give the rows of a calendar."""
    return [[day] for day in DAYS]


def _counted(column: Column) -> list[str | None]:
    """Give texts of a column that all differ."""
    kind = column.typed
    if kind == "VARCHAR":
        return [*TEXTS, *(f"k{number}" for number in range(ROWS))]
    if kind.startswith(("DATE", "TIME")):
        clock = " 00:00:00" if kind.startswith("TIME") else ""
        return [f"2024-01-{day:02d}{clock}{_zone(kind)}" for day in range(1, ROWS + 1)]
    if kind == "BOOLEAN":
        return ["t", "f"] * ROWS
    return [str(number) for number in range(1, ROWS + 1)]


def _edges(column: Column, words: Sequence[str]) -> list[str | None]:
    """Give the values of a column at the ends of its type, the small ones that other tables have as keys, and null."""
    kind = column.typed
    if column.type in INTEGERS:
        most = 1 << (BITS[column.type] - 1)
        found = ["1", "2", None, "3", str(most - 1), "0", "4", str(-most), "-1", "5"]
    elif kind == "BOOLEAN":
        found = ["t", None, "f"]
    elif kind.startswith("DATE"):
        found = [*DAYS, None]
    elif kind.startswith("TIME"):
        found = [*(f"{moment}{_zone(kind)}" for moment in MOMENTS), None]
    elif kind in {"FLOAT", "DOUBLE"}:
        found = [*FLOATS, None]
    elif decimal := DECIMAL.fullmatch(kind):
        found = [*_decimals(int(decimal[1]), int(decimal[2])), None]
    else:
        found = [*words[:MOST_WORDS], *TEXTS, None]
    return found


def _decimals(digits: int, decimals: int) -> list[str]:
    most = "9" * (digits - decimals) + ("." + "9" * decimals if decimals else "")
    least = f"0.{'0' * (decimals - 1)}1" if decimals else "1"
    return [most, f"-{most}", "0", least, *(["2.5", "-2.5", "1.5"] if decimals and digits > decimals else [])]


def _zone(kind: str) -> str:
    return "+00" if kind == "TIMESTAMPTZ" else ""
