-- name: bytes_of_lines
-- What the fields of some lines take up, each with the tab or the line break after it; a null is written as two bytes.
select {bytes}
from {lines};

-- name: sums
select
    {bucket} as bucket,
    count(*) as row_count,
    sum(hash(hash({fields}))) as hash_sum
from {rows}
group by {bucket};

-- name: differences
with l as (
    select
        {fields},
        count(*) as _tidemark_times
    from {left}
    where {where}
    group by {fields}
),

r as (
    select
        {fields},
        count(*) as _tidemark_times
    from {right}
    where {where}
    group by {fields}
),

lo as (
    select
        {key} as _tidemark_key,
        {row} as _tidemark_row,
        _tidemark_times
    from (
        select *
        from l
        except
        select *
        from r
    )
),

ro as (
    select
        {key} as _tidemark_key,
        {row} as _tidemark_row,
        _tidemark_times
    from (
        select *
        from r
        except
        select *
        from l
    )
)

select
    coalesce(lo._tidemark_key, ro._tidemark_key) as _tidemark_key,
    lo._tidemark_row as _tidemark_left,
    ro._tidemark_row as _tidemark_right,
    lo._tidemark_times as n,
    ro._tidemark_times as m,
    case
        when ro._tidemark_row is null then 'missing'
        when lo._tidemark_row is null then 'surplus'
        when (lo._tidemark_row is not distinct from ro._tidemark_row) then 'repeated'
        else 'differs'
    end as kind,
    'real' as verdict
from lo
full join ro on lo._tidemark_key is not distinct from ro._tidemark_key;

-- name: judge
update {found}
set verdict = {verdict}
where verdict = 'real' and ({where});

-- name: verdicts
select
    verdict,
    count(*) as differences
from {found}
group by verdict;

-- name: first_real
select
    kind,
    _tidemark_key,
    _tidemark_left,
    _tidemark_right
from {found}
where verdict = 'real'
order by _tidemark_key
limit {most};

-- name: texts_of_found
select {texts}
from {found}
where {where};

-- name: real_totals
select
    count(*) filter (where kind = 'missing') as missing,
    coalesce(sum(_tidemark_left._hash) filter (where kind = 'missing'), 0)::varchar as dropped,
    coalesce(
        sum(_tidemark_left._hash::hugeint - _tidemark_right._hash::hugeint) filter (where kind = 'differs'), 0
    )::varchar as altered
from {found}
where verdict = 'real';

-- name: totals_of_latest
select
    count(*) as row_count,
    coalesce(sum(_hash), 0)::varchar as hash_sum,
    count(*) - count(_hash) as without_hash
from {rows};

-- name: without_hash
select * exclude (_hash)
from {rows};

-- name: up_to_batch
select {fields}
from {rows}
where batch_id <= {batch};

-- name: not_marked
select * exclude (is_deleted)
from {rows}
where not is_deleted;

-- name: present_state
select {fields}
from (
    select *
    from {rows}
    where batch_id <= {batch}
    qualify row_number() over (partition by {source_key} order by valid_from desc, {surrogate} desc) = 1
)
where not is_deleted;

-- name: keys_set_aside
select
    {keys},
    arg_max(op, ordinal) as _tidemark_last_op
from {open_rows}
group by all;
