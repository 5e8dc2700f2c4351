-- name: changes_of_log
insert into {change}
select
    {fields},
    null as _hash,
    {operation} as _op,
    null as _before,
    null as _hash_before
from {lines};
