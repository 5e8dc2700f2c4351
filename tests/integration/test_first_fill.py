"""What a first fill takes from a table comes back as it was, and what others need of the table stays."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tidemark.disclosure import name_keys
from tidemark.errors import DataError
from tidemark.postgres.connection import connect, translated
from tidemark.postgres.session import Session
from tidemark.warehouse.first_fill import BULK_ROWS, keys_made_after

TABLES = """
create table day (day date primary key);
insert into day values ('2026-01-01');
create table "Sale" (
    id bigint not null,
    key integer not null,
    day date not null,
    valid_from timestamp not null,
    note text,
    before bigint,
    constraint "the key" primary key (id),
    constraint unique_note unique nulls not distinct (note) deferrable initially deferred,
    constraint day_key foreign key (day) references day (day) on delete cascade deferrable,
    constraint "late day" foreign key (day) references day (day) not valid,
    constraint apart exclude using btree (valid_from with =),
    constraint is_positive check (id > 0)
);
create unique index history on "Sale" (key, valid_from desc) include (day) where note is null;
create index spelled on "Sale" (lower(note) collate "C" text_pattern_ops);
create unique index identity on "Sale" (key, id);
create index cluster_order on "Sale" (day);
create index with_room on "Sale" (day) with (fillfactor = 70);
create index with_target on "Sale" ((key + 1));
alter index with_target alter column 1 set statistics 500;
alter table "Sale" replica identity using index identity, cluster on cluster_order;
comment on constraint "the key" on "Sale" is 'it''s the key';
comment on constraint day_key on "Sale" is 'the day';
comment on index history is 'the history';
comment on index unique_note is 'of the constraint';
create table "Refund" (sale_key integer, sale_before bigint);
create unique index referred on "Sale" (key, before);
alter table "Refund" add foreign key (sale_key, sale_before) references "Sale" (key, before) not valid;
"""
STAYS = {"identity", "cluster_order", "with_room", "with_target", "referred"}
CATALOGUE = (
    """
select c.relname, k.conname, k.contype, pg_get_constraintdef(k.oid), k.condeferrable, k.condeferred, k.convalidated,
    k.conindid::regclass, obj_description(k.oid, 'pg_constraint')
from pg_constraint as k inner join pg_class as c on k.conrelid = c.oid where c.relname in ('Sale', 'Refund')
order by 1, 2
""",
    """
select x.relname, pg_get_indexdef(x.oid), i.indisprimary, i.indisunique, i.indimmediate, i.indisclustered,
    i.indisreplident, i.indisvalid, x.reloptions, a.attstattarget, obj_description(x.oid, 'pg_class')
from pg_index as i inner join pg_class as x on i.indexrelid = x.oid inner join pg_class as c on i.indrelid = c.oid
left join pg_attribute as a on a.attrelid = x.oid and a.attnum = 1
where c.relname = 'Sale' order by x.relname
""",
    """
select c.oid, c.relname, c.relreplident, c.relhasindex, a.attname, a.attnotnull
from pg_class as c inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 where c.relname = 'Sale'
order by a.attnum
""",
)


@pytest.fixture
def warehouse(new_database: Callable[[], str]) -> Iterator[Session]:
    with connect(new_database(), application="test") as connection:
        connection.execute(TABLES.encode())
        name_keys({"Sale": ["id", "day"]})
        yield connection


def test_a_table_has_after_its_first_fill_what_it_had_before(warehouse: Session) -> None:
    warehouse.execute('create view sold as select id, note from "Sale" group by id')
    before = _catalogue(warehouse)
    with warehouse.transaction():
        with keys_made_after(warehouse, ["Sale"], BULK_ROWS):
            # The view is grouped by the key alone, so it needs the key.
            assert _keys(warehouse) == STAYS | {"the key", "is_positive"}
            warehouse.execute(_rows("n"))
        assert _catalogue(warehouse) == before
    with pytest.raises(psycopg.errors.UniqueViolation):
        warehouse.execute(_rows("n"))


def test_few_rows_leave_the_keys_in_place(warehouse: Session) -> None:
    before = _keys(warehouse)
    with warehouse.transaction(), keys_made_after(warehouse, ["Sale"], BULK_ROWS - 1):
        assert _keys(warehouse) == before


@pytest.mark.parametrize(
    ("ids", "day", "constraint", "detail"),
    [
        ("n / 2 + 1", "2026-01-01", "the key", "Key (id)=("),
        ("n", "2026-01-02", "day_key", "Key (day)=(2026-01-02) is not present"),
    ],
)
def test_rows_that_break_a_key_are_refused_with_its_name(
    warehouse: Session, ids: str, day: str, constraint: str, detail: str
) -> None:
    before = _catalogue(warehouse)
    filling = keys_made_after(warehouse, ["Sale"], BULK_ROWS)
    with pytest.raises(DataError) as caught, translated("it"), warehouse.transaction(), filling:
        warehouse.execute(_rows(ids, day))
    assert (caught.value.facts["table"], caught.value.facts["constraint"]) == ("Sale", constraint)
    assert detail in caught.value.message
    assert _catalogue(warehouse) == before


@pytest.mark.parametrize(
    ("rights", "gone"),
    [
        ("select 1", set()),
        ('alter table "Sale" owner to filler', set()),
        ('alter table "Sale" owner to filler; grant references, select on day to filler', {"day_key", "late day"}),
        (
            'alter table "Sale" owner to filler; grant create on schema public to filler',
            {"the key", "unique_note", "apart", "history", "spelled"},
        ),
    ],
)
def test_a_role_takes_away_only_what_it_may_make_again(warehouse: Session, rights: str, gone: set[str]) -> None:
    before, keys = _catalogue(warehouse), _keys(warehouse)
    with warehouse.transaction(force_rollback=True):
        warehouse.execute(b'create role filler; grant select, insert on "Sale" to filler')
        warehouse.execute("revoke create on schema public from public")
        warehouse.execute(rights.encode())
        warehouse.execute("set local role filler")
        with keys_made_after(warehouse, ["Sale"], BULK_ROWS):
            assert keys - _keys(warehouse) == gone
        assert _catalogue(warehouse) == before


def _rows(ids: str, day: str = "2026-01-01") -> bytes:
    return (
        f"""insert into "Sale" select {ids}, n, '{day}', timestamp '2026-01-01' + n * interval '1 s', n"""
        " from generate_series(1, 9) as n"
    ).encode()


def _catalogue(connection: Session) -> list[list[tuple[object, ...]]]:
    return [list(connection.execute(each.encode()).fetchall()) for each in CATALOGUE]


def _keys(connection: Session) -> set[str]:
    rows = connection.execute(
        """
        select conname::text from pg_constraint where conrelid = '"Sale"'::regclass and contype <> 'n'
        union select indexrelid::regclass::text from pg_index where indrelid = '"Sale"'::regclass
        """
    )
    return {row[0].strip('"') for row in rows}
