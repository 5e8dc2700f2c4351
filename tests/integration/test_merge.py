"""Merging changes into a Delta table by rewriting the files that they touch."""

from pathlib import Path

import pytest

from tidemark.lake.engine import open_engine
from tidemark.lake.files import write_file
from tidemark.lake.merge import FEW_ROWS, stage_merge
from tidemark.lake.sqltext import Select
from tidemark.lake.table import Change, create_table, open_table
from tidemark.objects import open_objects

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
