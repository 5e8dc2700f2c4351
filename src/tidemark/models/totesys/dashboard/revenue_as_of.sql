-- title: Revenue then and now
-- page: History
-- position: 400
-- chart: bars
-- x: currency
-- y: then, now
-- filters: moment
-- note: All live sales orders as they stood at that moment, and as they stand now.
with past as (
    select
        currency_id,
        count(*) as orders,
        sum(units_sold * unit_price) as revenue
    from fact_sales_order_as_of(cast(%(moment)s as timestamp))
    group by currency_id
),

present as (
    select
        currency_id,
        count(*) as orders,
        sum(units_sold * unit_price) as revenue
    from fact_sales_order_current
    group by currency_id
)

select
    dim_currency.currency_code as currency,
    coalesce(past.revenue, 0) as "then",
    coalesce(present.revenue, 0) as now,
    coalesce(present.revenue, 0) - coalesce(past.revenue, 0) as difference,
    coalesce(past.orders, 0) as orders_then,
    coalesce(present.orders, 0) as orders_now
from dim_currency
left join past on dim_currency.currency_id = past.currency_id
left join present on dim_currency.currency_id = present.currency_id
order by currency;
