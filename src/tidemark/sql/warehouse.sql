-- name: create_ledger
create schema if not exists tidemark;

create table if not exists tidemark.batch (
    batch bigint primary key,
    pipeline_id uuid not null,
    run_id uuid not null,
    captured_at timestamp with time zone not null,
    loaded_at timestamp with time zone not null default clock_timestamp(),
    model text not null,
    row_counts jsonb not null,
    checksums jsonb,
    tables jsonb
);

comment on table tidemark.batch is 'the ledger: one row for each batch that has been loaded, written with its rows';

-- name: create_statements
create table if not exists tidemark.statement (
    digest text primary key,
    statement text not null,
    run_at timestamp with time zone not null default clock_timestamp()
);

-- name: statements_exist
select to_regclass('tidemark.statement') is not null;

-- name: may_read_statements
select has_table_privilege('tidemark.statement', 'select');

-- name: statements_run
select digest from tidemark.statement;

-- name: record_statements
insert into tidemark.statement (digest, statement)
values {records}
on conflict (digest) do nothing;

-- name: may_create_schema
select has_database_privilege(current_database(), 'create');

-- name: search_path_behind
select set_config('search_path', {schema} || ', ' || current_setting('search_path'), true);

-- name: upgrade_ledger
alter table tidemark.batch
add column if not exists checksums jsonb,
add column if not exists tables jsonb;

-- name: ledger_is_complete
select count(*) = 2
from pg_attribute
where attrelid = to_regclass('tidemark.batch') and attname in ('checksums', 'tables') and not attisdropped;

-- name: ledger_exists
select to_regclass('tidemark.batch') is not null;

-- name: ledger
select
    batch,
    pipeline_id::text as pipeline_id,
    captured_at,
    loaded_at,
    row_counts
from tidemark.batch
order by batch;

-- name: newest_in_ledger
select
    batch,
    pipeline_id::text as pipeline_id,
    captured_at
from tidemark.batch
order by batch desc
limit 1;

-- name: captured_at
select
    batch,
    captured_at
from tidemark.batch
where batch >= %(first)s;

-- name: record_batch
insert into tidemark.batch (batch, pipeline_id, run_id, captured_at, model, row_counts, checksums, tables)
values (
    %(batch)s,
    %(pipeline_id)s,
    %(run_id)s,
    %(captured_at)s,
    %(model)s,
    %(row_counts)s,
    %(checksums)s,
    %(tables)s
);

-- name: wait_a_while
set local lock_timeout to {period};

-- name: wait_for_turn
select pg_advisory_xact_lock(hashtext('tidemark load'), hashtext(current_schema()));

-- name: tables
select
    c.relname::text as table_name,
    pg_has_role(c.relowner, 'usage') as is_owned
from pg_class as c
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and c.relkind in ('r', 'p');

-- name: indexes
-- Without those that belong to a constraint, which is compared by itself.
select
    c.relname::text as index_name,
    i.indisvalid as is_valid,
    pg_get_indexdef(c.oid) as definition
from pg_class as c
inner join pg_index as i on c.oid = i.indexrelid
where
    c.relnamespace = to_regnamespace(quote_ident(%(schema)s))
    and not exists (
        select from pg_constraint as k
        where k.conindid = c.oid and k.contype in ('p', 'u', 'x')
    );

-- name: relations
select c.relname::text as relation_name
from pg_class as c
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: functions
select p.proname::text as function_name
from pg_proc as p
where p.pronamespace = to_regnamespace(quote_ident(%(schema)s));

-- name: types
select
    t.typname::text as type_name,
    (
        select array_agg(e.enumlabel::text order by e.enumsortorder)
        from pg_enum as e
        where e.enumtypid = t.oid
    ) as labels
from pg_type as t
where t.typnamespace = to_regnamespace(quote_ident(%(schema)s)) and t.typtype in ('c', 'd', 'e', 'r');

-- name: definitions
-- The views and functions of a schema. `shape` is what a replacement must leave as it is; a view's may grow at its end.
select
    case c.relkind when 'v' then 'view' else 'materialized view' end as kind,
    c.relname::text as name,
    quote_ident(c.relname) as signature,
    pg_get_viewdef(c.oid) || coalesce(' with ' || array_to_string(c.reloptions, ', '), '') as definition,
    array(
        select quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as shape
from pg_class as c
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and c.relkind in ('v', 'm')
union all
select
    case p.prokind when 'p' then 'procedure' else 'function' end as kind,
    p.proname::text as name,
    format('%%I(%%s)', p.proname, oidvectortypes(p.proargtypes)) as signature,
    pg_get_functiondef(p.oid) as definition,
    array[pg_get_function_result(p.oid), pg_get_function_arguments(p.oid)] as shape
from pg_proc as p
where p.pronamespace = to_regnamespace(quote_ident(%(schema)s)) and p.prokind in ('f', 'p', 'w');

-- name: comments
select
    c.relname::text as name,
    concat_ws('.', quote_ident(c.relname), quote_ident(a.attname)) as place,
    d.description
from pg_description as d
inner join pg_class as c on d.objoid = c.oid and d.classoid = 'pg_class'::regclass
left join pg_attribute as a on c.oid = a.attrelid and d.objsubid = a.attnum and d.objsubid > 0
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s))
union all
select
    p.proname::text as name,
    format('%%I(%%s)', p.proname, oidvectortypes(p.proargtypes)) as place,
    d.description
from pg_description as d
inner join pg_proc as p on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
where p.pronamespace = to_regnamespace(quote_ident(%(schema)s))
union all
select
    k.conname::text as name,
    format('%%I on %%I', k.conname, c.relname) as place,
    d.description
from pg_description as d
inner join pg_constraint as k on d.objoid = k.oid and d.classoid = 'pg_constraint'::regclass
inner join pg_class as c on k.conrelid = c.oid
where k.connamespace = to_regnamespace(quote_ident(%(schema)s))
union all
select
    t.typname::text as name,
    format('type %%I', t.typname) as place,
    d.description
from pg_description as d
inner join pg_type as t on d.objoid = t.oid and d.classoid = 'pg_type'::regclass
where t.typnamespace = to_regnamespace(quote_ident(%(schema)s));

-- name: rights
-- Who may do what with the tables, views, columns and functions of a schema, and with the schema.
select
    o.kind,
    o.name,
    o.signature,
    o.column_name,
    coalesce(quote_ident(r.rolname), 'public') as grantee,
    x.privilege_type as privilege,
    x.is_grantable,
    x.grantee = o.owner_id as is_owner
from (
    select
        'table' as kind,
        c.relname::text as name,
        quote_ident(c.relname) as signature,
        null as column_name,
        c.relowner as owner_id,
        coalesce(c.relacl, acldefault('r', c.relowner)) as acl
    from pg_class as c
    where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    union all
    select
        'table' as kind,
        c.relname::text as name,
        quote_ident(c.relname) as signature,
        quote_ident(a.attname) as column_name,
        c.relowner as owner_id,
        a.attacl as acl
    from pg_class as c
    inner join pg_attribute as a on c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and a.attacl is not null
    union all
    select
        'function' as kind,
        p.proname::text as name,
        format('%%I(%%s)', p.proname, oidvectortypes(p.proargtypes)) as signature,
        null as column_name,
        p.proowner as owner_id,
        coalesce(p.proacl, acldefault('f', p.proowner)) as acl
    from pg_proc as p
    where p.pronamespace = to_regnamespace(quote_ident(%(schema)s)) and p.prokind in ('f', 'w')
    union all
    select
        'schema' as kind,
        n.nspname::text as name,
        quote_ident(n.nspname) as signature,
        null as column_name,
        n.nspowner as owner_id,
        coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl
    from pg_namespace as n
    where n.nspname = %(schema)s
) as o
cross join lateral aclexplode(o.acl) as x
left join pg_roles as r on x.grantee = r.oid;

-- name: schema_of_temporary_tables
-- It has a number, and is there as soon as the session has made something in it.
select nspname::text as schema_name
from pg_namespace
where oid = pg_my_temp_schema();

-- name: create_schema
create schema {schema};

-- name: drop_table
drop table {table} cascade;

-- name: like_the_table
create table {table} (like {original});

-- name: columns
select
    c.relname::text as table_name,
    a.attname::text as column_name,
    format_type(a.atttypid, a.atttypmod) as type,
    a.attnotnull as is_not_null,
    case when a.attcollation <> t.typcollation then a.attcollation::regcollation::text end as collation,
    coalesce(o.collisdeterministic, true) as is_deterministic,
    a.attgenerated <> '' as is_generated,
    -- By an identity, or perhaps by a trigger before each inserted row (1, 2 and 4).
    a.attidentity <> ''
    or exists (
        select from pg_trigger as g
        where g.tgrelid = c.oid and not g.tgisinternal and g.tgtype & 7 = 7
    ) as may_be_filled,
    pg_get_expr(d.adbin, d.adrelid) as default_expression
from pg_class as c
inner join pg_attribute as a on c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped
inner join pg_type as t on a.atttypid = t.oid
left join pg_collation as o on a.attcollation = o.oid
left join pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and c.relkind in ('r', 'p')
order by c.relname, a.attnum;

-- name: constraints
select
    c.relname::text as table_name,
    k.conname::text as constraint_name,
    pg_get_constraintdef(k.oid) as definition
from pg_constraint as k
inner join pg_class as c on k.conrelid = c.oid
where c.relnamespace = to_regnamespace(quote_ident(%(schema)s)) and k.contype in ('p', 'u', 'f', 'c')
order by k.contype = 'f', c.relname, k.conname;

-- name: made_after
-- What the role may take from a table and make again after its rows, with the statements for it, foreign keys at the
-- end. What others depend on stays, and so does an index with a property that its definition does not name.
select
    found.taken_by,
    found.made_by
from (
    select
        k.oid,
        true as is_foreign_key,
        format('alter table %%s drop constraint %%I', k.conrelid::regclass, k.conname) as taken_by,
        array_remove(
            array[
                format(
                    'alter table %%s add constraint %%I %%s',
                    k.conrelid::regclass,
                    k.conname,
                    pg_get_constraintdef(k.oid)
                ),
                format('comment on constraint %%I on %%s is ', k.conname, k.conrelid::regclass)
                || quote_literal(obj_description(k.oid, 'pg_constraint'))
            ],
            null
        ) as made_by
    from pg_class as c
    inner join pg_constraint as k on c.oid = k.conrelid
    where
        c.oid = to_regclass(%(table)s)
        and k.contype = 'f'
        and k.conparentid = 0
        and pg_has_role(c.relowner, 'usage')
        and has_table_privilege(k.confrelid, 'references')
    union all
    select
        i.indexrelid as oid,
        false as is_foreign_key,
        case
            when u.oid is null then format('drop index %%s', i.indexrelid::regclass)
            else format('alter table %%s drop constraint %%s', i.indrelid::regclass, quote_ident(u.conname))
        end as taken_by,
        array_remove(
            array[
                case
                    when u.oid is null then pg_get_indexdef(i.indexrelid)
                    else
                        format(
                            'alter table %%s add constraint %%s %%s',
                            i.indrelid::regclass,
                            quote_ident(u.conname),
                            pg_get_constraintdef(u.oid)
                        )
                end,
                format('comment on constraint %%s on %%s is ', quote_ident(u.conname), i.indrelid::regclass)
                || quote_literal(obj_description(u.oid, 'pg_constraint')),
                format('comment on index %%s is ', i.indexrelid::regclass)
                || quote_literal(obj_description(i.indexrelid, 'pg_class'))
            ],
            null
        ) as made_by
    from pg_class as c
    inner join pg_index as i on c.oid = i.indrelid
    inner join pg_class as x on i.indexrelid = x.oid
    left join pg_constraint as u on x.oid = u.conindid and u.contype in ('p', 'u', 'x')
    where
        c.oid = to_regclass(%(table)s)
        and c.relkind = 'r'
        and not c.relispartition
        and i.indisvalid
        and not i.indisclustered
        and not i.indisreplident
        and x.reloptions is null
        and x.reltablespace = 0
        and pg_has_role(c.relowner, 'usage')
        and has_schema_privilege(c.relnamespace, 'create')
        and not exists (
            select from pg_attribute as a
            where a.attrelid = x.oid and coalesce(a.attstattarget, -1) >= 0
        )
        and not exists (
            select from pg_depend as d
            where
                (d.refclassid = 'pg_class'::regclass and d.refobjid = x.oid and d.deptype <> 'i')
                or (d.refclassid = 'pg_constraint'::regclass and d.refobjid = u.oid and d.deptype <> 'i')
                or (d.classid = 'pg_class'::regclass and d.objid = x.oid and d.deptype in ('e', 'x'))
        )
) as found
order by found.is_foreign_key, found.oid;

-- name: is_empty
select not exists (select from {table});

-- name: types_of_columns
select
    attname::text as name,
    format_type(atttypid, atttypmod) as type
from pg_attribute
where attrelid = %(table)s::regclass and attnum > 0 and not attisdropped;

-- name: create_staging
-- Without the columns that are not the star's, which nothing would fill here.
create temporary table {staging} on commit drop as
select {columns}
from {table}
with no data;

-- name: copy_in
copy {table} ({columns}) from stdin (format {form});

-- name: upsert
insert into {table} ({columns})
select {columns}
from {staging}
on conflict ({key}) do update set {assignments};

-- name: insert_missing
insert into {table} ({columns})
select {columns}
from {staging}
on conflict ({key}) do nothing;

-- name: close_versions
update {table} as old
set valid_to = closed._tidemark_valid_to
from (
    select
        old.{surrogate} as _tidemark_surrogate,
        min(new.valid_from) as _tidemark_valid_to
    from {table} as old
    inner join {staging} as new on {matches}
    where old.valid_from < new.valid_from and (old.valid_to is null or old.valid_to > new.valid_from)
    group by old.{surrogate}
) as closed
where old.{surrogate} = closed._tidemark_surrogate;

-- name: order_versions
update {staging} as new
set valid_to = followed._tidemark_next_from
from (
    select
        {source_key},
        valid_from,
        lead(valid_from) over (partition by {source_key} order by valid_from) as _tidemark_next_from
    from (
        select
            {old_key},
            old.valid_from
        from {table} as old
        where ({old_key}) in (select {source_key} from {staging})
        union all
        select
            {new_key},
            new.valid_from
        from {staging} as new
    ) as each_version
) as followed
where {same} and new.valid_from = followed.valid_from and followed._tidemark_next_from is not null;

-- name: insert_versions
insert into {table} ({columns}, valid_to)
select
    {columns},
    valid_to
from {staging};
