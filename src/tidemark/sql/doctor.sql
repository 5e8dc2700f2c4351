-- name: server
select
    current_setting('server_version') as version,
    current_setting('server_version_num')::integer / 10000 as major_version,
    current_user::text as role,
    has_function_privilege('pg_control_system()', 'execute') as may_identify,
    has_database_privilege(current_database(), 'temporary') as may_stage,
    has_database_privilege(current_database(), 'create') as may_create,
    (
        select rolsuper from pg_roles
        where rolname = current_user
    ) as is_superuser,
    (
        select rolconnlimit from pg_roles
        where rolname = current_user
    ) as connection_limit,
    current_schema()::text as schema_name,
    current_setting('server_encoding') as encoding;

-- name: writes
-- What a session of this role could write that Tidemark does not begin itself. Before version 16, a transaction that
-- only reads may write large objects.
select
    current_setting('transaction_read_only')::boolean as is_read_only,
    has_database_privilege(current_database(), 'temporary') as temporary_tables,
    has_database_privilege(current_database(), 'create') or exists (
        select from pg_namespace
        where has_schema_privilege(oid, 'create') and nspname !~ '^pg_'
    ) as tables,
    has_function_privilege('lo_creat(integer)', 'execute')
    or has_function_privilege('lo_create(oid)', 'execute')
    or has_function_privilege('lo_from_bytea(oid, bytea)', 'execute') as large_objects;

-- name: write
create temporary table tidemark_doctor () on commit drop;

-- name: prepared
select
    gid,
    prepared
from pg_prepared_xacts
where database = current_database()
order by prepared;

-- name: source_tables
-- For each wanted table: whether it is there, may be read, shows all of its rows and has an index that begins with
-- `updated`.
select
    w.name,
    c.oid is not null as is_there,
    coalesce(c.relpages, 0) as pages,
    coalesce(has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'), false) as may_select,
    coalesce(has_table_privilege(c.oid, 'insert, update, delete, truncate'), false) as may_write,
    coalesce(row_security_active(c.oid), false) as is_filtered,
    w.updated is null or exists (
        select from pg_index as i
        inner join pg_attribute as a on i.indrelid = a.attrelid and i.indkey[0] = a.attnum
        where i.indrelid = c.oid and i.indisvalid and i.indpred is null and a.attname = w.updated
    ) as has_cursor_index
from
    unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[], %(updated)s::text[])
        as w (name, schema_name, table_name, updated)
left join pg_namespace as n on w.schema_name = n.nspname
left join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname
order by w.name;

-- name: warehouse_tables
select
    w.table_name,
    w.reference,
    c.oid is not null as is_there,
    coalesce(
        has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
        -- The ledger is only added to.
        and (has_table_privilege(c.oid, 'update') or w.table_name = 'tidemark.batch'),
        false
    ) as may_write
from unnest(%(tables)s::text[], %(references)s::text[]) as w (table_name, reference)
left join pg_class as c on c.oid = to_regclass(w.reference)
order by w.table_name;

-- name: may_record
select coalesce(
    has_table_privilege(to_regclass('tidemark.run'), 'select')
    and has_table_privilege(to_regclass('tidemark.run'), 'insert')
    and has_table_privilege(to_regclass('tidemark.run'), 'delete'),
    false
) as may_record;
