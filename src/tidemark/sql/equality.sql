-- name: unlike_text
-- For each wanted column, the types within it whose equality is not that of their text. Equal values of a type have one
-- text if they are the same byte by byte: its operator class says so by the support function `equalimage` (number 4 of
-- B-tree), for which a text's collation has to be deterministic. Domains, arrays, ranges and composites are as their
-- parts are. A unique index may have another collation than its column.
with recursive keys as (
    select
        w.schema_name,
        w.table_name,
        w.column_name,
        format_type(a.atttypid, a.atttypmod) as type,
        a.attrelid,
        a.attnum,
        a.atttypid as part,
        a.attcollation as collation_id
    from
        unnest(%(schemas)s::text[], %(tables)s::text[], %(columns)s::text[])
            as w (schema_name, table_name, column_name)
    inner join pg_namespace as n on w.schema_name = n.nspname
    inner join pg_class as c on n.oid = c.relnamespace and w.table_name = c.relname
    inner join pg_attribute as a on c.oid = a.attrelid and w.column_name = a.attname and not a.attisdropped
),

parts as (
    select
        k.schema_name,
        k.table_name,
        k.column_name,
        k.type,
        k.part,
        k.collation_id,
        true as is_whole
    from keys as k
    union
    select
        k.schema_name,
        k.table_name,
        k.column_name,
        k.type,
        k.part,
        x.collation_id,
        true as is_whole
    from keys as k
    inner join pg_index as i on k.attrelid = i.indrelid and i.indisunique
    cross join lateral unnest(i.indkey::int2[], i.indcollation::oid[]) as x (attnum, collation_id)
    where k.attnum = x.attnum and x.collation_id is not null
    union
    select
        p.schema_name,
        p.table_name,
        p.column_name,
        p.type,
        inner_part.part,
        inner_part.collation_id,
        p.is_whole and t.typtype = 'd' as is_whole
    from parts as p
    inner join pg_type as t on p.part = t.oid
    cross join lateral (
        select
            t.typbasetype as part,
            p.collation_id
        where t.typtype = 'd'
        union all
        select
            t.typelem as part,
            p.collation_id
        where t.typtype = 'b' and t.typcategory = 'A'
        union all
        select
            a.atttypid as part,
            a.attcollation as collation_id
        from pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        union all
        select
            r.rngsubtype as part,
            r.rngcollation as collation_id
        from pg_range as r
        where t.oid in (r.rngtypid, r.rngmultitypid)
    ) as inner_part
),

leaves as (
    select
        p.schema_name,
        p.table_name,
        p.column_name,
        p.type,
        p.is_whole,
        t.oid,
        o.collname,
        coalesce(o.collisdeterministic, true) as is_deterministic
    from parts as p
    inner join pg_type as t on p.part = t.oid
    left join pg_collation as o on p.collation_id = o.oid
    where t.typtype in ('b', 'e') and (t.typcategory <> 'A' or t.typelem = 0)
),

-- The default operator class of a type is its own, or that of a type with the same bytes.
classes as (
    select
        l.oid,
        m.opcintype,
        m.opcfamily,
        m.opcintype = l.oid as is_own
    from pg_type as l
    inner join pg_opclass as m
        on
            m.opcdefault
            and (
                l.oid = m.opcintype
                or l.typtype = 'e' and m.opcintype = 'anyenum'::regtype
                or exists (
                    select from pg_cast as s
                    where
                        s.castsource = l.oid and s.casttarget = m.opcintype
                        and s.castmethod = 'b' and s.castcontext = 'i'
                )
            )
    inner join pg_am as h on m.opcmethod = h.oid and h.amname = 'btree'
    where l.oid in (select v.oid from leaves as v)
)

select distinct
    l.schema_name,
    l.table_name,
    l.column_name,
    l.type,
    format_type(l.oid, null) as part,
    l.is_whole,
    case when not l.is_deterministic then l.collname::text end as collation
from leaves as l
where
    not l.is_deterministic
    or not exists (
        select from classes as k
        inner join pg_amproc as f
            on
                k.opcfamily = f.amprocfamily and k.opcintype = f.amproclefttype and k.opcintype = f.amprocrighttype
                and f.amprocnum = 4
        where
            l.oid = k.oid
            and (
                k.is_own or not exists (
                    select from classes as o
                    where l.oid = o.oid and o.is_own
                )
            )
    )
order by l.table_name, l.column_name, part;
