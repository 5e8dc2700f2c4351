-- title: Orders by weekday and hour
-- page: Sales
-- position: 180
-- chart: heat
-- x: hour
-- y: weekday
-- value: orders
-- filters: dates, currency, department
-- note: When orders were made, by the source's clock.
select
    dim_date.day_of_week || ' ' || left(dim_date.day_name, 3) as weekday,
    cast(extract(hour from orders.created_time) as integer) as hour,
    count(*) as orders
from fact_sales_order_current as orders
inner join dim_currency on orders.currency_id = dim_currency.currency_id
inner join dim_staff on orders.sales_staff_id = dim_staff.staff_id
inner join dim_date on orders.created_date = dim_date.date_id
where
    orders.created_date between cast(%(first)s as date) and cast(%(last)s as date)
    and (cast(%(currency)s as text) is null or dim_currency.currency_code = %(currency)s)
    and (cast(%(department)s as text) is null or dim_staff.department_name = %(department)s)
group by weekday, hour
order by weekday, hour;
