-- name: tables
-- What could be a source table, without what an extension made.
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    c.relkind::text as kind,
    c.relispopulated as is_populated,
    c.relispartition as is_partition,
    coalesce(has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'), false) as may_select,
    coalesce(row_security_active(c.oid), false) as is_filtered,
    (
        select p.relname::text
        from pg_inherits as i
        inner join pg_class as p on i.inhparent = p.oid
        where i.inhrelid = c.oid
        limit 1
    ) as parent
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
    c.relkind in ('r', 'p', 'm', 'v', 'f') and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (
        select from pg_depend as d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
order by schema_name, table_name;

-- name: keys
-- What makes a table's rows unique, the primary key first, then the shortest.
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    i.indisprimary as is_primary,
    array(
        select a.attname::text
        from unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) with ordinality as w (attnum, place)
        inner join pg_attribute as a on i.indrelid = a.attrelid and w.attnum = a.attnum
        order by w.place
    ) as columns
from pg_index as i
inner join pg_class as c on i.indrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where
    i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
    and c.relkind in ('r', 'p')
order by schema_name asc, table_name asc, i.indisprimary desc, i.indnkeyatts asc, columns asc;

-- name: defaults
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    a.attname::text as column_name,
    pg_get_expr(d.adbin, d.adrelid) as default_expression
from pg_attrdef as d
inner join pg_attribute as a on d.adrelid = a.attrelid and d.adnum = a.attnum
inner join pg_class as c on d.adrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where a.attgenerated = '' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema';

-- name: references
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    f.conname::text as constraint_name,
    rn.nspname::text as other_schema,
    r.relname::text as other_table,
    f.convalidated as is_valid,
    array(
        select a.attname::text
        from unnest(f.conkey) with ordinality as w (attnum, place)
        inner join pg_attribute as a on f.conrelid = a.attrelid and w.attnum = a.attnum
        order by w.place
    ) as columns,
    array(
        select a.attname::text
        from unnest(f.confkey) with ordinality as w (attnum, place)
        inner join pg_attribute as a on f.confrelid = a.attrelid and w.attnum = a.attnum
        order by w.place
    ) as other_columns
from pg_constraint as f
inner join pg_class as c on f.conrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_class as r on f.confrelid = r.oid
inner join pg_namespace as rn on r.relnamespace = rn.oid
where f.contype = 'f' and f.conparentid = 0
order by schema_name, table_name, constraint_name;

-- name: triggers_on_update
-- The text of what runs before each row's update.
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    p.prosrc as text
from pg_trigger as t
inner join pg_class as c on t.tgrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_proc as p on t.tgfoid = p.oid
-- The bits of tgtype: 1 for each row, 2 before, 16 on update.
where not t.tgisinternal and t.tgenabled in ('O', 'A') and t.tgtype & 19 = 19;
