"""Types of the user's own, in source and warehouse: a value that the warehouse does not know yet stops nothing else."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.support.library import LIBRARY, library_template
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tidemark.model_reader import load_model
from tidemark.replay import Replay
from tidemark.verification.verify import Verify
from tidemark.warehouse.schema import init, plan_init

MOOD = "create type mood as enum ('ok', 'sad')"


def test_a_value_that_an_enum_gains_later_waits_in_quarantine_and_blocks_no_other_row(
    postgres: Postgres, new_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(LIBRARY, tmp_path / "model"))
    tables, shelf = folder / "warehouse.sql", folder / "dimension" / "shelf.sql"
    tables.write_text(f"{MOOD};\n" + tables.read_text().replace("not null\n);", "not null,\n    mood mood\n);", 1))
    shelf.write_text(shelf.read_text().replace("label\n", "label,\n    mood\n"))
    rig = new_rig(library_template(postgres), model=str(folder))
    rig.change(MOOD, "alter table shelf add mood mood default 'ok'")
    rig.run()

    rig.change("alter type mood add value 'lost'")
    rig.change("update shelf set mood = 'lost' where shelf_id = 3", "update loan set fee = 7 where loan_id = 4")
    reports = rig.run()
    assert (reports[1].tables["dim_shelf"].set_aside, reports[2].tables["fact_loan"].rows) == (1, 1)
    assert rig.warehouse("select mood from dim_shelf where shelf_id = 3") == [("ok",)]

    tables.write_text(tables.read_text().replace("'sad')", "'sad', 'lost')"))
    mended = replace(rig, model=load_model(str(folder)))
    init(rig.warehouse_url, mended.model)
    assert plan_init(rig.warehouse_url, mended.model) == []
    Replay(mended.model, rig.ingestion, rig.processed, rig.pointer).run()
    mended.run()
    assert rig.warehouse("select mood from dim_shelf where shelf_id = 3") == [("lost",)]
    parts = (mended.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    assert Verify(*parts, clock).run().count == 0
