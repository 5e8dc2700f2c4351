-- title: Orders by weekday and hour
-- page: Sales
-- position: 180
-- chart: heat
-- x: hour
-- y: weekday
-- value: orders
-- filters: dates, currency, department
-- note: When orders were made, by the source's clock.
with hours as (
    select
        orders.created_date,
        cast(extract(hour from orders.created_time) as integer) as hour,
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
    group by orders.created_date, hour
)

select
    dim_date.day_of_week || ' ' || left(dim_date.day_name, 3) as weekday,
    hours.hour,
    cast(sum(hours.orders) as bigint) as orders
from hours
inner join dim_date on hours.created_date = dim_date.date_id
group by weekday, hours.hour
order by weekday, hours.hour;
