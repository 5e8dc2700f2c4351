-- name: changes_of_log
insert into {change}
select
    {fields},
    null as _hash,
    {operation} as _op,
    null as _before,
    {key_before} as _tidemark_key_before,
    null as _tidemark_hash_before
from {lines};

-- name: under_both_texts
select *
from {change}
where not coalesce(_op = 'update' and ({has_other_text}), false)
union all
select * replace ('insert' as _op)
from {change}
where _op = 'update' and ({has_other_text})
union all
select * replace ({keys_before}, 'delete' as _op)
from {change}
where _op = 'update' and ({has_other_text});
