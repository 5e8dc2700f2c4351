-- title: Cost by month and currency
-- page: Purchases
-- position: 210
-- chart: lines
-- x: month
-- y: cost
-- series: currency
-- filters: dates, currency, department
-- note: Each currency in its own money; nothing is converted.
select
    cast(date_trunc('month', orders.created_date) as date) as month,
    dim_currency.currency_code as currency,
    sum(orders.item_quantity * orders.item_unit_price) as cost,
    count(*) as orders
from fact_purchase_orders_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.staff_id = dim_staff.staff_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by month, currency
order by month, currency;
