import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.log.columns import Column, broken_terms, describe_drift

NAMES = st.text("abc é\"'", min_size=1, max_size=8)
TYPES = st.sampled_from(["integer", "text", "numeric(10,2)", "timestamp(3) without time zone", "jsonb", "boolean[]"])
TABLES = st.lists(st.builds(Column, NAMES, TYPES, st.booleans()), unique_by=lambda column: column.name, max_size=6)


@pytest.mark.parametrize(
    ("type_", "log_type", "typed"),
    [
        ("smallint", "BIGINT", "SMALLINT"),
        ("integer", "BIGINT", "INTEGER"),
        ("bigint", "BIGINT", "BIGINT"),
        ("boolean", "BOOLEAN", "BOOLEAN"),
        ("numeric", "VARCHAR", "DECIMAL(38, 18)"),
        ("numeric(10,2)", "VARCHAR", "DECIMAL(10, 2)"),
        ("numeric(38,0)", "VARCHAR", "DECIMAL(38, 0)"),
        ("numeric(39,2)", "VARCHAR", "DECIMAL(38, 18)"),
        ("numeric(3,-2)", "VARCHAR", "DECIMAL(5, 0)"),
        ("numeric(2,5)", "VARCHAR", "DECIMAL(5, 5)"),
        ("numeric(30,-9)", "VARCHAR", "DECIMAL(38, 18)"),
        ("numeric(10,2)[]", "VARCHAR", "VARCHAR"),
        ("integer[]", "VARCHAR", "VARCHAR"),
        ("text", "VARCHAR", "VARCHAR"),
        ("character varying(20)", "VARCHAR", "VARCHAR"),
        ("uuid", "VARCHAR", "VARCHAR"),
        ("date", "VARCHAR", "DATE"),
        ("time without time zone", "VARCHAR", "VARCHAR"),
        ("timestamp without time zone", "VARCHAR", "TIMESTAMP"),
        ("timestamp(3) without time zone", "VARCHAR", "TIMESTAMP"),
        ("timestamp(6) with time zone", "VARCHAR", "TIMESTAMPTZ"),
        ("real", "VARCHAR", "FLOAT"),
        ("double precision", "VARCHAR", "DOUBLE"),
        ('"My Type"', "VARCHAR", "VARCHAR"),
        ("other.date", "VARCHAR", "VARCHAR"),
    ],
)
def test_a_type_decides_how_the_log_keeps_a_column_and_how_a_model_sees_it(
    type_: str, log_type: str, typed: str
) -> None:
    column = Column("value", type_)

    assert (column.log_type, column.typed) == (log_type, typed)


@given(columns=TABLES)
def test_a_table_does_not_drift_from_itself(columns: list[Column]) -> None:
    assert describe_drift("item", columns, columns) == []


@given(before=TABLES, now=TABLES)
def test_every_column_that_came_went_or_changed_its_type_is_told_once(before: list[Column], now: list[Column]) -> None:
    old, new = {column.name: column.type for column in before}, {column.name: column.type for column in now}

    found = describe_drift("item", before, now)

    differing = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert len(found) == len(differing)
    assert all(any(sentence.startswith(f"item.{name} ") for sentence in found) for name in differing)


@given(columns=TABLES.filter(bool), data=st.data())
def test_a_table_with_all_that_the_model_names_fits(columns: list[Column], data: st.DataObject) -> None:
    key = data.draw(st.lists(st.sampled_from([column.name for column in columns])))
    times = [column.name for column in columns if column.type.startswith("timestamp")]

    assert broken_terms("item", key, times, columns) == []
    assert broken_terms("item", key, times, columns, columns) == []


@given(columns=TABLES.filter(bool), gone=NAMES, is_key=st.booleans())
def test_a_missing_column_is_named(columns: list[Column], gone: str, *, is_key: bool) -> None:
    key, moments = ([gone], []) if is_key else ([], [gone])
    there = [column for column in columns if column.name != gone] or [Column("other", "text")]

    found = broken_terms("item", key, moments, there)

    assert len(found) == 1
    assert f"'item' has no column {[gone]}" in found[0]


@pytest.mark.parametrize(
    "names", [["Name", "name"], ["Über", "über"], ["_op"], ["_BEFORE"], ["_hash"], ["_Tidemark_line"]]
)
def test_a_column_that_the_lake_cannot_tell_from_another_is_named(names: list[str]) -> None:
    found = broken_terms("item", ["item_id"], [], [Column(name, "text") for name in ["item_id", *names]])

    assert len(found) == 1
    assert f"'item' has columns {names}" in found[0]


def test_a_missing_table_is_named() -> None:
    assert broken_terms("item", ["item_id"], [], []) == ["source table 'item' is missing"]


@pytest.mark.parametrize(
    ("before", "now", "is_broken"),
    [
        ("integer", "bigint", False),
        ("smallint", "integer", False),
        ("integer", "text", False),
        ("text", "integer", True),
        ("text", "character varying(9)", False),
    ],
)
def test_a_key_may_become_a_text_but_not_stop_being_one(before: str, now: str, *, is_broken: bool) -> None:
    found = broken_terms("item", ["item_id"], [], [Column("item_id", now)], [Column("item_id", before)])

    assert bool(found) == is_broken


@pytest.mark.parametrize(
    ("type_", "is_broken"), [("date", False), ("timestamp(3) without time zone", False), ("text", True)]
)
def test_a_cursor_reads_dates_and_timestamps(type_: str, *, is_broken: bool) -> None:
    columns = [Column("item_id", "integer"), Column("last_updated", type_)]

    assert bool(broken_terms("item", ["item_id"], ["last_updated"], columns)) == is_broken
