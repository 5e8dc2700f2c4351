"""Rows of every type that a star's column can have, and Delta tables that hold such rows."""

import itertools
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import strategies as st

from tidemark.lake.engine import Engine
from tidemark.lake.files import write_file
from tidemark.lake.sqltext import Select, Sql
from tidemark.lake.table import Change, LakeTable, create_table, open_table
from tidemark.objects import Objects

Row = tuple[str | None, ...]
# For each column its type in the lake, that in the warehouse, and texts that both read as the same value.
TYPES: dict[str, tuple[str, str, st.SearchStrategy[str]]] = {
    "small": ("SMALLINT", "smallint", st.integers(-(2**15), 2**15 - 1).map(str)),
    "whole": ("INTEGER", "integer", st.integers(-(2**31), 2**31 - 1).map(str)),
    "big": ("BIGINT", "bigint", st.integers(-(2**63), 2**63 - 1).map(str)),
    "truth": ("BOOLEAN", "boolean", st.sampled_from(["true", "false"])),
    "words": (
        "VARCHAR",
        "text",
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
        | st.sampled_from(['"', ",", "\\N", "\\.", "\n", "\r\n\\.\n", "\t", "", " ", "'", "é😀", "null"]),
    ),
    "clock": ("VARCHAR", "time", st.times().map(lambda time: time.isoformat("microseconds"))),
    "day": ("DATE", "date", st.dates().map(date.isoformat) | st.sampled_from(["infinity", "-infinity", "20000-01-31"])),
    "moment": (
        "TIMESTAMP",
        "timestamp",
        st.datetimes().map(lambda moment: moment.isoformat(" "))
        | st.sampled_from(["infinity", "-infinity", "20000-01-31 01:02:03.4"]),
    ),
    "zoned": (
        "TIMESTAMP WITH TIME ZONE",
        "timestamptz",
        st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.sampled_from(["infinity", "-infinity"]),
    ),
    "single": (
        "REAL",
        "real",
        st.floats(width=32).map(lambda number: str(struct.unpack("f", struct.pack("f", number))[0])),
    ),
    "double": ("DOUBLE", "double precision", st.floats().map(str)),
    "money": (
        "DECIMAL(10,2)",
        "numeric(10,2)",
        st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: str(Decimal(n) / 100)),
    ),
    "exact": (
        "DECIMAL(38,18)",
        "numeric",
        st.tuples(st.integers(-(10**19), 10**19), st.integers(0, 10**18 - 1)).map(lambda n: f"{n[0]}.{n[1]:018d}"),
    ),
}
COLUMNS = {name: lake for name, (lake, _, _) in TYPES.items()} | {"batch_id": "BIGINT"}
ROWS = st.lists(st.tuples(*(st.none() | texts for _, _, texts in TYPES.values())), max_size=12)
numbers = itertools.count()


def lake_of(
    engine: Engine, objects: Objects, batches: Sequence[Sequence[Row]], columns: Mapping[str, str] = COLUMNS
) -> LakeTable:
    """Write rows into a Delta table, each batch as a file of its own; `columns` end with the batch."""
    path = f"fact/t{next(numbers)}"
    fields = ", ".join(f"cast(? as {kind})" for kind in columns.values())
    for batch, rows in enumerate(batches, start=1):
        engine.execute(Sql(f"create or replace table r ({', '.join(f'{n} {kind}' for n, kind in columns.items())})"))
        if rows:
            values = ", ".join([f"({fields})"] * len(rows))
            engine.execute(Sql(f"insert into r values {values}"), [value for row in rows for value in (*row, batch)])
        table = create_table(objects, path, columns)
        action = write_file(
            engine, table, Select("select * from r"), batch=batch, now_milliseconds=1, statistics=["batch_id"]
        )
        table.commit(Change((action,) if action else ()), batch=batch)
    lake = open_table(objects, path)
    assert lake is not None
    return lake
