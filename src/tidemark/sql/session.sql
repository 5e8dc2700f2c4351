-- name: set_local
set local {setting} to {value};

-- name: builtins_first
-- A search path that names pg_catalog behind other schemas lets these replace PostgreSQL's own functions and types. One
-- that does not name it has it in front.
select
    pg_catalog.set_config(
        'search_path',
        coalesce(
            (
                select pg_catalog.string_agg(pg_catalog.quote_ident(path.schema_name), ', ' order by path.at)
                from unnest(pg_catalog.current_schemas(false)) with ordinality as path (schema_name, at)
                where path.schema_name <> 'pg_catalog'
            ),
            ''
        ),
        true
    )
where 'pg_catalog' = any(pg_catalog.current_schemas(false));

-- name: commit_durably
-- Settings that are stronger than `on` stay.
select pg_catalog.set_config('synchronous_commit', 'on', true)
where pg_catalog.current_setting('synchronous_commit') = 'off';
