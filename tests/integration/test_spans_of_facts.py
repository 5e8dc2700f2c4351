"""A fact's rows are taken a few at a time, so that what lies in memory does not grow with the rows."""

from collections.abc import Callable

import pytest

from tests.support.library import LIBRARY, is_whole, library_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tidemark.lake.table import open_table
from tidemark.star import facts
from tidemark.star.quarantine_report import list_heaps

ROWS, AT_ONCE, LOANS_OF_A_SHELF = 200, 64, 10
WITHOUT_LABEL = ("alter table shelf alter label drop not null", "update shelf set label = null where shelf_id = 4")


def test_a_fact_of_many_rows_is_written_span_by_span_and_each_finds_its_references(
    postgres: Postgres, new_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "ROWS_AT_ONCE", AT_ONCE)
    rig = new_rig(library_template(postgres), model=str(LIBRARY))
    rig.change(*WITHOUT_LABEL)

    rig.run()

    lake = open_table(rig.processed, "fact/loan")
    assert lake
    rows = lake.delta.get_add_actions(flatten=True)["num_records"].to_pylist()
    # The loans of one shelf wait for it: they are in each of the spans, the last of which has eight rows.
    assert sum(rows) == ROWS - LOANS_OF_A_SHELF
    assert len(rows) == -(-ROWS // AT_ONCE)
    assert max(rows) <= AT_ONCE
    heaps = list_heaps(list(rig.model.stars.values()), rig.processed)
    assert {heap.table: heap.rows for heap in heaps} == {"dim_shelf": 1, "fact_loan": LOANS_OF_A_SHELF}

    rig.change("update shelf set label = 'maps', changed = '2024-11-05 09:02' where shelf_id = 4")
    rig.run()
    assert is_whole(rig)
