-- name: create_table
create table {table} (
    {definitions}
);

-- name: comment_on_table
comment on table {table} is {text};

-- name: comment_on_column
comment on column {table}.{column} is {text};
