-- Equals dim_date as long as no fact's older version and no deleted row named another year.
with named_days as (
    select created_at::date as named from sales_order
    union
    select last_updated::date from sales_order
    union
    select agreed_delivery_date::date from sales_order
    union
    select agreed_payment_date::date from sales_order
    union
    select created_at::date from purchase_order
    union
    select last_updated::date from purchase_order
    union
    select agreed_delivery_date::date from purchase_order
    union
    select agreed_payment_date::date from purchase_order
    union
    select created_at::date from payment
    union
    select last_updated::date from payment
    union
    select payment_date::date from payment
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
    d::date as date_id,
    date_part('year', d)::integer as year,
    date_part('month', d)::integer as month,
    date_part('day', d)::integer as day,
    date_part('isodow', d)::integer as day_of_week,
    to_char(d, 'FMDay') as day_name,
    to_char(d, 'FMMonth') as month_name,
    (date_part('month', d)::integer + 2) / 3 as quarter
from days
