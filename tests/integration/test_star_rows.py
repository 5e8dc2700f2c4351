"""The star's rows as delta-rs writes them for COPY: each value arrives in PostgreSQL, and counts for the checksum."""

from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tests.support.star_rows import COLUMNS, ROWS, TYPES, Row, lake_of
from tidemark.errors import StateError, TransientError
from tidemark.lake.engine import Engine
from tidemark.lake.table import LakeTable, add_columns, create_table
from tidemark.objects import Objects, open_objects
from tidemark.star.copy_lines import StarRows, are_comparable, totals_by_batch


@settings(max_examples=25)
@given(rows=ROWS)
def test_every_value_arrives_as_it_is(engine: Engine, lakes: Objects, postgres: Postgres, rows: list[Row]) -> None:
    found = StarRows(lake_of(engine, lakes, [rows]), list(TYPES), 1, 1)
    with psycopg.connect(postgres.url()) as connection:
        columns = sql.SQL(", ".join(f"{name} {kind}" for name, (_, kind, _) in TYPES.items()))
        for table in ("wanted", "copied"):
            connection.execute(sql.SQL("create temp table {} ({})").format(sql.Identifier(table), columns))
        values = sql.SQL(", ".join(f"%s::{kind}" for _, kind, _ in TYPES.values()))
        for row in rows:
            connection.execute(sql.SQL("insert into wanted values ({})").format(values), row)
        with connection.cursor().copy("copy copied from stdin (format csv)") as copy:
            for block in found.blocks():
                copy.write(block)
        texts = [
            connection.execute(f"select t::text from {table} t order by 1").fetchall() for table in ("copied", "wanted")
        ]

    assert texts[0] == texts[1]
    assert found.rows == len(rows)


@settings(max_examples=15)
@given(rows=ROWS, cut=st.integers(0, 12))
def test_the_checksum_depends_on_the_rows_alone(engine: Engine, lakes: Objects, rows: list[Row], cut: int) -> None:
    one, two = lake_of(engine, lakes, [rows]), lake_of(engine, lakes, [rows[cut:][::-1], rows[:cut]])
    whole = StarRows(one, list(TYPES), 1, 1).count()
    parts = StarRows(two, list(TYPES), 1, 2)
    lines = b"".join(parts.blocks())

    assert (whole.rows, whole.checksum) == (parts.rows, parts.checksum)
    assert parts.size_bytes == len(lines)
    counted = totals_by_batch(two, list(TYPES), 2)
    assert sum(count for count, _ in counted.values()) == len(rows)
    assert {batch: StarRows(two, list(TYPES), batch, batch).count().checksum for batch in counted} == {
        batch: checksum for batch, (_, checksum) in counted.items()
    }


A = dict.fromkeys(TYPES) | {"words": "a", "clock": "b"}


@pytest.mark.parametrize(
    "other",
    [
        A | {"words": "b", "clock": "a"},
        A | {"words": "ab", "clock": ""},
        A | {"words": "ab", "clock": None},
        A | {"words": 'a","b', "clock": None},
        A | {"words": None, "clock": "b"},
        A | {"day": "2024-01-01"},
        A | {"double": "0.1"},
    ],
)
def test_rows_that_differ_have_another_checksum(engine: Engine, lakes: Objects, other: dict[str, str | None]) -> None:
    checksums = [
        StarRows(lake_of(engine, lakes, [[tuple(row.values())]]), list(TYPES), 1, 1).count().checksum
        for row in (A, other)
    ]

    assert checksums[0] != checksums[1]
    assert are_comparable(*checksums)


def test_a_checksum_stays_what_it_was(engine: Engine, lakes: Objects) -> None:
    """A library that writes a value otherwise would make every manifest wrong: give the hash another name then."""
    some = {
        "small": "-7",
        "whole": "0",
        "big": "9007199254740993",
        "truth": "true",
        "words": 'a "quoted", text\n\\N',
        "clock": "01:02:03.000004",
        "day": "2024-02-29",
        "moment": "2024-11-03 14:20:49.962000",
        "zoned": "2024-11-03 14:20:49.962+00",
        "single": "1e-10",
        "double": "1e+300",
        "money": "-0.05",
        "exact": "1.000000000000000001",
    }
    far = dict.fromkeys(TYPES) | {"day": "infinity", "moment": "-infinity", "double": "nan", "words": ""}
    before_christ = dict.fromkeys(TYPES) | {"day": "0044-03-15 (BC)", "moment": "0044-03-15 (BC) 01:02:03"}
    rows = [tuple(row.values()) for row in (some, far, before_christ)]

    found = StarRows(lake_of(engine, lakes, [rows]), list(TYPES), 1, 1)
    lines = b"".join(found.blocks()).decode()

    assert lines == (
        '-7,0,9007199254740993,true,"a ""quoted"", text\n\\N","01:02:03.000004",2024-02-29,2024-11-03T14:20:49.962,'
        "2024-11-03T14:20:49.962Z,1e-10,1e300,-0.05,1.000000000000000001\n"
        ',,,,"",,infinity,-infinity,,,NaN,,\n'
        ",,,,,,0044-03-15 BC,0044-03-15T01:02:03 BC,,,,,\n"
    )
    assert found.checksum == "sha256:46340020501184432390"


def test_rows_of_other_batches_stay_where_they_are(engine: Engine, lakes: Objects) -> None:
    row = tuple(A.values())
    lake = lake_of(engine, lakes, [[row], [row, row], [row]])

    assert [StarRows(lake, ["words"], *each).count().rows for each in ((2, 2), (2, 3), (4, 9))] == [2, 3, 0]


def test_a_column_that_older_files_lack_is_null_in_their_rows(engine: Engine, lakes: Objects) -> None:
    lake = add_columns(lake_of(engine, lakes, [[tuple(A.values())]]), COLUMNS | {"later": "VARCHAR"})

    assert b"".join(StarRows(lake, ["words", "later"], 1, 1).blocks()) == b'"a",\n'


def test_a_table_without_files_has_no_rows(tmp_path: Path) -> None:
    lake = create_table(open_objects(str(tmp_path)), "fact/empty", COLUMNS)

    assert (StarRows(lake, list(COLUMNS), 0, 9).count().rows, totals_by_batch(lake, list(COLUMNS), 9)) == (0, {})


def test_a_data_file_that_is_gone_cut_or_altered_is_told(engine: Engine, tmp_path: Path) -> None:
    lake = lake_of(engine, open_objects(str(tmp_path)), [[tuple(A.values())]])
    (file,) = (tmp_path / lake.path).glob("*.parquet")
    body = file.read_bytes()
    file.unlink()
    for broken, told in (
        (None, "is missing"),
        (body[: len(body) // 2], f"is not the {len(body)} bytes"),
        (body[:100] + bytes(300) + body[400:], "is altered"),
    ):
        if broken:
            file.write_bytes(broken)
        with pytest.raises(StateError, match=told):
            list(StarRows(lake, list(TYPES), 1, 1).blocks())


def test_a_bucket_that_is_away_is_told(engine: Engine, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lake = lake_of(engine, open_objects(f"s3://{s3.create_bucket()}"), [[tuple(A.values())]])
    assert StarRows(lake, ["words"], 1, 1).count().rows == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = LakeTable(open_objects(lake.objects.url("x").removesuffix("/x")), lake.path, lake.columns, lake.delta)

    s3.reset()
    with pytest.raises(TransientError):
        StarRows(away, ["words"], 1, 1).count()
