"""Quarantine of rows that are made from several tables: what cannot be read is followed through joins."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.pipeline import Rig, Row, clock, open_rig
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.errors import DataError
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.replay import Replay
from tidemark.star.quarantine_report import list_set_aside
from tidemark.warehouse.schema import init

SOURCE = """
create table grade (grade_id integer primary key, name text, factor numeric, since date);
create table shop (shop_id integer primary key, grade_id integer);
create table item (item_id integer primary key, grade_id integer, amount numeric, note text);
insert into grade values (1, 'one', 2, '2024-01-01'), (2, 'two', 'NaN', '0044-03-15 BC'), (3, 'three', 1, null);
insert into shop values (1, 1), (2, 2), (3, 9);
insert into item values (1, 1, 10, 'a'), (2, 2, 20, 'b'), (3, 3, null, 'c'), (4, 1, 40, null)
"""
MODEL = """
[source.grade]
key = ["grade_id"]

[source.shop]
key = ["shop_id"]

[source.item]
key = ["item_id"]

[star.dim_grade]
kind = "dimension"
key = ["grade_id"]
reads = ["grade"]

[star.dim_shop]
kind = "dimension"
key = ["shop_id"]
reads = ["shop", "grade"]

[star.fact_item]
kind = "fact"
key = ["item_record_id"]
driving = "item"
source_key = ["item_id"]
reads = ["item", "grade"]
references = { grade_id = "dim_grade" }
"""
FILES = {
    "warehouse.sql": """
        create table dim_grade (grade_id integer primary key, name varchar not null);
        create table dim_shop (shop_id integer primary key, factor numeric(5, 2));
        create table fact_item (
            item_record_id bigint primary key, item_id integer not null, grade_id integer not null,
            total numeric(12, 2) not null, note varchar(3), valid_from timestamp not null, is_deleted boolean not null,
            batch_id bigint not null, valid_to timestamp, unique (item_id, valid_from)
        );
    """,
    "dimension/grade.sql": "select grade_id, name from grade",
    # A null would become a wrong number here, without a word.
    "dimension/shop.sql": "select shop_id, coalesce(factor, 0) as factor from shop left join grade using (grade_id)",
    "fact/item.sql": (
        "select item.item_id, item.grade_id, item.amount + coalesce(grade.factor, 1) as total, item.note"
        " from item inner join grade on item.grade_id = grade.grade_id"
    ),
}
SHOPS = "select shop_id, factor::text from dim_shop order by 1"
ITEMS = "select item_record_id, item_id, total::text, batch_id from fact_item order by 1"


@dataclass
class Story:
    """A pipeline of the small model."""

    rig: Rig
    aside: list[dict[tuple[str, int], str]] = field(default_factory=list)
    shops: list[list[Row]] = field(default_factory=list)
    items: list[list[Row]] = field(default_factory=list)

    def run(self, *changes: str) -> None:
        self.rig.change(*changes)
        self.rig.run()
        rows = list_set_aside(list(self.rig.model.stars.values()), self.rig.processed)
        self.aside.append({(row.table, next(iter(json.loads(row.key).values()))): row.reason for row in rows})
        self.shops.append(self.rig.warehouse(SHOPS))
        self.items.append(self.rig.warehouse(ITEMS))

    def replay(self, *names: Any) -> None:  # noqa: ANN401 -- the arguments of a replay
        Replay(self.rig.model, self.rig.ingestion, self.rig.processed, self.rig.pointer).run(*names)


@pytest.fixture(scope="module")
def new_story(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Story]]:
    databases = []

    def create(files: dict[str, str]) -> Story:
        folder = tmp_path_factory.mktemp("joins")
        model = write_model(folder / "model", MODEL, files)
        names = [postgres.create(), postgres.create()]
        databases.extend(names)
        source, warehouse = map(postgres.url, names)
        with psycopg.connect(source) as connection:
            connection.execute(SOURCE.encode())
        init(warehouse, model)
        return Story(open_rig(model, source, warehouse, str(folder / "lake")))

    yield create
    for name in databases:
        postgres.drop(name)


@pytest.fixture(scope="module")
def story(new_story: Callable[..., Story]) -> Story:
    story = new_story(FILES)
    story.run("update item set note = 'four' where item_id = 4")
    story.run("update grade set factor = 3, since = null where grade_id = 2")
    story.replay("fact_item", (2,))
    story.run("delete from grade where grade_id = 3", "update grade set name = null where grade_id = 1")
    story.replay()
    story.run("delete from grade where grade_id = 1")
    story.replay()
    story.run("select 1")
    return story


def test_a_row_that_joins_what_cannot_be_read_is_set_aside_with_it(story: Story) -> None:
    first = story.aside[0]

    assert first["dim_shop", 2] == first["fact_item", 2]
    assert first["dim_shop", 2].startswith("it is made with a value that cannot be read, such as grade.factor is 'NaN'")


def test_what_does_not_depend_on_it_flows(story: Story) -> None:
    assert story.shops[0] == [(1, "2.00"), (3, "0.00")]
    assert story.items[0] == [(1, 1, "12.00", 1)]
    # dim_grade shows neither factor nor since.
    assert [key for table, key in story.aside[0] if table == "dim_grade"] == []


def test_a_dimensions_row_comes_back_when_what_it_joins_is_mended(story: Story) -> None:
    assert story.shops[1] == [(1, "2.00"), (2, "3.00"), (3, "0.00")]
    assert [key for table, key in story.aside[1] if table == "dim_shop"] == []


def test_a_facts_row_comes_back_by_a_replay(story: Story) -> None:
    assert story.items[1] == story.items[0]
    assert story.items[2] == [(1, 1, "12.00", 1), (2, 2, "23.00", 3)]


def test_other_limits_are_named_as_such(story: Story) -> None:
    assert story.aside[0]["fact_item", 3] == "total is null, and the star has none there"
    assert story.aside[0]["fact_item", 4] == "note is 'four', which is no VARCHAR(3)"


def test_a_row_that_the_select_yields_no_more_stays_and_says_so(story: Story) -> None:
    assert story.aside[2]["fact_item", 3] == story.aside[0]["fact_item", 3]
    assert story.aside[-1]["fact_item", 3] == "the SELECT yields no row for it any more"


def test_a_dimensions_row_that_is_gone_from_the_source_is_gone_from_quarantine(story: Story) -> None:
    assert ("dim_grade", 1) in story.aside[2]
    assert ("dim_grade", 1) not in story.aside[-1]


def test_a_select_that_drops_a_row_stops_its_batch(new_story: Callable[..., Story]) -> None:
    story = new_story(FILES)
    story.rig.change("insert into item values (5, 9, 1, null)")

    with pytest.raises(DataError, match="fact_item has 4 rows for 5 changes"):
        story.rig.run()


def test_a_column_that_was_widened_takes_the_row_up_in_a_rebuild(
    new_story: Callable[..., Story], tmp_path: Path
) -> None:
    story = new_story(FILES)
    story.run("update item set amount = 1.005", "update item set note = 'four' where item_id = 4")
    wide = {**FILES, "warehouse.sql": FILES["warehouse.sql"].replace("numeric(12, 2)", "numeric(13, 3)")}
    rig = replace(story.rig, model=write_model(tmp_path / "wide", MODEL, wide))

    init(rig.warehouse_url, rig.model)
    star = Rebuild(rig.model, rig.ingestion, rig.processed, clock, accepts=True).star()
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    story.rig = rig
    story.run("update item set note = 'd' where item_id = 4")

    assert ("fact_item", 1) in story.aside[0]
    assert star.is_in_place
    assert [key for table, key in story.aside[1] if table == "fact_item"] == [2, 4]
    assert story.items[1] == [(1, 1, "3.005", 1), (3, 3, "2.005", 1), (5, 4, "3.005", 2)]


def test_a_model_is_known_by_its_limits_too(tmp_path: Path) -> None:
    before = write_model(tmp_path / "before", MODEL, FILES)
    lax = {**FILES, "warehouse.sql": FILES["warehouse.sql"].replace("varchar(3)", "varchar(4)")}

    assert write_model(tmp_path / "after", MODEL, lax).hash != before.hash
