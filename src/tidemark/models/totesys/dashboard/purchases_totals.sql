-- title: Purchases at a glance
-- page: Purchases
-- position: 200
-- chart: tiles
-- filters: dates, currency, department
select
    count(*) as orders,
    coalesce(sum(orders.item_quantity), 0) as items,
    count(distinct orders.item_code) as kinds_of_item,
    count(distinct orders.counterparty_id) as suppliers
from fact_purchase_orders_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.staff_id = dim_staff.staff_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s);
