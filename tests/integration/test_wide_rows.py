"""Rows that are taken some columns at a time are the same rows."""

from collections.abc import Callable

import pytest

from tests.support.library import after_two_batches, is_whole
from tests.support.pipeline import Rig, clock
from tidemark.compact import Compact
from tidemark.lake import wide_rows
from tidemark.rebuild import Rebuild


def test_a_pipeline_that_takes_one_column_at_a_time_is_whole(
    kept_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = kept_rig("library after two batches", after_two_batches)
    monkeypatch.setattr(wide_rows, "PIECE_COLUMNS", 1)
    rig.change("update loan set changed = now() where loan_id % 2 = 0", "delete from loan where loan_id = 3")
    rig.run()
    Compact(rig.model, rig.ingestion, rig.processed, clock, loaded=None).run()
    rebuild = Rebuild(rig.model, rig.ingestion, rig.processed, clock)
    for report in (rebuild.latest(), rebuild.star()):
        assert {name: (each.missing, each.surplus) for name, each in report.tables.items()} == dict.fromkeys(
            report.tables, (0, 0)
        )
    assert is_whole(rig)
