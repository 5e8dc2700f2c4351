-- name: type_names
select pg_catalog.format_type(asked.type_oid, asked.modifier)
from unnest(%(oids)s::oid[], %(modifiers)s::integer[]) with ordinality as asked (type_oid, modifier, at)
order by asked.at;
