-- title: Who still has payments due
-- page: Payments
-- position: 340
-- chart: bars
-- x: counterparty
-- y: payments
-- filters: dates, currency
-- note: How many payments are not paid; the ten largest are drawn.
select
    dim_counterparty.counterparty_legal_name as counterparty,
    count(*) as payments
from fact_payment_current as payments
inner join dim_currency on payments.currency_id = dim_currency.currency_id
inner join dim_counterparty on payments.counterparty_id = dim_counterparty.counterparty_id
where
    payments.payment_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and not payments.paid
group by dim_counterparty.counterparty_id, counterparty
order by payments desc, counterparty asc
limit 100;
