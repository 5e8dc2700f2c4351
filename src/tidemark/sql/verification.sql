-- name: ledger
select
    batch,
    pipeline_id::text as pipeline_id,
    row_counts,
    coalesce(checksums, '{{}}'::jsonb) as checksums
from tidemark.batch
order by batch;

-- name: what_stands_in_the_way
select
    not has_database_privilege(current_database(), 'temporary') as may_not_stage,
    current_setting('transaction_read_only')::boolean as is_read_only,
    current_database()::text as database,
    current_user::text as role;

-- name: create_copy
-- The copy has the types of the warehouse's columns and none of their constraints.
create temporary table {copied} on commit drop as
select {columns}
from {table}
with no data;

-- name: versions
select
    {columns},
    lead(valid_from) over (partition by {key} order by valid_from) as {ends}
from {copied};

-- name: totals
select
    _bucket as bucket,
    count(*) as row_count,
    sum(_hash) as hash_sum
from (
    select
        {bucket} as _bucket,
        {hash} as _hash
    from {rows}
) as hashed
group by _bucket;

-- name: differences
-- The rows of the buckets that differ, compared as multisets and joined by their key.
with in_star as (
    select
        {key},
        array[{key_texts}] as _key,
        array[{texts}] as _texts,
        count(*) as _times
    from {star}
    where {bucket} in ({buckets})
    group by {key}, _key, _texts
),

in_warehouse as (
    select
        {key},
        array[{key_texts}] as _key,
        array[{texts}] as _texts,
        count(*) as _times
    from {warehouse}
    where {bucket} in ({buckets})
    group by {key}, _key, _texts
),

only_star as (
    select * from in_star
    except
    select * from in_warehouse
),

only_warehouse as (
    select * from in_warehouse
    except
    select * from in_star
)

select
    case
        when w._times is null then 'missing'
        when s._times is null then 'surplus'
        when s._texts = w._texts then 'repeated'
        else 'differs'
    end as kind,
    coalesce(s._key, w._key) as key,
    s._texts as star,
    w._texts as warehouse,
    count(*) over () as total
from only_star as s
full join only_warehouse as w on s._key = w._key
order by {order}
limit {most};
