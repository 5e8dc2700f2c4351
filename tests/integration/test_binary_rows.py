"""The star's rows in COPY's binary form: they arrive as lines do, out of the very bytes that were compared."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.support.library import LIBRARY, MORE, is_whole, library_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.star_rows import TYPES, Row, lake_of
from tidemark.errors import StateError
from tidemark.lake.engine import Engine
from tidemark.lake.table import LakeTable
from tidemark.load import Load
from tidemark.objects import Objects, open_objects
from tidemark.star.copy_binary import BinaryRows, NoBinaryFormError
from tidemark.star.copy_lines import StarRows
from tidemark.star.star_log import StarLog
from tidemark.warehouse.session import Warehouse


def decimals(scale: int) -> st.SearchStrategy[str]:
    """Give decimals of 18 digits, some of them near zero and at both ends."""
    digits = st.integers(-(10**18) + 1, 10**18 - 1) | st.integers(-20_000, 20_000)
    return digits.map(lambda number: f"{Decimal(number).scaleb(-scale):f}")


def near(name: str) -> tuple[str, str, st.SearchStrategy[str | None]]:
    """Give a column of `TYPES` with null for each value that is infinite or lies beyond the year 9999."""
    lake, warehouse, texts = TYPES[name]
    return lake, warehouse, texts.map(lambda text: None if "infinity" in text or text.startswith("20000-") else text)


# For each column its type in the lake, that in the warehouse, and texts that both read as the same value.
BINARY: dict[str, tuple[str, str, st.SearchStrategy[str | None]]] = {
    **{name: TYPES[name] for name in ("small", "whole", "big", "truth", "words", "money")},
    **{name: near(name) for name in ("day", "moment", "zoned")},
    "clock": ("VARCHAR", "time", TYPES["clock"][2] | st.sampled_from(["12:34", "23:59:59.9", "10:00:60"])),
    "short": ("VARCHAR", "varchar(20)", TYPES["words"][2]),
    "round": ("DECIMAL(18,0)", "numeric(18,0)", decimals(0)),
    "cents": ("DECIMAL(18,2)", "numeric(20,2)", decimals(2)),
    "fine": ("DECIMAL(18,18)", "numeric", decimals(18)),
    "rate": ("DECIMAL(7,5)", "numeric(4,1)", st.integers(-(10**7) + 1, 10**7 - 1).map(lambda n: f"{n / 10**5:.5f}")),
}
COLUMNS = {name: lake for name, (lake, _, _) in BINARY.items()} | {"batch_id": "BIGINT"}
ROWS = st.lists(st.tuples(*(st.none() | texts for _, _, texts in BINARY.values())), max_size=12)
ENDS = {
    "small": (str(-(2**15)), str(2**15 - 1)),
    "whole": (str(-(2**31)), str(2**31 - 1)),
    "big": (str(-(2**63)), str(2**63 - 1)),
    "day": ("0001-01-01", "9999-12-31"),
    "moment": ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"),
    "zoned": ("0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"),
    "words": ("", 'é😀\n\t\\N,"'),
    "short": ("", "\\."),
    "clock": ("00:00:00.000000", "23:59:59.999999"),
    "cents": ("-9999999999999999.99", "0.01"),
    "money": ("-0.01", "10000.00"),
}
EXTREMES: list[Row] = [tuple(ENDS[name][end] if name in ENDS else "0" for name in BINARY) for end in (0, 1)]
NOTHING: Row = (None,) * len(BINARY)


def digests_of(lake: LakeTable) -> dict[str, str]:
    return {file: hashlib.sha256(lake.objects.get(f"{lake.path}/{file}")).hexdigest() for file in lake.files}


def types_of(connection: psycopg.Connection, table: str) -> dict[str, str]:
    query = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass"
    return dict(connection.execute(f"{query} and attnum > 0 order by attnum", [table]).fetchall())


# To shrink rows of fifteen columns takes minutes.
@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(rows=ROWS)
@example(rows=[*EXTREMES, NOTHING])
def test_binary_rows_and_lines_leave_the_same_rows(
    engine: Engine, lakes: Objects, postgres: Postgres, rows: list[Row]
) -> None:
    lake = lake_of(engine, lakes, [rows], COLUMNS)
    with psycopg.connect(postgres.url()) as connection:
        columns = ", ".join(f"{name} {kind}" for name, (_, kind, _) in BINARY.items())
        for table in ("lines", "rows"):
            connection.execute(f"create temp table {table} ({columns})".encode())
        binary = BinaryRows(lake, types_of(connection, "rows"), digests_of(lake))
        for table, form, stream in (
            ("lines", "csv", StarRows(lake, list(BINARY), 1, 1)),
            ("rows", "binary", binary),
        ):
            with connection.cursor().copy(sql.SQL(f"copy {table} from stdin (format {form})")) as copy:
                for block in stream.blocks():
                    copy.write(block)
        found = [
            connection.execute(f"select t::text from {table} t order by 1").fetchall() for table in ("lines", "rows")
        ]

    assert found[0] == found[1]
    assert len(found[1]) == len(rows)
    assert binary.is_possible == bool(rows)


def test_a_value_without_a_binary_form_is_told(engine: Engine, lakes: Objects) -> None:
    for kind, type_, value in (
        ("DATE", "date", "infinity"),
        ("DATE", "date", "0044-03-15 (BC)"),
        ("TIMESTAMP", "timestamp without time zone", "-infinity"),
        ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone", "20000-01-31 00:00:00+00"),
        ("VARCHAR", "time without time zone", "24:00:00"),
        ("VARCHAR", "time without time zone", "01:02:03.0000005"),
        ("VARCHAR", "time without time zone", "01:02:03+01"),
        ("VARCHAR", "time without time zone", "45296000"),
        ("VARCHAR", "time without time zone", "allballs"),
    ):
        lake = lake_of(engine, lakes, [[(None,), (value,)]], {"value": kind, "batch_id": "BIGINT"})
        rows = BinaryRows(lake, {"value": type_}, digests_of(lake))
        assert rows.is_possible
        with pytest.raises(NoBinaryFormError):
            list(rows.blocks())


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        ("single", "real"),
        ("double", "double precision"),
        ("exact", "numeric"),
        ("words", "uuid"),
        ("words", "character(20)"),
        ("words", "public.word"),
        ("words", ""),
        ("clock", "time(3) without time zone"),
        ("moment", "timestamp(0) without time zone"),
        ("moment", "timestamp with time zone"),
        ("whole", "bigint"),
        ("whole", "numeric"),
        ("money", "money"),
    ],
)
def test_another_type_in_the_warehouse_has_no_binary_form(
    engine: Engine, lakes: Objects, column: str, type_: str
) -> None:
    lake = lake_of(engine, lakes, [[(None,) * len(TYPES)]])

    assert not BinaryRows(lake, {"big": "bigint", column: type_}, digests_of(lake)).is_possible


def test_other_files_than_those_of_the_manifest_have_no_binary_form(engine: Engine, lakes: Objects) -> None:
    lake = lake_of(engine, lakes, [[EXTREMES[0]]], COLUMNS)

    assert not BinaryRows(lake, {"big": "bigint"}, {}).is_possible
    assert not BinaryRows(lake, {"big": "bigint"}, digests_of(lake) | {"moved.parquet": ""}).is_possible


def test_a_file_that_is_gone_cut_or_altered_is_told(engine: Engine, tmp_path: Path) -> None:
    lake = lake_of(engine, open_objects(str(tmp_path)), [[EXTREMES[0]]], COLUMNS)
    rows = BinaryRows(lake, {"big": "bigint"}, digests_of(lake))
    (file,) = (tmp_path / lake.path).glob("*.parquet")
    body = file.read_bytes()
    file.unlink()
    for broken, told in ((None, "is missing"), (body[:-9], "is altered"), (body[:-9] + bytes(9), "is altered")):
        if broken:
            file.write_bytes(broken)
        with pytest.raises(StateError, match=told):
            list(rows.blocks())


def test_several_files_are_read_whole_however_they_are_grouped(
    engine: Engine, lakes: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of(engine, lakes, [[EXTREMES[0]], [EXTREMES[1]], [NOTHING], [EXTREMES[0]]], COLUMNS)
    together = BinaryRows(lake, {"big": "bigint", "words": "text"}, digests_of(lake))
    apart = BinaryRows(lake, {"big": "bigint", "words": "text"}, digests_of(lake))
    blocks = list(together.blocks())
    monkeypatch.setattr("tidemark.star.copy_binary.GROUP_BYTES", 1)

    assert sorted(apart.blocks()) == sorted(blocks)
    assert together.rows == apart.rows == len(lake.files) == 4
    assert together.size_bytes == apart.size_bytes == sum(map(len, blocks[1:-1]))


def test_a_machine_without_room_for_a_copy_loads_lines(
    engine: Engine, lakes: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of(engine, lakes, [[EXTREMES[0]]], COLUMNS)
    (tmp_path / "a#b").mkdir()
    for folder in ("missing", "a#b"):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
        with pytest.raises(NoBinaryFormError):
            list(BinaryRows(lake, {"big": "bigint"}, digests_of(lake)).blocks())


def test_load_sends_a_batch_in_binary_form_or_as_lines(
    postgres: Postgres, new_rig: Callable[..., Rig], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = new_rig(library_template(postgres), model=str(LIBRARY), place=place)
    rig.ingest()
    rig.transform()
    load = Load(rig.model, rig.processed, rig.warehouse_url, binary_from=1)
    path = rig.model.stars["fact_loan"].path
    (file,) = StarLog(rig.processed).manifest(1).tables["fact_loan"].files
    with monkeypatch.context() as patched:
        # It is found out after the COPY has begun.
        patched.setattr("tempfile.tempdir", str(tmp_path / "missing"))
        lines = load.run().tables["fact_loan"].bytes
    assert is_whole(rig)
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute(Warehouse.emptied_by(list(rig.model.stars.values())).encode())

    body = rig.processed.get(f"{path}/{file}")
    rig.processed.delete([f"{path}/{file}"])
    rig.processed.put_new(f"{path}/{file}", body[:100] + bytes(9) + body[109:])
    with pytest.raises(StateError, match="is altered"):
        load.run()
    assert rig.ledger() == []
    rig.processed.delete([f"{path}/{file}"])
    rig.processed.put_new(f"{path}/{file}", body)
    assert load.run().tables["fact_loan"].bytes != lines
    assert is_whole(rig)

    rig.change(*MORE)
    rig.ingest()
    rig.transform()
    entries = StarLog(rig.processed).manifest(2).tables
    assert (len(entries["fact_loan"].files), len(entries["dim_shelf"].files)) == (1, 0)
    load.run()
    assert is_whole(rig)
