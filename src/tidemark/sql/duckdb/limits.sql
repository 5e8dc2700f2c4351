-- name: columns
select
    table_name,
    column_name,
    data_type,
    is_nullable
from duckdb_columns()
order by column_index;
