-- name: present
-- A view of computed columns: of a table's column, DESCRIBE passes over an alias that differs from it in case alone.
create temp view {name} as
select *
from {rows};
