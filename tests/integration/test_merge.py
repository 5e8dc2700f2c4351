"""Merging changes into a Delta table by rewriting the files that they touch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.files import data_files, write_file
from tidemark.lake.merge import FEW_ROWS, stage_merge
from tidemark.lake.pieces import PIECE_BYTES, PIECES, files_to_rewrite, wanted_bytes
from tidemark.lake.sqltext import Select
from tidemark.lake.table import Change, LakeTable, create_table, open_table
from tidemark.objects import Objects, open_objects

COLUMNS = {"k": "BIGINT", "v": "VARCHAR", "w": "VARCHAR"}


@pytest.mark.parametrize("few_rows", [0, FEW_ROWS])
def test_a_merge_gives_the_same_rows_whether_few_or_many_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_rows: int
) -> None:
    monkeypatch.setattr("tidemark.lake.merge.FEW_ROWS", few_rows)
    objects = open_objects(str(tmp_path))
    with open_engine([objects]) as engine:
        table = create_table(objects, "latest/t", COLUMNS)
        selects = ("select range as k, 'old' as v, 'w' as w from range(0, 10)", "select 100 as k, null as v, 'w' as w")
        actions = [
            write_file(engine, table, Select(select), batch=1, now_milliseconds=1, statistics=["k"])
            for select in selects
        ]
        table.commit(Change(tuple(action for action in actions if action)), batch=1)
        table = create_table(objects, "latest/t", COLUMNS)
        changes = Select(
            "select * from (values (3, 'new', 'update'), (4, null, 'rehash'), (5, 'old', 'delete'),"
            " (7, null, 'delete'), (11, 'more', 'insert')) as c (k, v, _op)"
        )
        with engine.working_tables() as tables:
            made = tables.of(changes)
            change = stage_merge(engine, table, ["k"], made, batch=2, now_milliseconds=2, statistics=["k"])
        table.commit(change, batch=2)
        merged = open_table(objects, "latest/t")
        assert merged is not None
        rows = engine.execute(Select(f"select * from {merged.rows()} order by k")).fetchall()
        kept = [(k, "old", "w") for k in (0, 1, 2, 6, 8, 9)]
        assert rows == sorted(
            [*kept, (3, "new", None), (4, None, None), (11, "more", None), (100, None, "w")], key=lambda row: row[0]
        )
        for file in merged.files:
            keys = [row[0] for row in engine.execute(Select(f"select k from {merged.rows([file])}")).fetchall()]
            assert keys == sorted(keys)


ROWS = 20_000
LARGE = f"select range as k, md5(range::varchar) || md5((-range)::varchar) as v, null as w from range({ROWS})"


@dataclass
class Large:
    """A table whose rows lie in one large file, and the rows that it is to have."""

    engine: Engine
    objects: Objects
    columns: dict[str, str]
    batch: int = 1

    def __post_init__(self) -> None:
        table = create_table(self.objects, "latest/t", self.columns)
        select = Select(f"select {', '.join(self.columns)} from ({LARGE})")
        action = write_file(self.engine, table, select, batch=1, now_milliseconds=1, statistics=["k"])
        table.commit(Change((action,) if action else ()), batch=1)

    @property
    def table(self) -> LakeTable:
        found = open_table(self.objects, "latest/t")
        assert found is not None
        return found

    def merge(self, changes: str) -> tuple[int, int]:
        """Merge changes, and return how many files were written, and how many bytes."""
        self.batch += 1
        with self.engine.working_tables() as tables:
            made = tables.of(Select(changes))
            change = stage_merge(
                self.engine, self.table, ["k"], made, batch=self.batch, now_milliseconds=2, statistics=["k"]
            )
        self.table.commit(change, batch=self.batch)
        sizes = {file.path: file.size_bytes for file in data_files(self.table)}
        return len(change.added), sum(sizes[action.path] for action in change.added)

    def keys_by_file(self) -> list[list[int]]:
        found = [
            [row[0] for row in self.engine.execute(Select(f"select k from {self.table.rows([file])}")).fetchall()]
            for file in self.table.files
        ]
        return sorted(found)

    def values(self, *keys: int) -> list[str | None]:
        where = f"k in ({', '.join(map(str, keys))})"
        rows = self.engine.execute(Select(f"select v from {self.table.rows()} where {where} order by k"))
        return [row[0] for row in rows.fetchall()]


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Large]:
    """A table of 20,000 rows in a file of about 900 KB."""
    objects = open_objects(str(tmp_path))
    with open_engine([objects]) as engine:
        yield Large(engine, objects, COLUMNS)


def changed(*keys: int, value: str = "new", operation: str = "update") -> str:
    return " union all ".join(f"select {key} as k, '{value}' as v, null as w, '{operation}' as _op" for key in keys)


def test_the_second_small_change_to_a_large_file_writes_little(large: Large) -> None:
    assert large.merge(changed(19_990, 19_995))[0] == PIECES

    last_rows = [large.merge(changed(19_990, 19_995, value=f"turn {turn}")) for turn in range(3)]
    scattered = [large.merge(changed(10, 7_000, 13_000, 19_990)) for _ in range(3)]

    assert last_rows[-1][0] == 1
    assert last_rows[-1][1] < 4 * PIECE_BYTES
    assert scattered[-1][0] == 4
    assert scattered[-1][1] < 4 * 4 * PIECE_BYTES
    assert [key for keys in large.keys_by_file() for key in keys] == list(range(ROWS))
    assert large.values(10, 7_000, 19_990, 19_995) == ["new", "new", "new", "turn 2"]


def test_new_rows_beside_changed_ones_go_to_the_end_and_deleted_ones_leave_their_piece(large: Large) -> None:
    large.merge(
        f"{changed(19_999)} union all {changed(20_000, 20_001, operation='insert')}"
        f" union all {changed(*range(4), operation='delete')}"
    )

    assert len(large.table.files) == PIECES
    assert [key for keys in large.keys_by_file() for key in keys] == list(range(4, 20_002))
    assert large.values(19_999, 20_001) == ["new", "new"]
    assert large.merge(changed(20_002, operation="insert"))[1] < 4 * PIECE_BYTES


def test_a_change_of_many_rows_writes_the_pieces_as_one_again(large: Large) -> None:
    for _ in range(3):
        large.merge(changed(10, 7_000, 13_000, 19_990))
    assert len(large.table.files) > PIECES

    large.merge("select range * 10 as k, 'many' as v, null as w, 'update' as _op from range(2000)")

    [keys] = large.keys_by_file()
    assert keys == list(range(ROWS))
    assert large.merge("select range * 10 as k, 'more' as v, null as w, 'update' as _op from range(2000)")[0] == 1


def test_a_compaction_leaves_the_pieces_apart_that_small_changes_need(large: Large) -> None:
    for _ in range(3):
        large.merge(changed(10, 7_000, 13_000, 19_990))
    files = data_files(large.table)

    assert files_to_rewrite(files, wanted_bytes(files), None) == []


def test_a_table_with_a_column_that_is_named_as_the_place_of_a_row_takes_changes(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    with open_engine([objects]) as engine:
        table = create_table(objects, "latest/t", {"k": "BIGINT", "File_Row_Number": "VARCHAR"})
        select = Select("select range as k, 'old' as File_Row_Number from range(3)")
        action = write_file(engine, table, select, batch=1, now_milliseconds=1)
        table.commit(Change((action,) if action else ()), batch=1)
        table = create_table(objects, "latest/t", {})
        with engine.working_tables() as tables:
            made = tables.of(Select("select 1 as k, 'new' as File_Row_Number, 'update' as _op"))
            table.commit(stage_merge(engine, table, ["k"], made, batch=2, now_milliseconds=2), batch=2)
        merged = create_table(objects, "latest/t", {})
        rows = engine.execute(Select(f"select * from {merged.rows()} order by k")).fetchall()
        assert rows == [(0, "old"), (1, "new"), (2, "old")]
