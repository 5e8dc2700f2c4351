"""A mirror that is killed while its source changes its shape, and run again, ends as if it had never been killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.interrupted import (
    BASELINE,
    FIRST_TIME,
    INCREMENT,
    LATER_TIMES,
    Copies,
    Run,
    Start,
    assert_made_good,
    uninterrupted,
)
from tests.support.postgres import Postgres
from tidemark.faults import EFFECTS

MIRROR = Path("mirror")
SHOP = """
create table item (id integer primary key, price integer, dropped text);
insert into item values (1, 5, 'a'), (2, 6, null), (3, 7, 'c');
create table brief (id integer primary key);
insert into brief values (1);
"""
# The first two are batches of the log when the run begins, the third one the run finds.
CHANGES = (
    """
    alter table item alter price type bigint, add column added date default '2024-01-01';
    delete from item where id = 3;
    create table later (id uuid primary key, note text);
    insert into later values ('00000000-0000-0000-0000-000000000001', 'new');
    """,
    "drop table brief; alter table item drop column dropped; update later set note = 'changed'",
    """
    alter table item alter price type text, add column dropped integer default 4;
    create table brief (id integer primary key, more text);
    insert into brief values (1, 'again'), (2, 'more');
    update item set price = '9' where id = 1;
    create table last (id integer primary key);
    """,
)
# What no mirror does: it has no dimensions and sets no row aside.
NEVER = ("quarantine-file", "dimension-table", "dimension-file", "dimension-commit", "upsert")
POINTS = [f"{moment}-{name}" for name in EFFECTS if name not in NEVER for moment in ("before", "after")]
OF_A_WAREHOUSE = ("before-tables-commit", "after-tables-commit")
# Between these lies what a mirror does in its own way: its tables in the lake, its statements in the warehouse.
CHOSEN = ("after-latest-columns", "after-manifest", "after-fact-commit", "before-ledger-row")


@pytest.fixture(scope="module")
def source_url(postgres: Postgres) -> str:
    return postgres.url(postgres.create())


@pytest.fixture(scope="module")
def runs(postgres: Postgres, source_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("mirror")
    copies = Copies(postgres, MIRROR, source_url, folder)
    filled = copies.of(Start(folder / "empty", "template1"))
    rig = filled.rig()
    rig.change(SHOP)
    rig.run()
    for change in CHANGES[:2]:
        rig.change(change)
        rig.ingest()
    rig.change(CHANGES[2])
    starts = {BASELINE: Start(folder / "empty", "template1"), INCREMENT: copies.kept(filled)}
    return {run: uninterrupted(copies, start) for run, start in starts.items()}


@pytest.fixture
def copies(postgres: Postgres, source_url: str, tmp_path: Path) -> Iterator[Copies]:
    made = Copies(postgres, MIRROR, source_url, tmp_path)
    yield made
    made.drop()


def _cases() -> Iterator[Any]:
    """Yield run, point and times; what lies between two of the chosen kills is proved for a star in every run."""
    for point in POINTS:
        for times in (FIRST_TIME, LATER_TIMES):
            is_chosen = (point in CHOSEN and times == FIRST_TIME) or point == "after-processed-manifest"
            yield pytest.param(INCREMENT, point, times, marks=[] if is_chosen else [pytest.mark.exhaustive])
    for point in (*POINTS, *OF_A_WAREHOUSE):
        marks = [] if point == "after-tables-commit" else [pytest.mark.exhaustive]
        yield pytest.param(BASELINE, point, FIRST_TIME, marks=marks)


@pytest.mark.parametrize(("run", "point", "times"), list(_cases()))
def test_a_mirror_killed_while_its_source_changes_shape_is_made_good_by_the_next_run(
    run: str, point: str, times: str, runs: dict[str, Run], copies: Copies
) -> None:
    assert_made_good(copies, runs[run], point, times)


def test_each_point_is_passed_by_a_mirror(runs: dict[str, Run]) -> None:
    passed = set(runs[BASELINE].passes) | set(runs[INCREMENT].passes)

    assert passed == {*POINTS, *OF_A_WAREHOUSE, "before-old-sums", "after-old-sums"}
    assert set(CHOSEN) <= set(runs[INCREMENT].passes)
