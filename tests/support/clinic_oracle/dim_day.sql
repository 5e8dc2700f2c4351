-- The whole of each year that a fact names now; dim_day keeps those that an older version named.
with named_days as (
    select given_on as named from treatment
    union
    select (referred_at at time zone 'UTC')::date from referral
    union
    select closed_on from referral
),

years as (
    select distinct date_trunc('year', named::timestamp) as first_day
    from named_days
    where named is not null
),

days as (
    select generate_series(first_day, first_day + interval '1 year' - interval '1 day', interval '1 day') as d
    from years
)

select
    d::date as day_id,
    date_part('year', d)::integer as year,
    date_part('isodow', d) > 5 as is_weekend
from days
