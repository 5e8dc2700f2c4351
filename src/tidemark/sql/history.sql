-- name: versions
select *
from {table}
where {matches}
order by valid_from;
