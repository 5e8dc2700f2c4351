-- name: breaches
-- The first rows that break a law, and how many do.
select
    count(*) over () as _tidemark_total,
    found.*
from (
    {breaches}
) as found
limit {most};

-- name: reference
-- A reference that finds no row, whether or not the foreign keys are still there.
select
    {table_name}::text as _tidemark_table,
    fact.{key}::text as {key},
    {column_name}::text as _tidemark_column,
    fact.{column}::text as _tidemark_missing
from {fact} as fact
where
    fact.{column} is not null
    and not exists (
        select
        from {dimension} as dimension
        where dimension.{dimension_key} = fact.{column}
    );

-- name: intervals
-- A version that does not end where the next one of its key begins, or a newest version that ends.
select
    {table_name}::text as _tidemark_table,
    versions.*
from (
    select
        {source_key},
        valid_from,
        valid_to,
        lead(valid_from) over (partition by {source_key} order by valid_from) as _tidemark_next_valid_from
    from {fact}
) as versions
where valid_to is distinct from _tidemark_next_valid_from or valid_to <= valid_from
order by {source_key}, valid_from;

-- name: current_versions
-- A key that has no newest version, or several.
select
    {table_name}::text as _tidemark_table,
    {source_key},
    count(*) filter (where valid_to is null) as _tidemark_current_versions
from {fact}
group by {source_key}
having count(*) filter (where valid_to is null) <> 1
order by {source_key};

-- name: view
select
    coalesce(array_agg(a.attname::text), '{{}}') as columns,
    coalesce(bool_and(has_table_privilege(c.oid, 'select')), true) as may_select
from pg_class as c
inner join pg_attribute as a on c.oid = a.attrelid and a.attnum > 0 and not a.attisdropped
where c.oid = to_regclass(%(view)s);

-- name: current_rows
-- A row that the view shows but should not, does not show but should, or shows more than once.
select
    {table_name}::text as _tidemark_table,
    coalesce(shown.{key}, live.{key}) as {key},
    coalesce(shown._tidemark_times, 0) as _tidemark_shown
from (
    select
        {key},
        count(*) as _tidemark_times
    from {view}
    group by {key}
) as shown
full join (
    select {key}
    from {fact}
    where valid_to is null and not is_deleted
) as live on shown.{key} = live.{key}
where live.{key} is null or shown._tidemark_times is distinct from 1
order by {key};

-- name: mirrored_rows
-- The same of a mirror, whose view has the source's own columns.
select
    {table_name}::text as _tidemark_table,
    coalesce(shown._tidemark_key, live._tidemark_key) as _tidemark_key,
    coalesce(shown._tidemark_times, 0) as _tidemark_shown
from (
    select
        row({shown_key})::text as _tidemark_key,
        count(*) as _tidemark_times
    from {view}
    group by _tidemark_key
) as shown
full join (
    select row({live_key})::text as _tidemark_key
    from {fact}
    where valid_to is null and not is_deleted
) as live on shown._tidemark_key = live._tidemark_key
where live._tidemark_key is null or shown._tidemark_times is distinct from 1
order by _tidemark_key;

-- name: named_days
select distinct {column}::date as _tidemark_day
from {fact}
where isfinite({column}::date);

-- name: calendar
-- A day that the calendar lacks although a fact names its year, or has although no fact names its year.
with named as (
    {days}
),

wanted as (
    select
        generate_series(
            _tidemark_first, _tidemark_first + interval '1 year' - interval '1 day', interval '1 day'
        )::date as _tidemark_day
    from (
        select distinct date_trunc('year', _tidemark_day::timestamp) as _tidemark_first
        from named
    ) as years
)

select
    {table_name}::text as _tidemark_table,
    coalesce(wanted._tidemark_day, calendar.{key}) as {key},
    case when calendar.{key} is null then 'missing' else 'no fact names its year' end as _tidemark_why
from wanted
full join {calendar} as calendar on wanted._tidemark_day = calendar.{key}
where (wanted._tidemark_day is null and not {may_be_ahead}) or calendar.{key} is null
order by {key};
