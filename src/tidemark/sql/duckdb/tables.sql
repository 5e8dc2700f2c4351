-- name: present
create temp table {name} as
select *
from {rows};
