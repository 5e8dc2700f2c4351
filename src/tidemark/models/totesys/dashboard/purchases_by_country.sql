-- title: Items by country of the supplier
-- page: Purchases
-- position: 240
-- chart: bars
-- x: country
-- y: items
-- filters: dates, currency, department
-- note: The ten largest are drawn.
select
    dim_counterparty.counterparty_legal_country as country,
    sum(orders.item_quantity) as items,
    count(*) as orders
from fact_purchase_orders_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.staff_id = dim_staff.staff_id
inner join dim_counterparty on orders.counterparty_id = dim_counterparty.counterparty_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by country
order by items desc, country asc
limit 100;
