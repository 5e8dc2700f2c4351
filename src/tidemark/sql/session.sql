-- name: set_local
set local {setting} to {value};

-- name: commit_durably
-- Settings that are stronger than `on` stay.
select pg_catalog.set_config('synchronous_commit', 'on', true)
where pg_catalog.current_setting('synchronous_commit') = 'off';
