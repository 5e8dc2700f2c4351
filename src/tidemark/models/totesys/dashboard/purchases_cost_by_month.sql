-- title: Cost by month and currency
-- page: Purchases
-- position: 210
-- chart: lines
-- x: month
-- y: cost
-- series: currency
-- filters: dates, currency, department
-- note: Each currency in its own money; nothing is converted.
with days as (
    select
        orders.created_date,
        orders.currency_id,
        sum(orders.item_quantity * orders.item_unit_price) as cost,
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
    group by orders.created_date, orders.currency_id
)

select
    cast(date_trunc('month', days.created_date) as date) as month,
    dim_currency.currency_code as currency,
    sum(days.cost) as cost,
    cast(sum(days.orders) as bigint) as orders
from days
inner join dim_currency on days.currency_id = dim_currency.currency_id
group by month, currency
order by month, currency;
