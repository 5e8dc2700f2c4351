-- dim_date holds every day of each year that a fact names, and no other day.
with named_years as (
    select extract(year from created_date)::integer as year
    from fact_sales_order
    where created_date is not null
    union
    select extract(year from last_updated_date)::integer as year
    from fact_sales_order
    where last_updated_date is not null
    union
    select extract(year from agreed_payment_date)::integer as year
    from fact_sales_order
    where agreed_payment_date is not null
    union
    select extract(year from agreed_delivery_date)::integer as year
    from fact_sales_order
    where agreed_delivery_date is not null
    union
    select extract(year from created_date)::integer as year
    from fact_purchase_orders
    where created_date is not null
    union
    select extract(year from last_updated_date)::integer as year
    from fact_purchase_orders
    where last_updated_date is not null
    union
    select extract(year from agreed_delivery_date)::integer as year
    from fact_purchase_orders
    where agreed_delivery_date is not null
    union
    select extract(year from agreed_payment_date)::integer as year
    from fact_purchase_orders
    where agreed_payment_date is not null
    union
    select extract(year from created_date)::integer as year
    from fact_payment
    where created_date is not null
    union
    select extract(year from last_updated_date)::integer as year
    from fact_payment
    where last_updated_date is not null
    union
    select extract(year from payment_date)::integer as year
    from fact_payment
    where payment_date is not null
),

expected as (
    select generate_series(make_date(year, 1, 1), make_date(year, 12, 31), interval '1 day')::date as date_id
    from named_years
)

select
    coalesce(expected.date_id, dim_date.date_id) as date_id,
    case when dim_date.date_id is null then 'missing' else 'no fact names its year' end as broken
from expected
full join dim_date on expected.date_id = dim_date.date_id
where expected.date_id is null or dim_date.date_id is null
order by date_id
