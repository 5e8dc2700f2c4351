"""Names of any kind, tables of many columns, of a key alone or of no rows go from the source into the warehouse."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model

# Names of 63 bytes are the most that PostgreSQL takes, and 54 are the most for a fact.
TABLE, KEY, FACT = "\u0416" * 31 + "x", "\u00df" * 31 + "q", "fact_" + "\u0416" * 24 + "x"
DOTTED, QUOTED = '\u00dcn\u00ef "quoted". Name', '\u00dcn\u00ef ""quoted"". Name'
MANY = [f"c{number}" for number in range(2, 301)]
TOML = f"""
[source."{TABLE}"]
key = ["{KEY}"]
updated = "Last Updated"

[source.'{DOTTED}']
key = ["The Key"]

[source.order]
key = ["select", "from"]

[source.half]
table = "half/or less"
key = ["id"]

[source.many]
key = ["c1"]

[source.nothing]
key = ["id"]

[star."{FACT}"]
kind = "fact"
key = ["record_id"]
driving = "{TABLE}"
source_key = ["{KEY}"]
reads = ["{TABLE}"]

[star.fact_order]
kind = "fact"
key = ["group"]
driving = "order"
source_key = ["select", "from"]
reads = ["order"]

[star.'dim_{DOTTED}']
kind = "dimension"
key = ["The Key"]
reads = ['{DOTTED}']

[star.dim_half]
kind = "dimension"
key = ["id"]
reads = ["half"]

[star.dim_many]
kind = "dimension"
key = ["c1"]
reads = ["many"]

[star.fact_nothing]
kind = "fact"
key = ["record_id"]
driving = "nothing"
source_key = ["id"]
reads = ["nothing"]
"""
HISTORY = "valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp"
COLUMNS = ", ".join(f"{name} text" for name in MANY)
ODD = """ "CamelCase" text, "with space" text, "100%" text, "it's" text"""
FILES = {
    f"fact/{FACT.removeprefix('fact_')}.sql": f'select "{KEY}", "a.b", "a/b" from "{TABLE}"',
    "fact/order.sql": 'select "select", "from", "user", "table" from "order"',
    f"dimension/{DOTTED}.sql": f"""select "The Key", "CamelCase", "with space", "100%", "it's" from "{QUOTED}" """,
    "dimension/half.sql": "select id from half",
    "dimension/many.sql": f"select c1, {', '.join(MANY)} from many",
    "fact/nothing.sql": "select id from nothing",
    "warehouse.sql": f"""
        create table "{FACT}" (record_id bigint primary key, "{KEY}" integer not null, "a.b" text, "a/b" text,
            {HISTORY});
        create table fact_order ("group" bigint primary key, "select" integer not null, "from" text not null,
            "user" text, "table" text, {HISTORY});
        create table "dim_{QUOTED}" ("The Key" integer primary key, {ODD});
        create table dim_half (id uuid primary key);
        create table dim_many (c1 integer primary key, {COLUMNS});
        create table fact_nothing (record_id bigint primary key, id integer not null, {HISTORY});
    """,
}
SOURCE = f"""
create table "{TABLE}" ("{KEY}" integer primary key, "a.b" text, "a/b" text, "Last Updated" timestamptz default now());
insert into "{TABLE}" values (1, 'x', 'y'), (2, 'x', 'y'), (3, 'x', 'y');
create table "{QUOTED}" ("The Key" integer primary key, {ODD});
insert into "{QUOTED}" values (1, 'x', 'y', 'z', 'w'), (2, 'x', 'y', 'z', 'w');
create table "order" ("select" integer, "from" text, "user" text, "table" text, primary key ("select", "from"));
insert into "order" values (1, 'a', 'u', 't'), (1, 'b', 'u', 't'), (2, 'a', 'u', 't');
create table "half/or less" (id uuid primary key);
insert into "half/or less" values (md5('a')::uuid), (md5('b')::uuid);
create table many (c1 integer primary key, {COLUMNS});
insert into many (c1, c2, c300) values (1, 'a', 'b'), (2, 'a', 'b');
create table nothing (id integer primary key);
"""


def test_names_of_any_kind_go_all_the_way(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> None:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(SOURCE.encode())

    model = write_model(tmp_path / "names", TOML, FILES)
    rig = new_rig(postgres.template("names of any kind", build), model=str(model.directory))
    rig.run()
    assert rig.count("fact_nothing") == 0
    rig.change(
        f"""update "{TABLE}" set "a.b" = 'new' where "{KEY}" = 1; delete from "{TABLE}" where "{KEY}" = 2""",
        f"""update "{QUOTED}" set "100%" = 'new' where "The Key" = 1""",
        """delete from "order" where "select" = 2; update "order" set "user" = 'new' where "from" = 'b'""",
        "update many set c299 = 'new' where c1 = 2; insert into nothing values (7)",
        """insert into "half/or less" values (md5('c')::uuid)""",
    )
    rig.run()

    assert rig.warehouse(f"""select "{KEY}", "a.b" from "{FACT}_current" order by 1""") == [(1, "new"), (3, "x")]
    assert rig.warehouse(f"""select "The Key", "100%" from "dim_{QUOTED}" order by 1""") == [(1, "new"), (2, "z")]
    assert rig.warehouse("""select "select", "from", "user" from fact_order_current order by 1, 2""") == [
        (1, "a", "u"),
        (1, "b", "new"),
    ]
    assert rig.warehouse("select c1, c2, c299, c300 from dim_many order by 1") == [
        (1, "a", None, "b"),
        (2, "a", "new", "b"),
    ]
    assert (rig.count("dim_half"), rig.count("fact_nothing")) == (3, 1)
    assert unproven(verify(rig, deep=True)) == set()
