-- title: Payments at a glance
-- page: Payments
-- position: 300
-- chart: tiles
-- filters: dates, currency
-- note: By the day on which a payment is due.
select
    count(*) as payments,
    count(*) filter (where payments.paid) as paid,
    count(*) filter (where not payments.paid) as not_paid
from fact_payment_current as payments
inner join dim_currency on payments.currency_id = dim_currency.currency_id
where
    payments.payment_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s);
