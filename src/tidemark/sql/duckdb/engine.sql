-- name: create_schema
create schema working;

-- name: create_table
create table {table} ({definitions});

-- name: create_table_as
create table {table} as {select};

-- name: drop_table
drop table {table};

-- name: create_view
create or replace temp view {name} as {select};

-- name: create_schema_of
create schema if not exists {schema};

-- name: create_named_view
create view {name} as {select};

-- name: create_seed
create or replace temp table {name} as
select *
from {rows};

-- name: describe
describe {select};

-- name: count
select count(*)
from {rows}
where {where};
