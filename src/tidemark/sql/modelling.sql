-- name: relations
select
    n.nspname::text as schema_name,
    c.relname::text as table_name
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where c.relkind in ('r', 'p', 'm', 'v', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by schema_name, table_name;
