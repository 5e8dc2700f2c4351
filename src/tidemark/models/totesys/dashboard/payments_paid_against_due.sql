-- title: Paid against due by currency
-- page: Payments
-- position: 310
-- chart: bars
-- x: currency
-- y: paid, due
-- filters: dates, currency
-- note: Each currency in its own money; nothing is converted.
select
    dim_currency.currency_code as currency,
    coalesce(sum(payments.payment_amount) filter (where payments.paid), 0) as paid,
    coalesce(sum(payments.payment_amount) filter (where not payments.paid), 0) as due
from fact_payment_current as payments
inner join dim_currency on payments.currency_id = dim_currency.currency_id
where
    payments.payment_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
group by currency
order by currency;
