-- name: compare_staged
insert into {change}
with known as (
    select
        {fields},
        _hash
    from {latest}
    semi join {staged} using ({keys})
)

select
    {mine},
    s._hash,
    case
        when {is_new} then 'insert'
        when {differs} then 'update'
        else 'rehash'
    end as _op,
    case when not {is_new} then {before} end as _before,
    l._hash as _tidemark_hash_before
from {staged} as s
left join known as l on {same}
where {is_new} or ({differs}) or s._hash is distinct from l._hash;

-- name: delete_absent
insert into {change}
select
    {fields},
    l._hash,
    'delete' as _op,
    {before},
    l._hash as _tidemark_hash_before
from {latest} as l
anti join {present} using ({keys});

-- name: delete_other_texts
-- Latest has the row of such a key under another text of that key.
insert into {change}
select
    {fields},
    l._hash,
    'delete' as _op,
    {before},
    l._hash as _tidemark_hash_before
from {latest} as l
anti join {change} using ({keys})
where
    exists (
        select 1
        from {change} as i
        where i._op = 'insert' and {same}
    );

-- name: unite_keys
update {change} as i
set
    _op = 'update',
    _before = d._before,
    _tidemark_hash_before = d._tidemark_hash_before
from (
    select *
    from {change}
    where _op = 'delete'
) as d
where i._op = 'insert' and {same};

-- name: drop_united
delete from {change} as d
where
    _op = 'delete'
    and exists (
        select 1
        from {change} as u
        where u._op = 'update' and {is_before}
    );

-- name: expected_sums
select
    bucket,
    sum(row_count)::bigint as total_rows,
    sum(hash_sum)::varchar as total_hashes
from (
    select
        {bucket} as bucket,
        count(*) as row_count,
        coalesce(sum(_hash), 0) as hash_sum
    from (
        select
            {keys},
            _hash
        from {latest}
    )
    group by {bucket}
    union all
    select
        {bucket_before} as bucket,
        -1 as row_count,
        -coalesce(_tidemark_hash_before::hugeint, 0) as hash_sum
    from {change}
    where _op <> 'insert'
    union all
    select
        {bucket} as bucket,
        1 as row_count,
        coalesce(_hash::hugeint, 0) as hash_sum
    from {change}
    where _op <> 'delete'
)
group by bucket
having sum(row_count) <> 0 or sum(hash_sum) <> 0;

-- name: expected_rows
select
    {keys},
    _hash
from {latest}
anti join {change} using ({keys})
union all
select
    {keys},
    _hash
from {change}
where _op <> 'delete';

-- name: expected_in_buckets
select *
from {expected}
where
    {bucket} in (
        select bucket
        from {buckets}
    );

-- name: keys_to_read
select {key_texts}
from {swept} as s
left join {expected} as e on {same}
where {is_new} or e._hash is distinct from s._hash;
