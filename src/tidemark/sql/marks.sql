-- name: ledger_end
select
    count(*) as row_count,
    coalesce(max(b.batch), 0) as batch,
    count(distinct b.pipeline_id) as pipelines,
    (
        select last_row.tables from tidemark.batch as last_row
        order by last_row.batch desc
        limit 1
    ) as tables
from tidemark.batch as b;

-- name: filled
select distinct brought.name
from tidemark.batch as b
cross join jsonb_each_text(b.row_counts) as brought (name, row_count)
where brought.row_count::bigint > 0;

-- name: places
select
    w.name,
    c.oid::bigint as oid,
    format('%%I.%%I', n.nspname, c.relname) as place
from unnest(%(names)s::text[], %(references)s::text[]) as w (name, reference)
inner join pg_class as c on to_regclass(w.reference) = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid;

-- name: places_of_oids
select
    w.name,
    format('%%I.%%I', n.nspname, c.relname) as place
from unnest(%(names)s::text[], %(oids)s::bigint[]) as w (name, oid)
inner join pg_class as c on w.oid = c.oid::bigint and w.name = c.relname
inner join pg_namespace as n on c.relnamespace = n.oid;

-- name: end_of_versions
select
    {star} as name,
    ended.last_key is null as is_empty,
    ended.last_key::bigint as last_key,
    ended.last_batch::bigint as last_batch
from (select 1) as one_row
left join (
    select
        {surrogate} as last_key,
        batch_id as last_batch
    from {table}
    order by {surrogate} desc
    limit 1
) as ended on true;

-- name: end_of_dimension
select
    {star} as name,
    not exists (select from {table}) as is_empty,
    null::bigint as last_key,
    null::bigint as last_batch
from (select 1) as one_row;
