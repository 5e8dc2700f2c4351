-- title: Purchases at a glance
-- page: Purchases
-- position: 200
-- chart: tiles
-- filters: dates, currency, department
with parties as (
    select
        orders.item_code,
        orders.counterparty_id,
        count(*) as orders,
        sum(orders.item_quantity) as items
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
    group by orders.item_code, orders.counterparty_id
)

select
    cast(coalesce(sum(orders), 0) as bigint) as orders,
    cast(coalesce(sum(items), 0) as bigint) as items,
    count(distinct item_code) as kinds_of_item,
    count(distinct counterparty_id) as suppliers
from parties;
