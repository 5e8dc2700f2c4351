-- title: Sales at a glance
-- page: Sales
-- position: 100
-- chart: tiles
-- filters: dates, currency, department
select
    count(*) as orders,
    coalesce(sum(orders.units_sold), 0) as units,
    count(distinct orders.counterparty_id) as customers,
    count(distinct orders.sales_staff_id) as staff
from fact_sales_order_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.sales_staff_id = dim_staff.staff_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s);
