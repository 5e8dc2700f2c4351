"""The warehouse of totesys is, to the letter, what it was when its tables were written by hand."""

from pathlib import Path

import psycopg

from tests.support.postgres import Postgres
from tidemark.model_reader import load_model
from tidemark.warehouse.schema import init

EXPECTED = Path(__file__).parent / "totesys_catalogue.txt"
# One line for each thing that a client of the warehouse can see, in the order of tables and of their columns.
CATALOGUE = """
with relations as (
    select oid, relname, relkind, row_number() over (order by oid) as at
    from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
),

lines as (
    select relname, 0 as kind, 0 as at, case relkind when 'r' then 'table ' else 'view ' end || relname as line
    from relations
    union all
    select
        relname, 1, attnum,
        format('    %s %s', attname, format_type(atttypid, atttypmod))
        || case when attnotnull then ' not null' else '' end
        || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
        || coalesce('  -- ' || col_description(relations.oid, attnum), '')
    from relations
    inner join pg_attribute on attrelid = relations.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    union all
    select relname, 2, row_number() over (order by pg_constraint.conname),
        format('    constraint %s %s', conname, pg_get_constraintdef(pg_constraint.oid))
    from relations inner join pg_constraint on conrelid = relations.oid and contype <> 'n'
    union all
    select relname, 3, row_number() over (order by indexrelid::regclass::text),
        '    ' || pg_get_indexdef(indexrelid)
    from relations inner join pg_index on indrelid = relations.oid
    union all
    select relname, 4, 0, '    comment ' || obj_description(oid, 'pg_class') from relations
    union all
    select relname, 5, 0, pg_get_viewdef(oid) from relations where relkind = 'v'
    union all
    select proname, 6, 0,
        pg_get_functiondef(oid) || coalesce('    comment ' || obj_description(oid, 'pg_proc'), '')
    from pg_proc where pronamespace = 'public'::regnamespace
)

select line from lines where line is not null order by relname, kind, at
"""


def test_the_warehouse_is_the_one_that_was_written_by_hand(postgres: Postgres) -> None:
    name = postgres.create()
    init(postgres.url(name), load_model("totesys"))
    with psycopg.connect(postgres.url(name)) as connection:
        found = [line.rstrip() for (text,) in connection.execute(CATALOGUE) for line in text.splitlines()]
    postgres.drop(name)

    assert found == EXPECTED.read_text("utf-8").splitlines()
