-- title: Items by department
-- page: Purchases
-- position: 220
-- chart: bars
-- x: department
-- y: items
-- filters: dates, currency, department
select
    dim_staff.department_name as department,
    sum(orders.item_quantity) as items,
    count(*) as orders
from fact_purchase_orders_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.staff_id = dim_staff.staff_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by department
order by items desc, department asc;
