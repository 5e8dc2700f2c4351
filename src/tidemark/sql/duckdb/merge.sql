-- name: inserted
select {fields}
from {change}
where _op = 'insert';

-- name: replaced
select {fields}
from {old} as o
left join (
    select *
    from {change}
    where _op <> 'insert'
) as c on {same}
where c._op is distinct from 'delete';

-- name: exchanged
select *
from (
    select {columns}
    from {old} as o
    anti join (
        select {keys}
        from {change}
        where _op <> 'insert'
    ) using ({keys})
    union all
    select {fields}
    from {change}
    semi join {old} using ({keys})
    where _op not in ('insert', 'delete')
)
order by {keys};

-- name: touched
select distinct {fields}
from {files}
semi join (
    select {keys}
    from {change}
    where _op <> 'insert'
) using ({keys});
