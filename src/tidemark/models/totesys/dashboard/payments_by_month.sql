-- title: Payments paid and due by month
-- page: Payments
-- position: 320
-- chart: columns
-- x: month
-- y: paid, due
-- filters: dates, currency
-- note: How many, by the month in which they are due.
select
    cast(date_trunc('month', payments.payment_date) as date) as month,
    count(*) filter (where payments.paid) as paid,
    count(*) filter (where not payments.paid) as due
from fact_payment_current as payments
inner join dim_currency on payments.currency_id = dim_currency.currency_id
where
    payments.payment_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
group by month
order by month;
