-- name: columns
select
    table_name,
    column_name,
    data_type,
    is_nullable,
    column_default is not null as has_default
from duckdb_columns()
order by column_index;
