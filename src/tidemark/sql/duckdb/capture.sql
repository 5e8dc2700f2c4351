-- name: delete_all
delete from {table};

-- name: copy_in
insert into {table}
select *
from {rows};

-- name: put_buckets
insert into {buckets}
select unnest($1::bigint[]);

-- name: sweep_beyond
insert into {swept}
select
    {keys},
    _hash
from {latest}
anti join {staged} using ({keys})
where {where};

-- name: swept_keys
select columns(* exclude (_hash))::varchar
from {swept};

-- name: operations
select
    _op,
    count(*) as changes
from {change}
group by _op;

-- name: key_bounds
select
    min({key}) as lowest,
    max({key}) as highest,
    count(*) as row_count
from {rows};

-- name: highest_key
select max({key})
from {change}
where _op <> 'rehash';

-- name: lines
select
    {keys},
    {line} as _tidemark_line
from {change}
where _op <> 'rehash';

-- name: size_of_lines
select coalesce(sum(strlen(_tidemark_line)), 0)
from {lines};

-- name: lines_by_part
select
    *,
    ntile({parts}) over (order by {keys}) as _tidemark_part
from {lines};

-- name: lines_of_part
select _tidemark_line
from {lines}
where {where}
order by {keys};

-- name: highest_key_of_part
select max({key})
from {lines}
where {where};

-- name: totals_of_part
select
    count(*) as row_count,
    sum(_hash)::varchar as hash_sum,
    {last} as last_key
from {rows};

-- name: inserted
select
    *,
    'insert' as _op,
    null::varchar as _before
from {rows};

-- name: highest_stamp
-- As a filter, the condition shares the converted moment with the value.
select max(least({moment}, $1::timestamp)) filter (where {moment} >= '0002-01-01')
from {rows};
