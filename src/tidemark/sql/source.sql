-- name: clock
select clock_timestamp();

-- name: visibility
select
    pg_has_role('pg_read_all_stats', 'usage') as may_see,
    pg_is_in_recovery() as is_replica,
    exists(
        select from pg_prepared_xacts
        where database = current_database()
    ) as has_prepared,
    exists(
        select from pg_stat_activity
        where
            datname = current_database() and pid <> pg_backend_pid() and state = 'disabled'
    ) as has_untracked,
    exists(
        select from pg_subscription as s
        inner join pg_database as d on s.subdbid = d.oid
        where d.datname = current_database() and s.subenabled
    ) as is_subscriber;

-- name: oldest_transaction
select
    pid,
    xact_start
from pg_stat_activity
where
    datname = current_database()
    and pid <> pg_backend_pid()
    and backend_type in ('client backend', 'background worker')
    and xact_start is not null
order by xact_start
limit 1;

-- name: identity
select
    (select system_identifier::text from pg_control_system()) as system_identifier,
    current_database()::text as database,
    current_setting('server_version_num')::integer / 10000 as major_version;

-- name: schemas_of_extensions
-- A type of an extension brings its own `=`, which is found only in the schemas of the search path.
select distinct n.nspname::text as schema_name
from pg_extension as e
inner join pg_namespace as n on e.extnamespace = n.oid
where n.nspname not in ('pg_catalog', 'public')
order by schema_name;

-- name: kinds
select
    w.name,
    c.relkind::text as kind,
    c.relispopulated as is_populated
from unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[]) as w (name, schema_name, table_name)
inner join pg_namespace as n on w.schema_name = n.nspname
inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname;

-- name: estimates
-- The planner's own counts; below zero where a table was never counted, as after a restore.
select
    w.name,
    c.reltuples
from unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[]) as w (name, schema_name, table_name)
inner join pg_namespace as n on w.schema_name = n.nspname
inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname;

-- name: about_rows
-- With the partitions of each table. PostgreSQL before 14 knows no -1 for a table that was never counted.
with recursive parts as (
    select to_regclass(wanted.reference)::oid as part
    from unnest(%(tables)s::text[]) as wanted (reference)
    union
    select i.inhrelid
    from parts as p
    inner join pg_inherits as i on p.part = i.inhparent
)

select
    coalesce(
        sum(case when c.reltuples > 0 then c.reltuples else pg_relation_size(c.oid) / 100 end), 0
    )::bigint as about_rows
from parts as p
inner join pg_class as c on p.part = c.oid
where c.relkind <> 'p';

-- name: lock
lock table {tables} in access share mode;

-- name: take_snapshot
select
    pg_current_snapshot()::text as snapshot,
    clock_timestamp() as captured_at;

-- name: columns
with recursive wanted as (
    select
        w.name,
        w.schema_name,
        w.table_name
    from unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[]) as w (name, schema_name, table_name)
),

attributes as (
    select
        w.name,
        a.attnum,
        a.attname,
        a.attnotnull,
        a.atttypid,
        a.atttypmod
    from wanted as w
    inner join pg_namespace as n on w.schema_name = n.nspname
    inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname
    inner join pg_attribute as a on c.oid = a.attrelid
    where c.relkind in ('r', 'p', 'm', 'f', 'v') and a.attnum > 0 and not a.attisdropped
),

based as (
    select
        a.name,
        a.attnum,
        a.attname,
        a.attnotnull,
        a.atttypid,
        a.atttypmod
    from attributes as a
    union all
    select
        b.name,
        b.attnum,
        b.attname,
        b.attnotnull,
        t.typbasetype,
        t.typtypmod
    from based as b
    inner join pg_type as t on b.atttypid = t.oid
    where t.typtype = 'd'
)

select
    b.name,
    b.attname::text as column_name,
    format_type(b.atttypid, b.atttypmod) as type,
    not b.attnotnull as nullable
from based as b
inner join pg_type as t on b.atttypid = t.oid
where t.typtype <> 'd'
order by b.name, b.attnum;

-- name: unique_keys
select
    w.name,
    array_agg(a.attname::text order by a.attname) as columns
from unnest(%(names)s::text[], %(schemas)s::text[], %(tables)s::text[]) as w (name, schema_name, table_name)
inner join pg_namespace as n on w.schema_name = n.nspname
inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname
inner join pg_index as i on c.oid = i.indrelid
-- The columns of INCLUDE come after those of the key, and say nothing of its uniqueness. An int2vector counts from 0.
inner join pg_attribute as a
    on c.oid = a.attrelid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
where i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
group by w.name, i.indexrelid;

-- name: chosen
select {fields}
from {table}
where {where};

-- name: try_condition
-- It is parsed and planned, and no row is read.
select from {table} as t
limit 0;

-- name: take_salt
-- For this transaction alone.
select set_config(%(name)s, %(salt)s, true) is not null as is_set;

-- name: has_null_in_key
select exists(
    select from {table} as t
    where {condition}
);

-- name: export_snapshot
select pg_export_snapshot();

-- name: import_snapshot
set {taken_over};

-- name: extent
-- Of a table and the partitions below it; one whose rows were never looked at counts as lying in no order.
with recursive parts as (
    select to_regclass({table})::oid as part
    union all
    select i.inhrelid
    from parts as p
    inner join pg_inherits as i on p.part = i.inhparent
    where not {is_alone}
)

select
    coalesce(sum(c.relpages::bigint), 0)::bigint * current_setting('block_size')::bigint as size_bytes,
    coalesce(min(abs(coalesce(s.correlation, 0))), 0)::double precision as correlation
from parts as p
inner join pg_class as c on p.part = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
left join pg_stats as s
    on n.nspname = s.schemaname and c.relname = s.tablename and s.attname = {key} and not s.inherited
where c.relkind <> 'p' and (c.relpages > 0 or c.relkind not in ('r', 'm'));

-- name: key_range
select
    min({key})::bigint as low,
    max({key})::bigint as high
from {table} as t;

-- name: rows
copy (
    select
        {columns},
        {hash} as _hash
    from {table} as t
    where {within}
    order by {key}
) to stdout (format text);

-- name: sample
copy (
    select
        {columns},
        {hash} as _hash
    from {table}
    limit {rows}
) to stdout (format text);

-- name: rows_since
copy (
    select
        {columns},
        {hash} as _hash
    from {table} as t
    where {updated} >= {since}
) to stdout (format text);

-- name: rows_within
copy (
    select
        {columns},
        {hash} as _hash
    from {table} as t
    where ({ranges}) and {within}
) to stdout (format text);

-- name: rows_of_keys
copy (
    select
        {columns},
        {hash} as _hash
    from {table} as t
    inner join unnest({keys}) as wanted ({names}) on {matches}
) to stdout (format text);

-- name: hashes_of_texts
copy (
    select
        {key},
        {hash} as _hash
    from (select {fields} from unnest({texts}) as texts ({names})) as found
) to stdout (format text);

-- name: keeps_versions
select relkind in ('r', 'p', 'm') as keeps_versions
from pg_class
where oid = to_regclass({table});

-- name: keys_seen_by
-- A row keeps only the last 32 bits of its transaction's number. The whole number is the last one before this snapshot
-- that ends in these bits.
copy (
    select
        {key},
        t.xmin::text::bigint < 3 or pg_visible_in_snapshot(
            greatest(3, now.next_xid - ((now.next_xid - t.xmin::text::bigint) & 4294967295))::text::xid8,
            {snapshot}::pg_snapshot
        ) as seen
    from {table} as t
    inner join unnest({keys}) as wanted ({names}) on {matches}
    cross join (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid) as now
) to stdout (format text);

-- name: sums
-- By the statistics of the key, PostgreSQL would expect as many buckets as rows, and then adds up in one process. Of a
-- union it has no statistics, and expects few; so each parallel worker hashes and adds up its own rows. The second part
-- is never read.
select
    bucket,
    count(*) as row_count,
    sum(hash_of_row) as hash_sum
from (
    select
        {bucket} as bucket,
        {hash} as hash_of_row
    from {table} as t
    where {within}
    union all
    select
        null::bigint as bucket,
        null::bigint as hash_of_row
    where false
) as hashed
group by bucket;

-- name: hashes_in_buckets
copy (
    select
        {key},
        {hash} as _hash
    from {table} as t
    where {bucket} = any({buckets})
) to stdout (format text);

-- name: hashes_in_ranges
copy (
    select found.*
    from unnest({lows}, {highs}) as wanted (low, high)
    cross join lateral (
        select
            {key},
            {hash} as _hash
        from {table} as t
        where {key} between wanted.low and wanted.high
        offset 0
    ) as found
) to stdout (format text);

-- name: catalogue
-- Everything in some schemas that a mirror could have, each with its columns and its keys: first the primary key, then
-- each unique index over columns that are not null.
select
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    c.relkind::text as kind,
    c.relispopulated as is_populated,
    c.relispartition as is_partition,
    has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as may_select,
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as columns,
    array(
        select
            case
                when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod)
                else format_type(a.atttypid, a.atttypmod)
            end
        from pg_attribute as a
        inner join pg_type as t on a.atttypid = t.oid
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        order by a.attnum
    ) as types,
    coalesce(
        (
            select
                jsonb_agg(
                    keys.columns
                    order by
                        keys.is_primary desc,
                        keys.width asc,
                        keys.index_name asc
                )
            from (
                select
                    i.indisprimary as is_primary,
                    i.indnkeyatts as width,
                    x.relname as index_name,
                    jsonb_agg(a.attname order by p.place) as columns
                from pg_index as i
                inner join pg_class as x on i.indexrelid = x.oid
                cross join lateral unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) with ordinality as p (attnum, place)
                inner join pg_attribute as a on c.oid = a.attrelid and p.attnum = a.attnum
                where
                    i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
                    and i.indpred is null and i.indexprs is null
                group by i.indisprimary, i.indnkeyatts, x.relname
                having bool_and(a.attnotnull) or c.relkind = 'm'
            ) as keys
        ),
        '[]'
    ) as keys
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname = any(%(schemas)s::text[]) and c.relkind in ('r', 'p', 'm', 'v', 'f')
order by n.nspname, c.relname;
