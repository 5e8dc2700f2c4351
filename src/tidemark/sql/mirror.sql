-- name: types
-- Which types of the source the warehouse has. Only those of the keys' list have an index that tells their texts apart.
select
    w.type,
    t.oid is not null and (t.typtype <> 'c' or c.relkind = 'c') as is_known,
    coalesce(
        t.typtype = 'e' or (t.typtype = 'b' and t.typname = any(%(fit_for_keys)s::text[])), false
    ) as is_fit_for_keys
from unnest(%(types)s::text[]) as w (type)
left join pg_type as t on to_regtype(w.type) = t.oid
left join pg_class as c on t.typrelid = c.oid;

-- name: schemas
select nspname::text as schema_name
from pg_namespace
where nspname = any(%(schemas)s::text[]);

-- name: relations
select
    w.name,
    c.relkind::text as kind,
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as columns,
    array(
        select format_type(a.atttypid, a.atttypmod)
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as types,
    obj_description(c.oid, 'pg_class') as comment
from unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[]) as w (name, schema_name, table_name)
inner join pg_namespace as n on w.schema_name = n.nspname
inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname;

-- name: functions
select
    w.name,
    format('%%I.%%I(timestamp without time zone)', n.nspname, p.proname) as identity
from unnest(%(names)s::text[], %(schemas)s::text[], %(functions)s::text[]) as w (name, schema_name, function_name)
inner join pg_namespace as n on w.schema_name = n.nspname
inner join pg_proc as p on n.oid = p.pronamespace and w.function_name = p.proname
where p.proargtypes = '1114'::oidvector;

-- name: create_schema
create schema {schema};

-- name: create_table
create table {table} (
    {definitions},
    valid_from timestamp not null,
    valid_to timestamp check (valid_to > valid_from),
    is_deleted boolean not null,
    batch_id bigint not null,
    primary key ({key}, valid_from)
);

-- name: current_key
create unique index on {table} ({key}) where valid_to is null;

-- name: comment_on_table
comment on table {table} is {text};

-- name: add_column
alter table {table} add column {column} {type};

-- name: change_type
-- A cast would take the spaces of a character(n) away.
alter table {table}
alter column {column} type {type}
using (case when {column} is distinct from null then concat({column}) end)::{type};

-- name: drop_view
drop view if exists {view};

-- name: drop_function
drop function if exists {function}(timestamp);

-- name: view
create or replace view {view} as
select {fields}
from {table}
where valid_to is null and not is_deleted;

-- name: comment_on_view
comment on view {view} is {text};

-- name: as_of
-- As a fact's function: not strict and without settings of its own, so that the planner inlines it.
create or replace function {function}(at timestamp) returns setof {view}
language sql stable
as $as_of$
    select {fields}
    from {table}
    where valid_from <= $1 and (valid_to > $1 or valid_to is null) and not is_deleted
$as_of$;

-- name: comment_on_as_of
comment on function {function}(timestamp) is {text};
