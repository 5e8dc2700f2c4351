"""A mirror whose source changes its shape again and again: no value is lost, none is made up, and the rest flows."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.mirror import columns, known, same, verified
from tests.support.pipeline import Rig, clock
from tidemark.errors import ConfigError, ContractError
from tidemark.mirror import Scope, mirror_of
from tidemark.model import SourceTable
from tidemark.pipeline import Pipeline
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.settings import Settings
from tidemark.verification.star_warehouse import verify_warehouse
from tidemark.warehouse.schema import init

START = """
create table a (id integer primary key, v integer, n numeric(5, 2), c varchar(9), p character(3));
insert into a values (1, 5, 1.50, 'one', 'p'), (2, 6, 2.50, 'two', 'q');
create table code (id integer primary key);
insert into code values (7);
"""
STEPS = (
    """
    alter table a add column w text default 'd';
    alter table a alter v type bigint, alter n type numeric(10, 3);
    create table b (id integer primary key, t text);
    insert into b values (1, 'x');
    drop table code;
    """,
    """
    alter table a drop column w;
    alter table a alter c type varchar(5), alter p type text;
    create table code (id integer primary key, more date);
    insert into code values (8, '2024-01-01');
    """,
    """
    alter table a add column w integer;
    update a set w = 4 where id = 1;
    alter table a alter n type numeric(10, 1);
    alter table b rename to bb;
    update code set id = 7;
    """,
)
BLOCKED = """
create table narrowed (id text primary key);
insert into narrowed values ('7');
create table rekeyed (id integer primary key);
insert into rekeyed values (1);
create table recased (id integer primary key, v integer);
insert into recased values (1, 1);
create table taken (id integer primary key, v integer);
insert into taken values (1, 1);
create table flows (id integer primary key);
create schema tidemark;
create table tidemark.batch (id integer primary key);
"""
BLOCKING = """
alter table narrowed alter id type integer using id::integer;
alter table rekeyed drop column id, add column uid uuid primary key default gen_random_uuid();
alter table recased rename v to "V";
alter table taken add column _HASH text;
insert into flows values (1);
"""
HISTORY = "order by id, valid_from"


def found(rig: Rig) -> list[object]:
    """Give all versions, each moment as whether it is the newest, and the columns."""
    fields = "valid_to is null, is_deleted, batch_id"
    return [
        rig.warehouse(f"select id, v::text, n::text, c, p, w, {fields} from a_history {HISTORY}"),
        rig.warehouse(f"select id, more, {fields} from code_history {HISTORY}"),
        rig.warehouse(f"select id, t, {fields} from b_history {HISTORY}"),
        columns(rig, "public", "a_history")[:5],
    ]


def test_stages_that_fell_behind_bring_the_same_as_those_that_followed_at_once(
    new_mirror: Callable[..., Rig],
) -> None:
    step_by_step, behind = new_mirror(START), new_mirror(START)
    step_by_step.run()
    behind.ingest()
    for step in STEPS:
        step_by_step.change(step)
        step_by_step.run()
        behind.change(step)
        behind.ingest()
    behind.transform()
    behind.load()

    versions = step_by_step.warehouse(f"select id, w, n::text, p from a_history {HISTORY}")
    assert versions == [
        (1, None, "1.50", "p  "),
        (1, "d", "1.500", "p  "),
        (1, None, "1.500", "p"),
        (1, "4", "1.5", "p"),
        (2, None, "2.50", "q  "),
        (2, "d", "2.500", "q  "),
        (2, None, "2.500", "q"),
        (2, None, "2.5", "q"),
    ]
    types = dict(columns(step_by_step, "public", "a_history"))
    wanted = {"v": "bigint", "n": "numeric", "c": "character varying(9)", "p": "text", "w": "text"}
    assert {name: types[name] for name in wanted} == wanted
    assert found(behind) == found(step_by_step)
    assert same(behind, "select id, v, n, c, p, w from a")
    assert same(behind, "table code")
    assert same(behind, "table bb")
    assert verified(behind).exit_code == verified(step_by_step).exit_code == 0
    star = Rebuild(known(behind), behind.ingestion, behind.processed, clock, dry_run=False).star()
    warehouse = RebuildWarehouse(known(behind), behind.processed, behind.warehouse_url).run()
    assert not any(table.is_different for table in (*star.tables.values(), *warehouse.tables.values()))
    assert found(behind) == found(step_by_step)


def test_a_mirror_is_verified_while_its_stages_are_behind(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror("create table a (id integer primary key, valid_from integer); insert into a values (1, 5)")
    rig.run()
    rig.change(
        "alter table a alter valid_from type text, add column source_valid_from integer;"
        "create table b (id integer primary key)"
    )
    rig.ingest()
    codes = [verified(rig).exit_code]
    rig.transform()
    codes.append(verified(rig).exit_code)
    rig.load()
    codes.append(verified(rig).exit_code)
    rig.change("update a set source_valid_from = 7")
    rig.run()

    assert codes == [0, 0, 0]
    assert verified(rig).exit_code == 0
    assert same(rig, "table a")
    # A column keeps its name in the history whatever comes later.
    names = dict(columns(rig, "public", "a_history"))
    assert (names["source_valid_from"], names["source_source_valid_from"]) == ("text", "integer")


def test_a_column_that_is_no_longer_followed_is_null_from_then_on(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror("create table a (id integer primary key, s text); insert into a values (1, 'told'), (2, null)")
    rig.run()
    hides = replace(rig, model=mirror_of({}, Scope(exclude=("public.a.s",))))
    rig.change("insert into a values (3, 'SECRET')")
    hides.run()
    nothing = hides.ingest().batches
    hidden = rig.warehouse("select id, s from a order by id")
    keys = [each.key for each in rig.ingestion.list() if b"SECRET" in rig.ingestion.get(each.key)]
    rig.run()

    assert hidden == [(1, None), (2, None), (3, None)]
    assert (keys, nothing) == ([], ())
    history = rig.warehouse(f"select id, s from a_history {HISTORY}")
    assert history == [(1, "told"), (1, None), (1, "told"), (2, None), (3, None), (3, "SECRET")]
    assert same(rig, "table a")
    assert verified(rig).exit_code == 0


def test_a_table_that_cannot_go_on_is_left_out_and_the_rest_flows(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror(
        f"{BLOCKED} create table {'y' * 60} (id integer primary key)",
        Scope(schemas=("public", "tidemark")),
    )
    rig.run()
    before = rig.warehouse("select relname::text from pg_class where relname like 'yyy%%history'")[0][0]
    rig.change(f"{BLOCKING} create table {before} (id integer primary key)")
    rig.run()

    left_out = rig.newest().left_out
    assert "was text and is integer" in left_out["public.narrowed"]
    assert "was (id) and is (uid)" in left_out["public.rekeyed"]
    assert "V was called v" in left_out["public.recased"]
    assert "gives a row a column _hash" in left_out["public.taken"]
    assert "ledger" in left_out["tidemark.batch"]
    assert "have its name in the warehouse" in left_out[f"public.{before}"]
    assert [rig.count(name) for name in ("narrowed", "rekeyed", "recased", "taken", "flows")] == [1] * 5
    assert verified(rig).exit_code == 0


def test_a_schema_that_nobody_wants_any_more_keeps_its_rows(new_mirror: Callable[..., Rig]) -> None:
    both = Scope(schemas=("public", "crm"))
    rig = new_mirror(
        "create schema crm; create table a (id integer primary key); create table crm.b (id integer primary key);"
        "insert into crm.b values (1)",
        both,
    )
    rig.run()

    narrower = replace(rig, model=mirror_of({}, Scope()))
    narrower.run()

    assert rig.count("crm.b") == 1
    assert not known(rig).tables["crm.b"].is_followed
    assert verified(narrower).exit_code == 0
    rig.change("insert into crm.b values (2)")
    rig.run()
    assert rig.count("crm.b") == 2


def test_a_table_that_must_not_change_stops_the_poll(new_mirror: Callable[..., Rig]) -> None:
    strict = SourceTable("public.a", ("id",), evolve="stop")
    rig = new_mirror(
        "create table a (id integer primary key); insert into a values (1); create table b (id integer primary key)",
        Scope(sources={"public.a": strict}),
    )
    rig.run()
    before = rig.objects()
    for change, reason in (
        ("alter table a add column v text", r"a\.v is new"),
        ("alter table a drop column v; drop table a, b", r"a is gone, and the model says evolve = .stop"),
    ):
        rig.change(change)
        with pytest.raises(ContractError, match=reason):
            rig.ingest()
    untouched = rig.objects()
    rig.change("create table a (id integer primary key); insert into a values (1)")
    rig.run()

    assert untouched == before
    assert list(rig.newest().drift) == ["public.b is gone: its rows end here"]
    assert verified(rig).exit_code == 0


def test_what_others_made_over_a_mirror_is_named_before_a_type_widens_and_rights_stay(
    new_mirror: Callable[..., Rig],
) -> None:
    rig = new_mirror('create table "A.b" (id integer primary key, v integer); insert into "A.b" values (1, 5)')
    rig.run()
    rig.change('alter table "A.b" alter v type bigint, add column later date')
    with psycopg.connect(rig.warehouse_url) as analyst:
        analyst.execute(
            'grant select on "A.b" to pg_monitor; revoke execute on function "A.b_as_of"(timestamp) from public;'
            'grant execute on function "A.b_as_of"(timestamp) to pg_monitor; grant select on "A.b_history" to public;'
            'create view over_both as select v from "A.b" union all select v from "A.b_history"'
        )
    rights = (
        "select relname, relacl::text from pg_class where relname like 'A.b%%' and relacl is not null"
        " union all select proname, proacl::text from pg_proc where proname = 'A.b_as_of' order by 1"
    )
    before = rig.warehouse(rights)

    with pytest.raises(ConfigError, match=r"view public\.over_both .* has to go before .*\.v can get another type"):
        rig.run()
    untouched = columns(rig, "public", "A.b_history")
    with psycopg.connect(rig.warehouse_url) as analyst:
        analyst.execute("drop view over_both")
    rig.run()

    assert ("v", "integer") in untouched
    assert len(before) == 3
    assert rig.warehouse(rights) == before
    assert same(rig, 'table "A.b"')
    assert verified(rig).exit_code == 0


def test_first_loads_at_once_make_the_warehouse_once_and_a_role_without_rights_is_told_what_is_missing(
    new_mirror: Callable[..., Rig],
) -> None:
    rig = new_mirror("create table a (id integer primary key); insert into a values (1)")
    rig.ingest()
    rig.transform()
    with ThreadPoolExecutor(3) as executor:
        loads = [executor.submit(rig.load) for _ in range(3)]
    assert sorted(each.result().batches for each in loads) == [(), (), (1,)]
    with psycopg.connect(rig.warehouse_url) as owner:
        owner.execute(
            "do $$ begin create role mirror_loader login; exception when duplicate_object then null; end $$;"
            "grant usage on schema tidemark to mirror_loader;"
            "grant select, insert, update on all tables in schema public, tidemark to mirror_loader"
        )
    rig.change("insert into a values (2); create table b (id integer primary key)")
    loader = replace(rig, warehouse_url=rig.warehouse_url.replace("postgres@", "mirror_loader@"))

    with pytest.raises(ConfigError, match="may not make the mirror's tables follow") as refused:
        loader.run()
    init(rig.warehouse_url, known(rig))
    with psycopg.connect(rig.warehouse_url) as owner:
        owner.execute("grant select, insert, update on all tables in schema public to mirror_loader")
    loader.load()

    assert "create table public.b_history" in str(refused.value.advice).replace('"', "")
    assert same(rig, "table a")
    with psycopg.connect(rig.warehouse_url) as owner:
        owner.execute("drop owned by mirror_loader")


def test_a_pipeline_that_is_kept_has_the_tables_of_the_batch_at_hand(
    new_mirror: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = new_mirror("create table a (id integer primary key); insert into a values (1)")
    rig.run()
    places = {name: getattr(rig, name).url("x").removesuffix("/x") for name in ("ingestion", "processed")}
    settings = Settings(model="mirror", source_url=rig.source_url, warehouse_url=rig.warehouse_url, **places)
    kept = Pipeline(settings, clock)
    # As the function of load, whose role may not see the log.
    loader = Pipeline(replace(settings, ingestion=str(tmp_path / "unseen"), source_url=None), clock)
    before = [kept.model.stars.keys(), loader.star_model.stars.keys()]
    rig.change("create table b (id integer primary key); insert into b values (1)")
    rig.run()

    assert before == [{"public.a"}, {"public.a"}]
    assert set(kept.model.stars) == set(loader.star_model.stars) == {"public.a", "public.b"}
    edge = verify_warehouse(loader.star_model, loader.processed, loader.warehouse_url)
    assert [(table.table, table.is_proven) for table in edge.tables] == [("public.a", True), ("public.b", True)]
    assert not any(each.is_different for each in loader.rebuild_warehouse(dry_run=True).run().tables.values())
    assert not (tmp_path / "unseen").exists()


NAMES = ("film", "Film", "batch", "a/b.%s{}", 'q"q', "select", "x" * 63, "x" * 62 + "y", "a~2Fb.%s{}", "..")


def test_tables_and_columns_of_a_mirror_may_have_any_name(new_mirror: Callable[..., Rig]) -> None:
    rig = new_mirror("select 1")
    table = (
        "create table {table} (id integer primary key, {table} text, valid_from integer, source_valid_from integer,"
        ' batch_id text, is_deleted boolean, tidemark text, "order" integer, position integer, captured_at date);'
        "insert into {table} (id, {table}, valid_from) values (1, 'a', 1), (2, 'b', 2)"
    )
    with psycopg.connect(rig.source_url) as source:
        for name in NAMES:
            source.execute(sql.SQL(table).format(table=sql.Identifier(name)))
    rig.run()
    with psycopg.connect(rig.source_url) as source:
        for name in NAMES:
            statement = (
                "update {table} set {table} = 'c', valid_from = 9 where id = 1; delete from {table} where id = 2"
            )
            source.execute(sql.SQL(statement).format(table=sql.Identifier(name)))
    rig.run()

    assert rig.newest().left_out == {}
    queries = [sql.SQL("table {}").format(sql.Identifier("public", name)).as_string() for name in NAMES]
    assert [query for query in queries if not same(rig, query)] == []
    assert verified(rig).exit_code == 0
