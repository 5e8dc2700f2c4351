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
    case when {differs} and not {is_new} then {before} end as _before,
    case when not {is_new} then {key_before} end as _tidemark_key_before,
    l._hash as _tidemark_hash_before
from {staged} as s
left join known as l on {same}
where {is_new} or ({differs}) or s._hash is distinct from l._hash;

-- name: differing_keys
insert into {differing}
select {keys}
from {staged} as s
inner join {latest} as l on {same}
where {differs};

-- name: judge_staged
-- What compare_staged finds, without the rows.
select
    {my_keys},
    case
        when {is_new} then 'insert'
        when d._tidemark_differs then 'update'
        else 'rehash'
    end as _op,
    l._hash as _tidemark_hash_before
from {staged} as s
left join (
    select
        {keys},
        _hash
    from {latest}
    semi join {staged} using ({keys})
) as l on {same}
left join (
    select distinct
        {keys},
        true as _tidemark_differs
    from {differing}
) as d on {is_differing}
where {is_new} or d._tidemark_differs or s._hash is distinct from l._hash;

-- name: judge_absent
select
    {keys},
    'delete' as _op,
    _hash as _tidemark_hash_before
from {latest}
anti join {present} using ({keys});

-- name: texts_before
select
    {keys},
    {before} as _before
from {latest} as l
semi join (
    select {keys}
    from {judged}
    where _op in ('update', 'delete')
) as j using ({keys});

-- name: put_judged
insert into {change}
select
    {fields},
    r._hash,
    j._op,
    t._before,
    case when j._op <> 'insert' then {key_before} end as _tidemark_key_before,
    j._tidemark_hash_before
from {rows} as r
inner join {judged} as j on {same}
left join {texts} as t on {is_before};

-- name: delete_absent
insert into {change}
select
    {fields},
    l._hash,
    'delete' as _op,
    {before},
    {key_before},
    l._hash as _tidemark_hash_before
from {latest} as l
anti join {present} using ({keys});

-- name: other_texts
-- Latest has the row of such a key under another text of that key.
select *
from {latest} as l
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
    _tidemark_key_before = d._tidemark_key_before,
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

-- name: sums_of_latest
select
    {bucket} as bucket,
    count(*) as row_count,
    coalesce(sum(_hash), 0)::varchar as hash_sum
from {latest}
group by {bucket};

-- name: sums_of_changes
select
    bucket,
    sum(row_count)::bigint as total_rows,
    sum(hash_sum)::varchar as total_hashes
from (
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
group by bucket;

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

-- name: keys_gone
select {keys}
from {expected}
anti join {swept} using ({keys});

-- name: keys_to_read
select {key_texts}
from {swept} as s
left join {expected} as e on {same}
where {is_new} or e._hash is distinct from s._hash;
