-- name: history
-- The lake has no end of a version, since its files are never written again: the next version of the row says when.
select
    {fields},
    lead({began}) over (partition by {key} order by {number}) as valid_to
from {table};

-- name: current
select {fields}
from (
    {history}
) as versions
where valid_to is null and not is_deleted;
