"""A dimension may keep its versions like a fact's, or mark the rows whose source row is gone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig, Row, clock
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model
from tests.support.tampering import alter_database
from tidemark import faults
from tidemark.compact import Compact
from tidemark.errors import StateError
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.replay import Replay
from tidemark.warehouse.history import find_versioned, read_history

TOML = """
[source.department]
key = ["department_id"]
[source.staff]
key = ["staff_id"]
[source.desk]
key = ["desk_id"]
[source.visit]
key = ["visit_id"]
[star.dim_staff]
kind = "dimension"
history = true
key = ["staff_id"]
reads = ["staff", "department"]
[star.dim_desk]
kind = "dimension"
soft_delete = true
key = ["desk_id"]
reads = ["desk"]
[star.fact_visit]
kind = "fact"
key = ["visit_record_id"]
driving = "visit"
source_key = ["visit_id"]
reads = ["visit"]
[star.fact_visit.references]
staff_id = "dim_staff"
desk_id = "dim_desk"
"""
FILES = {
    "dimension/staff.sql": "select staff_id, name, department_name"
    " from staff inner join department using (department_id)",
    "dimension/desk.sql": "select desk_id, label from desk",
    "fact/visit.sql": "select visit_id, staff_id, desk_id from visit",
    "warehouse.sql": """
create table dim_staff (staff_record_id bigint primary key, staff_id numeric(6, 2) not null, name varchar(20) not null,
    department_name text, valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,
    valid_to timestamp);
create table dim_desk (desk_id integer primary key, label text, is_deleted boolean not null);
create table fact_visit (visit_record_id bigint primary key, visit_id integer not null, staff_id numeric(6, 2) not null,
    desk_id integer not null references dim_desk, valid_from timestamp not null, is_deleted boolean not null,
    batch_id bigint not null, valid_to timestamp);
""",
}
# The same without what says that a row is gone.
PLAIN_TOML = TOML.replace("history = true\n", "").replace("soft_delete = true\n", "")
PLAIN_TABLES = """
create table dim_staff (staff_id numeric(6, 2) primary key, name varchar(20) not null, department_name text);
create table dim_desk (desk_id integer primary key, label text);
"""
PLAIN_FILES = FILES | {
    "warehouse.sql": PLAIN_TABLES
    + FILES["warehouse.sql"][FILES["warehouse.sql"].index("create table fact_visit") :].replace(
        "staff_id numeric(6, 2) not null", "staff_id numeric(6, 2) not null references dim_staff"
    )
}
SOURCE = """
create table department (department_id integer primary key, department_name text);
create table staff (staff_id numeric primary key, name text, department_id integer);
create table desk (desk_id integer primary key, label text);
create table visit (visit_id integer primary key, staff_id numeric, desk_id integer);
insert into department values (1, 'law'), (2, 'art');
insert into staff values (1, 'Ada', 1), (2, 'Bea', 2), (3, 'Cy', 1);
insert into desk values (1, 'north'), (2, 'south');
insert into visit values (10, 1, 1), (11, 2, 2), (12, 3, 1);
"""
BATCHES = (
    # An update, an insert, and rows that go while facts refer to them; a visit to somebody who is not there yet.
    (
        "update staff set name = 'Ada L' where staff_id = 1",
        "insert into staff values (4, 'Di', 2)",
        "delete from staff where staff_id in (2, 3)",
        "delete from desk where desk_id = 2",
        "insert into visit values (13, 9, 1)",
    ),
    # Only the joined table changes, and one row is back as it was.
    ("update department set department_name = 'laws' where department_id = 1", "insert into staff values (3, 'Cy', 1)"),
    # A name that is too long is set aside, and what was stays; the one whom the visit waits for comes; a desk is back.
    (
        "update staff set name = 'Di of the very long name' where staff_id = 4",
        "insert into staff values (9, 'Ed', 2)",
        "insert into desk values (2, 'south')",
    ),
    # The department goes, and so do its members, whose own rows stay; a desk is changed.
    ("delete from department where department_id = 1", "update desk set label = 'attic' where desk_id = 1"),
)
KILLED = (0, 2)
# Each version by the batch that brought it, with the batch that ended it.
VERSIONS = [
    (1, "Ada", "law", False, 1, 2),
    (1, "Ada L", "law", False, 2, 3),
    (1, "Ada L", "laws", False, 3, 5),
    (1, "Ada L", "laws", True, 5, None),
    (2, "Bea", "art", False, 1, 2),
    (2, "Bea", "art", True, 2, None),
    (3, "Cy", "law", False, 1, 2),
    (3, "Cy", "law", True, 2, 3),
    (3, "Cy", "laws", False, 3, 5),
    (3, "Cy", "laws", True, 5, None),
    (4, "Di", "art", False, 2, None),
    (9, "Ed", "art", False, 4, None),
]
VERSIONS_OF_TWO = [row[:3] for row in VERSIONS if row[4] <= 2]
# The visits at each batch's snapshot, with the visitor as it was; the one who came late has no version before.
VISITORS = {
    1: [(10, "Ada", "law"), (11, "Bea", "art"), (12, "Cy", "law")],
    2: [(10, "Ada L", "law"), (11, None, None), (12, None, None), (13, None, None)],
    3: [(10, "Ada L", "laws"), (11, None, None), (12, "Cy", "laws"), (13, None, None)],
    4: [(10, "Ada L", "laws"), (11, None, None), (12, "Cy", "laws"), (13, "Ed", "art")],
    5: [(10, None, None), (11, None, None), (12, None, None), (13, "Ed", "art")],
}


AS_OF = """
    select visit_id, name, department_name from fact_visit_as_of(%s) as f
    left join dim_staff_as_of(%s) as d using (staff_id) order by visit_id
"""


class KilledError(Exception):
    """Ends a run at a fault point."""


def build(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(SOURCE.encode())


def versions(rig: Rig) -> list[Row]:
    moments = {each.captured_at.replace(tzinfo=None): each.batch for each in rig.manifests()}
    found = rig.versions("dim_staff")
    assert all(moments[each["valid_from"]] == each["batch_id"] for each in found)
    names = ("staff_id", "name", "department_name", "is_deleted", "batch_id")
    return [(*(each[name] for name in names), moments.get(each["valid_to"])) for each in found]


def killed_twice(rig: Rig) -> None:
    """Transform, but let the runs end after the dimension's commit, and before the batch's."""
    for point in ("after-dimension-commit", "before-processed-manifest"):

        def end(passed: str, point: str = point) -> None:
            if passed == point:
                raise KilledError

        with faults.watched(end), pytest.raises(KilledError):
            rig.transform()


@pytest.fixture
def rig(kept_rig: Callable[..., Rig], tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Give a pipeline after five batches; the transform of two was killed twice before it came to its end."""

    def make(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
        folder = tmp_path_factory.mktemp("office") / "model"
        write_model(folder, TOML, FILES)
        made = create(postgres.template("office", build), model=str(folder))
        made.run()
        for number, statements in enumerate(BATCHES):
            made.change(*statements)
            made.ingest()
            if number in KILLED:
                killed_twice(made)
            made.transform()
            made.load()
        return made

    return kept_rig("office", make)


def test_a_dimension_keeps_its_versions_and_another_marks_what_is_gone(rig: Rig) -> None:
    assert versions(rig) == VERSIONS
    assert rig.warehouse("table dim_desk order by 1") == [(1, "attic", False), (2, "south", False)]
    assert rig.warehouse("select staff_id from dim_staff_current order by 1") == [(4,), (9,)]
    for each in rig.manifests():
        assert rig.warehouse(AS_OF, [each.captured_at.replace(tzinfo=None)] * 2) == VISITORS[each.batch]
    shown = read_history(rig.warehouse_url, find_versioned(rig.model, "staff"), ["3"])
    assert [each["is_deleted"] for each in shown.versions] == [False, True, False, True]
    assert unproven(verify(rig, deep=True)) == set()


def test_both_dimensions_come_out_the_same_again(rig: Rig) -> None:
    Compact(rig.model, rig.ingestion, rig.processed, clock, lambda: max(rig.ledger())).run()
    again = Rebuild(rig.model, rig.ingestion, rig.processed, clock).star()
    assert {name for name, each in again.tables.items() if each.is_different} == set()
    alter_database(
        rig.warehouse_url,
        "delete from dim_staff where staff_id = 9",
        "update dim_staff set valid_to = valid_to + interval '1 second' where staff_record_id = 1",
        "update dim_desk set is_deleted = true where desk_id = 2",
    )
    assert rig.broken_laws().keys() == {"references", "intervals"}
    mended = RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    assert {name for name, each in mended.tables.items() if each.is_different} == {"dim_staff", "dim_desk"}
    assert versions(rig) == VERSIONS

    # A visit finds its visitor in a dimension that the batch leaves as it is.
    rig.change("insert into visit values (14, 4, 2)")
    rig.run()
    assert rig.warehouse("select staff_id from fact_visit_current where visit_id = 14") == [(4,)]
    # The name that was too long is mended, and a replay finds nothing more to do.
    rig.change("update staff set name = 'Di M' where staff_id = 4", "delete from desk where desk_id = 1")
    rig.run()
    assert [row["name"] for row in rig.versions("dim_staff", 4)] == ["Di", "Di M"]
    assert rig.warehouse("table dim_desk order by 1") == [(1, "attic", True), (2, "south", False)]
    assert Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run().batch is None
    assert unproven(verify(rig, deep=True)) == set()


def test_a_dimension_gets_its_history_later_and_can_lose_it_again(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    models = {
        "plain": write_model(tmp_path / "plain", PLAIN_TOML, PLAIN_FILES),
        "knowing": write_model(tmp_path / "knowing", TOML, FILES),
    }
    rig = new_rig(postgres.template("office", build), model=str(models["plain"].directory))
    rig.run()
    rig.change(*BATCHES[0])
    rig.run()
    plain = rig.warehouse("table dim_staff order by 1")
    assert [row[0] for row in plain] == [1, 2, 3, 4]

    for name, rows in (("knowing", VERSIONS_OF_TWO), ("plain", plain)):
        rig = replace(rig, model=models[name])
        rig.change(f"update desk set label = '{name}' where desk_id = 1")
        rig.ingest()
        with pytest.raises(StateError, match="was made before history or soft_delete was set as it is"):
            rig.transform()
        Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()
        RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
        rig.run()
        found = rig.warehouse("select staff_id, name, department_name from dim_staff order by staff_id, name")
        assert found == rows
    assert unproven(verify(rig)) == set()
