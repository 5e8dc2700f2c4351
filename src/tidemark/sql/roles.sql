-- name: role
-- The role, if it is not there. The next comment says who runs all of this.
do $$ begin
    if not exists (select from pg_roles where rolname = {role_name}) then
        -- Without a password nobody can log in over the network: \password gives it one.
        create role {role} login;
    end if;
    execute format('grant connect on database %I to %I', current_database(), {role_name});
end $$;

-- name: limits_of_source
-- To see when the other transactions began; without it every poll sweeps every table.
grant pg_read_all_stats to {role};

-- So that whoever has its password writes nothing by mistake either. It binds new sessions only, and a session can turn
-- it off. The right to make temporary tables comes from PUBLIC; if nobody else needs it, take it from all:
-- revoke temporary on database … from public;
alter role {role} set default_transaction_read_only = on;

-- name: limits_of_dashboard
-- The pages do not let a statement run for longer; a session can set both for itself.
alter role {role} set default_transaction_read_only = on;

alter role {role} set statement_timeout = '20s';

-- name: source
-- What a poll needs of the source, and no more. Run it as the owner of the tables, or as a superuser.
grant usage on schema {schemas} to {role};

grant select on {tables} to {role};

-- name: warehouse
-- What a load needs of the warehouse, and no more. Run it as the owner of the tables, after tidemark init.
do $$ begin
    execute format('grant temporary on database %I to %I', current_database(), {role_name});
    execute format('grant usage on schema %I to %I', current_schema(), {role_name});
end $$;

grant usage on schema tidemark to {role};

grant select, insert, update on {tables} to {role};

-- The ledger is only added to.
grant select, insert on tidemark.batch to {role};

-- The record of runs: each run adds a row, and takes out those that are too old.
grant select, insert, delete on tidemark.run to {role};

-- To compare the tables with those of the model, as tidemark doctor does.
grant select on tidemark.statement to {role};

-- name: dashboard
-- What the pages of tidemark dashboard need of the warehouse: to read. Run it as the owner of the tables, after
-- tidemark init.
do $$ begin
    execute format('grant usage on schema %I to %I', current_schema(), {role_name});
end $$;

grant usage on schema tidemark to {role};

grant select on {tables}, tidemark.batch, tidemark.run to {role};

-- name: dashboard_of_mirror
-- What the pages of tidemark dashboard need of a mirror's warehouse: to read. Run it after the first load, as the role
-- that loads, because it is what that role makes later that the last grants are for.
grant usage on schema {schemas}, tidemark to {role};

grant select on all tables in schema {schemas}, tidemark to {role};

alter default privileges in schema {schemas}, tidemark grant select on tables to {role};

-- name: warehouse_views
-- To verify that the views show what they should.
grant select on {views} to {role};

-- name: dashboard_views
-- The figures read the rows as they are now.
grant select on {views} to {role};

-- name: source_of_mirror
-- What the polls of a mirror need of the source, and no more. Run it as the owner of the tables, or as a superuser.
grant usage on schema {schemas} to {role};

-- What the mirror is not to have can be taken away again: revoke select on … from the role.
grant select on all tables in schema {schemas} to {role};

-- Tables that come later. This binds those that the role makes that runs it: others who make tables run it too.
alter default privileges in schema {schemas} grant select on tables to {role};

-- name: warehouse_of_mirror
-- What the loads of a mirror need of the warehouse. Run it before the first load, as the owner of the database: the
-- role makes the tables itself and owns them, because they follow the source.
do $$ begin
    -- To make the schema of the ledger, and those that come later.
    execute format('grant temporary, create on database %I to %I', current_database(), {role_name});
end $$;

-- name: schema_of_mirror
create schema if not exists {schema};

-- name: rights_on_schema_of_mirror
grant usage, create on schema {schema} to {role};
