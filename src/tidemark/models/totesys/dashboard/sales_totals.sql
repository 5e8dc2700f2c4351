-- title: Sales at a glance
-- page: Sales
-- position: 100
-- chart: tiles
-- filters: dates, currency, department
with parties as (
    select
        orders.counterparty_id,
        orders.sales_staff_id,
        count(*) as orders,
        sum(orders.units_sold) as units
    from fact_sales_order_current as orders
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
            or orders.sales_staff_id = any(array(
                select dim_staff.staff_id from dim_staff
                where dim_staff.department_name = %(department)s
            ))
        )
    group by orders.counterparty_id, orders.sales_staff_id
)

select
    cast(coalesce(sum(orders), 0) as bigint) as orders,
    cast(coalesce(sum(units), 0) as bigint) as units,
    count(distinct counterparty_id) as customers,
    count(distinct sales_staff_id) as staff
from parties;
