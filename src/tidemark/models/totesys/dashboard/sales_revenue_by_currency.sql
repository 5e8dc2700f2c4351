-- title: Revenue by currency
-- page: Sales
-- position: 120
-- chart: bars
-- x: currency
-- y: revenue
-- filters: dates, currency, department
with currencies as (
    select
        orders.currency_id,
        sum(orders.units_sold * orders.unit_price) as revenue,
        count(*) as orders
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
    group by orders.currency_id
)

select
    dim_currency.currency_name as currency,
    sum(currencies.revenue) as revenue,
    cast(sum(currencies.orders) as bigint) as orders
from currencies
inner join dim_currency on currencies.currency_id = dim_currency.currency_id
group by currency
order by revenue desc, currency asc;
