-- title: Payments due then and now
-- page: History
-- position: 410
-- chart: bars
-- x: currency
-- y: then, now
-- filters: moment
-- note: What was not paid at that moment, and what is not paid now.
with past as (
    select
        currency_id,
        sum(payment_amount) as amount
    from fact_payment_as_of(cast(%(moment)s as timestamp))
    where not paid
    group by currency_id
),

present as (
    select
        currency_id,
        sum(payment_amount) as amount
    from fact_payment_current
    where not paid
    group by currency_id
)

select
    dim_currency.currency_code as currency,
    coalesce(past.amount, 0) as "then",
    coalesce(present.amount, 0) as now,
    coalesce(present.amount, 0) - coalesce(past.amount, 0) as difference
from dim_currency
left join past on dim_currency.currency_id = past.currency_id
left join present on dim_currency.currency_id = present.currency_id
order by currency;
