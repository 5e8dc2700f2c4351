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
    _tidemark_bucket as bucket,
    count(*) as row_count,
    sum(_tidemark_hash) as hash_sum
from (
    select
        {bucket} as _tidemark_bucket,
        {hash} as _tidemark_hash
    from {rows}
) as hashed
group by _tidemark_bucket;

-- name: differences
-- The rows of the buckets that differ, compared as multisets and joined by their key.
with in_star as (
    select
        {key},
        array[{key_texts}] as _tidemark_key,
        array[{texts}] as _tidemark_texts,
        count(*) as _tidemark_times
    from {star}
    where {bucket} in ({buckets})
    group by {key}, _tidemark_key, _tidemark_texts
),

in_warehouse as (
    select
        {key},
        array[{key_texts}] as _tidemark_key,
        array[{texts}] as _tidemark_texts,
        count(*) as _tidemark_times
    from {warehouse}
    where {bucket} in ({buckets})
    group by {key}, _tidemark_key, _tidemark_texts
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
        when w._tidemark_times is null then 'missing'
        when s._tidemark_times is null then 'surplus'
        when s._tidemark_texts = w._tidemark_texts then 'repeated'
        else 'differs'
    end as kind,
    coalesce(s._tidemark_key, w._tidemark_key) as key,
    s._tidemark_texts as star,
    w._tidemark_texts as warehouse,
    count(*) over () as total
from only_star as s
full join only_warehouse as w on s._tidemark_key = w._tidemark_key
order by {order}
limit {most};
