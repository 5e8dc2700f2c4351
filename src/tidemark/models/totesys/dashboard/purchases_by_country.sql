-- title: Items by country of the supplier
-- page: Purchases
-- position: 240
-- chart: bars
-- x: country
-- y: items
-- filters: dates, currency, department
-- note: The ten largest are drawn.
with suppliers as (
    select
        orders.counterparty_id,
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
    group by orders.counterparty_id
)

select
    dim_counterparty.counterparty_legal_country as country,
    cast(sum(suppliers.items) as bigint) as items,
    cast(sum(suppliers.orders) as bigint) as orders
from suppliers
inner join dim_counterparty on suppliers.counterparty_id = dim_counterparty.counterparty_id
group by country
order by items desc, country asc
limit 100;
