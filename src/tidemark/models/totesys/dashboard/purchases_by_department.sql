-- title: Items by department
-- page: Purchases
-- position: 220
-- chart: bars
-- x: department
-- y: items
-- filters: dates, currency, department
with members as (
    select
        orders.staff_id,
        sum(orders.item_quantity) as items,
        count(*) as orders
    from fact_purchase_orders_current as orders
    where
        orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
        and (
            cast(%(currency)s as text) is null
            or orders.currency_id = any(array(
                select dim_currency.currency_id from dim_currency
                where dim_currency.currency_code = %(currency)s
            ))
        )
        and (
            cast(%(department)s as text) is null
            or orders.staff_id = any(array(
                select dim_staff.staff_id from dim_staff
                where dim_staff.department_name = %(department)s
            ))
        )
    group by orders.staff_id
)

select
    dim_staff.department_name as department,
    cast(sum(members.items) as bigint) as items,
    cast(sum(members.orders) as bigint) as orders
from members
inner join dim_staff on members.staff_id = dim_staff.staff_id
group by department
order by items desc, department asc;
