-- title: Payments by type
-- page: Payments
-- position: 315
-- chart: bars
-- x: type
-- y: paid, due
-- filters: dates, currency
select
    dim_payment_type.payment_type_name as type,
    count(*) filter (where payments.paid) as paid,
    count(*) filter (where not payments.paid) as due
from fact_payment_current as payments
inner join dim_currency on payments.currency_id = dim_currency.currency_id
inner join dim_payment_type on payments.payment_type_id = dim_payment_type.payment_type_id
where
    payments.payment_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
group by type
order by count(*) desc, type asc;
