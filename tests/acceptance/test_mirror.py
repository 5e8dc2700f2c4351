"""A mirror: every table of the source with a key, its own columns and types, its history, whatever becomes of it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.mirror import columns, known, same, verified
from tests.support.pipeline import Rig, clock
from tidemark.errors import ConfigError
from tidemark.mirror import Scope
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.warehouse.history import find_versioned, read_history

MODELS = Path(__file__).parents[1] / "models"
SHOP = """
create schema crm;
create type public.mood as enum ('sad', 'happy');
create table public.film (
    id integer primary key,
    title text not null,
    price numeric(10, 2),
    rate numeric,
    tags text[],
    shown timestamptz,
    mood mood,
    valid_from date
);
insert into public.film values
    (1, 'one', 1.50, 'NaN', '{x,"y z",null}', 'infinity', 'sad', '2020-01-01 BC'),
    (2, 'two', null, 1e40, null, null, null, null),
    (3, 'three', 0.10, 0.1000, '{}', '2024-01-01 00:00:00.123456+02', 'happy', '9999-12-31');
create table crm.film (a text, b integer, x double precision, primary key (a, b));
insert into crm.film values ('k', 1, 'NaN'), ('k', 2, 0.1), ('', 0, -0.0);
create table public.number (n numeric primary key, v varchar(3));
insert into public.number values (1.00, 'x'), (2, 'y');
create table public.brief (id integer primary key);
insert into public.brief values (1), (2);
create table public.keyless (a integer);
create view public.shown as select 1 as a;
"""
CHANGES = """
update public.film set title = 'uno' where id = 1;
delete from public.film where id = 2;
insert into public.film (id, title) values (4, 'four');
update public.number set n = 1.0 where n = 1;
alter table public.film add column length integer default 5;
alter table public.number alter column v type varchar(30);
update public.number set v = 'much longer than before' where n = 2;
alter table crm.film drop column x;
insert into crm.film values ('new', 9);
create table public.later (id uuid primary key, note text);
insert into public.later values ('00000000-0000-0000-0000-000000000001', 'late');
drop table public.brief;
"""
FILM = ["id", "title", "price", "rate", "tags", "shown", "mood"]
HISTORY = ["valid_from", "valid_to", "is_deleted", "batch_id"]


@pytest.fixture
def shop(new_mirror: Callable[..., Rig]) -> Rig:
    """A mirror after its first run."""
    rig = new_mirror(SHOP, Scope(schemas=("public", "crm")))
    rig.run()
    return rig


def test_a_mirror_and_a_star_never_go_on_with_the_log_of_the_other(
    shop: Rig, small_totesys: Callable[..., Rig]
) -> None:
    star = small_totesys(1)
    for rig, model in ((star, shop.model), (shop, star.model)):
        before = rig.manifests()
        with pytest.raises(ConfigError, match="expected the model of the change log"):
            replace(rig, model=model).ingest()
        assert rig.manifests() == before


def test_a_mirror_is_the_source_with_its_types_and_has_a_history(shop: Rig) -> None:
    found = columns(shop, "public", "film_history")

    assert same(shop, "select * from public.film")
    assert same(shop, "select * from crm.film")
    assert same(shop, "table public.number")
    assert [name for name, _ in found] == [*FILM, "source_valid_from", *HISTORY]
    assert dict(found)["price"] == "numeric(10,2)"
    # The warehouse has no such type.
    assert dict(found)["mood"] == "text"
    assert [name for name, _ in columns(shop, "public", "film")] == [*FILM, "valid_from"]
    assert dict(columns(shop, "crm", "film_history"))["x"] == "double precision"
    left_out = shop.newest().left_out
    assert set(left_out) == {"public.keyless", "public.shown"}
    assert "no key" in left_out["public.keyless"]
    assert shop.ingest().batches == ()


def test_a_mirror_follows_its_source_and_loses_nothing(shop: Rig) -> None:
    before = shop.newest().captured_at.replace(tzinfo=None)

    shop.change(CHANGES)
    shop.run()

    assert same(shop, "select * from public.film")
    assert same(shop, "select a, b from crm.film")
    assert same(shop, "table public.number")
    assert same(shop, "table public.later")
    assert columns(shop, "public", "film_history")[-1] == ("length", "integer")
    assert dict(columns(shop, "public", "number_history"))["v"] == "character varying(30)"
    assert shop.warehouse("select x from crm.film_history where a = 'new'") == [(None,)]
    assert shop.count("public.brief") == 0
    gone = [(1, False), (1, True), (2, False), (2, True)]
    assert shop.warehouse("select id, is_deleted from public.brief_history order by id, valid_from") == gone
    titles = shop.warehouse("select title from public.film_as_of(%s) order by id", [before])
    assert titles == [("one",), ("two",), ("three",)]
    numbers = shop.warehouse("select n::text, valid_to is null from number_history as h order by h.n, valid_from")
    assert numbers == [("1.00", False), ("1.0", True), ("2", False), ("2", True)]
    head = shop.newest()
    assert head.drift_batch == head.batch
    assert {"public.later is new: taken along", "public.brief is gone: its rows end here"} <= set(head.drift)
    assert verified(shop).exit_code == 0


def test_whatever_verifies_rebuilds_and_shows_works_for_a_mirror(shop: Rig) -> None:
    shop.change(CHANGES)
    shop.run()
    model = known(shop)

    star = Rebuild(model, shop.ingestion, shop.processed, clock, dry_run=False).star()
    warehouse = RebuildWarehouse(model, shop.processed, shop.warehouse_url).run()

    assert not any(table.is_different for table in (*star.tables.values(), *warehouse.tables.values()))
    assert verified(shop).exit_code == 0
    history = read_history(shop.warehouse_url, find_versioned(model, "public.film"), ["1"])
    assert [version["title"] for version in history.versions] == ["one", "uno"]
    assert shop.run()[2].batches == ()


@pytest.mark.parametrize("folder", [pytest.param("grocer", marks=pytest.mark.exhaustive), "cinema"])
def test_a_database_of_others_is_mirrored_as_it_is(new_mirror: Callable[..., Rig], folder: str) -> None:
    rig = new_mirror((MODELS / folder / "schema.sql").read_text("utf-8"))
    rig.run()

    rig.change((MODELS / folder / "activity.sql").read_text("utf-8"))
    rig.run()

    tables = [table.table for table in known(rig).tables.values()]
    assert len(tables) >= 10
    assert [table for table in tables if not same(rig, f'table "{table}"')] == []
    assert verified(rig).exit_code == 0


def test_a_dropped_table_and_a_lost_key_come_back(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror("create table a (id integer primary key, v text); insert into a values (1, 'x')")
    rig.run()

    rig.change("drop table a")
    rig.run()
    rig.change("create table a (id integer primary key, v text); insert into a values (1, 'again')")
    rig.run()
    rig.change("alter table a drop constraint a_pkey")
    rig.run()
    rig.change("insert into a values (2, 'unseen')")
    nothing = rig.ingest().batches
    rig.change("alter table a add primary key (id)")
    rig.run()

    assert nothing == ()
    assert rig.warehouse("select id, v, is_deleted from a_history order by id, valid_from") == [
        (1, "x", False),
        (1, "x", True),
        (1, "again", False),
        (2, "unseen", False),
    ]
    assert same(rig, "table a")
    assert verified(rig).exit_code == 0


def test_patterns_choose_tables_and_columns(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror(
        "create table staff (id integer primary key, name text, password text);"
        "create table log_1 (id integer primary key); create table staff_history (id integer primary key);"
        "insert into staff values (1, 'a', 'secret')",
        Scope(include=("staff*", "log_*"), exclude=("log_*", "public.staff.pass*")),
    )

    rig.run()

    assert set(known(rig).polled) == {"public.staff"}
    assert "versions of staff have its name" in rig.newest().left_out["public.staff_history"]
    assert [name for name, _ in columns(rig, "public", "staff")] == ["id", "name"]
    assert not any(b"secret" in rig.ingestion.get(each.key) for each in rig.ingestion.list())
    assert verified(rig).exit_code == 0


def test_what_is_no_pattern_is_refused() -> None:
    with pytest.raises(ConfigError, match="no pattern"):
        Scope(include=("a.b.c.d",))


def test_a_mirror_does_not_touch_what_it_did_not_make(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror("create table a (id integer primary key); insert into a values (1)")
    own = replace(rig, warehouse_url=rig.source_url)

    own.ingest()
    own.transform()

    with pytest.raises(ConfigError, match=r"public\.a that is not of a mirror"):
        own.load()
