"""Types of the user's own, in source and warehouse: a value that the warehouse does not know yet stops nothing else."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg

from tests.support.library import LIBRARY, library_template
from tests.support.mirror import differing_columns, doctor_says, found_wrong, known, mirror_rig, types_in_warehouse
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tidemark.mirror import Scope
from tidemark.model_reader import load_model
from tidemark.rebuild_warehouse import RebuildWarehouse
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


def test_a_mirror_goes_on_with_text_where_a_type_of_the_source_gains_what_the_warehouse_lacks(
    postgres: Postgres, tmp_path: Path
) -> None:
    types = f"{MOOD}; create type place as (street text, number integer)"
    with mirror_rig(postgres, str(tmp_path), Scope()) as (rig, _):
        with psycopg.connect(rig.warehouse_url) as connection:
            connection.execute(types.encode())
        rig.change(types, "create table held (id integer primary key, mood mood, moods mood[], place place)")
        rig.change("create table by_mood (mood mood primary key, n integer); insert into by_mood values ('ok', 1)")
        rig.change("insert into held values (1, 'ok', '{sad}', '(a,1)')")
        rig.run()
        assert list(types_in_warehouse(rig, "public", "held").values()) == ["integer", "mood", "mood[]", "place"]

        rig.change("alter type place add attribute town text", "alter type mood add value 'lost'")
        rig.change("update held set place = '(a,1,b)', mood = 'lost'", "insert into by_mood values ('lost', 2)")
        rig.run()

        assert list(types_in_warehouse(rig, "public", "held").values()) == ["integer", "text", "text", "text"]
        assert types_in_warehouse(rig, "public", "by_mood") == {"mood": "text", "n": "integer"}
        assert differing_columns(rig) == []
        assert rig.warehouse("select mood, place from held_history order by valid_from") == [
            ("ok", "(a,1)"),
            ("lost", "(a,1,b)"),
        ]
        said = "public.held.mood is text in the warehouse, which has the type mood, but not for each value that came"
        assert said in doctor_says(rig)
        assert plan_init(rig.warehouse_url, known(rig)) == []
        assert found_wrong(rig, deep=True) == []
        with psycopg.connect(rig.warehouse_url) as connection:
            connection.execute("drop table held_history cascade")
        RebuildWarehouse(known(rig), rig.processed, rig.warehouse_url).run()
        assert differing_columns(rig) == []
