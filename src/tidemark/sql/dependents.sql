-- name: dependents
-- What has to be dropped before views are, or before columns get another type, in this order. A view depends by its
-- rule, and others depend on a view by its row type.
with recursive own as (
    select to_regclass(v.reference)::oid as id
    from unnest(%(views)s::text[]) as v (reference)
    where to_regclass(v.reference) is not null
),

edge as (
    select
        d.refclassid as of_class,
        d.refobjid as of_id,
        d.refobjsubid as of_column,
        d.deptype,
        case when r.rulename = '_RETURN' then 'pg_class'::regclass else d.classid end as classid,
        case when r.rulename = '_RETURN' then r.ev_class else d.objid end as objid,
        case when r.rulename = '_RETURN' then 0 else d.objsubid end as objsubid
    from pg_depend as d
    left join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
    where d.deptype in ('n', 'a')
),

found (depth, classid, objid, objsubid) as (
    -- What PostgreSQL makes again by itself, as an index or a key, is left out.
    select
        1 as depth,
        e.classid,
        e.objid,
        e.objsubid
    from unnest(%(tables)s::text[], %(columns)s::text[]) as w (reference, column_name)
    inner join pg_attribute as a on to_regclass(w.reference) = a.attrelid and w.column_name = a.attname
    inner join edge as e on e.of_class = 'pg_class'::regclass and a.attrelid = e.of_id and a.attnum = e.of_column
    left join pg_class as c on e.classid = 'pg_class'::regclass and e.objid = c.oid
    left join pg_attrdef as f on e.classid = 'pg_attrdef'::regclass and e.objid = f.oid
    where
        e.classid in (
            'pg_rewrite'::regclass,
            'pg_proc'::regclass,
            'pg_trigger'::regclass,
            'pg_policy'::regclass,
            'pg_publication_rel'::regclass
        )
        or c.relkind in ('v', 'm')
        or (e.objid = a.attrelid and e.objsubid > 0 and e.objsubid <> a.attnum)
        or (f.adrelid is not null and (f.adrelid, f.adnum) <> (a.attrelid, a.attnum))
    union
    select
        1 as depth,
        e.classid,
        e.objid,
        e.objsubid
    from own
    inner join pg_class as c on own.id = c.oid
    inner join edge as e
        on
            (e.of_class = 'pg_class'::regclass and c.oid = e.of_id)
            or (e.of_class = 'pg_type'::regclass and c.reltype = e.of_id)
    union
    select
        known.depth + 1 as depth,
        e.classid,
        e.objid,
        e.objsubid
    from found as known
    left join pg_class as c on known.classid = 'pg_class'::regclass and known.objid = c.oid and known.objsubid = 0
    inner join edge as e
        on
            e.deptype = 'n'
            and (
                (known.classid = e.of_class and known.objid = e.of_id and known.objsubid in (0, e.of_column))
                or (e.of_class = 'pg_type'::regclass and c.reltype = e.of_id)
            )
    where known.depth < 100 and (known.classid, known.objid) <> (e.classid, e.objid)
),

each_one as (
    select
        found.classid,
        found.objid,
        found.objsubid,
        max(found.depth) as depth
    from found
    where not (found.classid = 'pg_class'::regclass and found.objid in (select own.id from own))
    group by found.classid, found.objid, found.objsubid
)

select
    case when f.oid is null then i.type else 'generated column' end as kind,
    case when f.oid is null then i.identity else format('%%s.%%I', f.adrelid::regclass, b.attname) end as name,
    coalesce(c.relowner, p.proowner)::regrole::text as owner,
    case
        when i.type in ('view', 'materialized view', 'function', 'procedure', 'rule', 'trigger', 'policy')
            then format('drop %%s %%s', i.type, i.identity)
        when f.oid is not null or o.objsubid > 0
            then
                format(
                    'alter table %%s drop column %%I',
                    coalesce(f.adrelid, o.objid)::regclass,
                    coalesce(b.attname, a.attname)
                )
        when l.oid is not null then format('alter publication %%I drop table %%s', u.pubname, l.prrelid::regclass)
    end as drop_statement,
    case
        when c.relkind in ('v', 'm') then format('pg_dump --table=''%%s''', i.identity)
        when p.oid is not null then format('select pg_get_functiondef(%%L::regprocedure)', i.identity)
        when o.classid = 'pg_rewrite'::regclass then format('select pg_get_ruledef(%%s)', o.objid)
        when o.classid = 'pg_trigger'::regclass then format('select pg_get_triggerdef(%%s)', o.objid)
        when l.oid is not null then format('\dRp+ %%I', u.pubname)
        else format('\d %%s', coalesce(f.adrelid, y.polrelid, o.objid)::regclass)
    end as definition
from each_one as o
cross join lateral pg_identify_object(o.classid, o.objid, o.objsubid) as i
left join pg_class as c on o.classid = 'pg_class'::regclass and o.objsubid = 0 and o.objid = c.oid
left join pg_proc as p on o.classid = 'pg_proc'::regclass and o.objid = p.oid
left join pg_policy as y on o.classid = 'pg_policy'::regclass and o.objid = y.oid
left join pg_attrdef as f on o.classid = 'pg_attrdef'::regclass and o.objid = f.oid
left join pg_attribute as b on f.adrelid = b.attrelid and f.adnum = b.attnum
left join pg_attribute as a on o.classid = 'pg_class'::regclass and o.objid = a.attrelid and o.objsubid = a.attnum
left join pg_publication_rel as l on o.classid = 'pg_publication_rel'::regclass and o.objid = l.oid
left join pg_publication as u on l.prpubid = u.oid
order by o.depth desc, i.identity asc;

-- name: rights_of_views
-- The owner, the rights and the options of views, which are lost when a view is dropped and made again.
select given.statement
from (
    select
        v.place,
        5 as step,
        format('alter view %%s owner to %%I', c.oid::regclass, pg_get_userbyid(c.relowner)) as statement
    from unnest(%(views)s::text[]) with ordinality as v (reference, place)
    inner join pg_class as c on to_regclass(v.reference) = c.oid
    where c.relowner <> current_user::regrole
    union all
    select
        v.place,
        2 as step,
        format('alter view %%s set (%%s)', c.oid::regclass, array_to_string(c.reloptions, ', ')) as statement
    from unnest(%(views)s::text[]) with ordinality as v (reference, place)
    inner join pg_class as c on to_regclass(v.reference) = c.oid
    where c.reloptions is not null
    union all
    select
        v.place,
        3 as step,
        format(
            'grant %%s on %%s to %%s%%s',
            g.privilege_type,
            c.oid::regclass,
            case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
            case when g.is_grantable then ' with grant option' else '' end
        ) as statement
    from unnest(%(views)s::text[]) with ordinality as v (reference, place)
    inner join pg_class as c on to_regclass(v.reference) = c.oid
    cross join lateral aclexplode(c.relacl) as g
    where g.grantee <> c.relowner
    union all
    select
        v.place,
        4 as step,
        format(
            'grant %%s (%%I) on %%s to %%s%%s',
            g.privilege_type,
            a.attname,
            c.oid::regclass,
            case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
            case when g.is_grantable then ' with grant option' else '' end
        ) as statement
    from unnest(%(views)s::text[]) with ordinality as v (reference, place)
    inner join pg_class as c on to_regclass(v.reference) = c.oid
    inner join pg_attribute as a on c.oid = a.attrelid and not a.attisdropped
    cross join lateral aclexplode(a.attacl) as g
    where g.grantee <> c.relowner
) as given
order by given.place, given.step, given.statement;

-- name: rights_of_functions
-- The rights and the owner of functions, which are lost when a function is dropped and made again.
select given.statement
from (
    select
        f.place,
        1 as step,
        format('revoke all on function %%s from public', p.oid::regprocedure) as statement
    from unnest(%(functions)s::text[]) with ordinality as f (reference, place)
    inner join pg_proc as p on to_regprocedure(f.reference) = p.oid
    where p.proacl is not null
    union all
    select
        f.place,
        2 as step,
        format(
            'grant execute on function %%s to %%s%%s',
            p.oid::regprocedure,
            case when g.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end,
            case when g.is_grantable then ' with grant option' else '' end
        ) as statement
    from unnest(%(functions)s::text[]) with ordinality as f (reference, place)
    inner join pg_proc as p on to_regprocedure(f.reference) = p.oid
    cross join lateral aclexplode(p.proacl) as g
    where g.grantee <> p.proowner
    union all
    select
        f.place,
        3 as step,
        format('alter function %%s owner to %%I', p.oid::regprocedure, pg_get_userbyid(p.proowner)) as statement
    from unnest(%(functions)s::text[]) with ordinality as f (reference, place)
    inner join pg_proc as p on to_regprocedure(f.reference) = p.oid
    where p.proowner <> current_user::regrole
) as given
order by given.place, given.step, given.statement;
